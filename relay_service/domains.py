"""What the configuration says of each domain: its limits, and its log."""

from __future__ import annotations

from alphapulse.domain.domains import Domain
from relay_service.config import RelayConfig
from relay_service.limits import DomainLimits, Limits
from relay_service.log.first_log import FirstLog
from relay_service.log.logs import Logs
from relay_service.log.relay_log import LogSettings, RelayLog


def limits_of(config: RelayConfig) -> Limits:
    """What each domain may take of the relay."""
    return Limits(
        {
            Domain.MARKET: DomainLimits(config.turn_rows, config.source_events, config.source_bytes),
            Domain.SIGNAL: DomainLimits(
                config.signal_turn_rows, config.signal_source_events, config.signal_source_bytes
            ),
            Domain.EXECUTION: DomainLimits(
                config.execution_turn_rows, config.execution_source_events, config.execution_source_bytes
            ),
        }
    )


def logs_of(config: RelayConfig, start_ns: int) -> Logs:
    """The logs of a relay started at this time; none where it keeps none. What becomes of orders is logged before it is delivered."""
    if not config.log_url:
        return Logs()

    def settings(domain: Domain, seconds: float, max_bytes: int) -> LogSettings:
        return LogSettings(
            name=config.log_name,
            url=config.log_url,
            seconds=seconds,
            max_bytes=max_bytes,
            buffer_bytes=config.log_buffer_bytes,
            token_key=config.token_key,
            domain=domain,
            patience_seconds=config.execution_patience_seconds,
        )

    market = settings(Domain.MARKET, config.log_seconds, config.log_bytes)
    signal = settings(Domain.SIGNAL, config.signal_log_seconds, config.signal_log_bytes)
    execution = settings(Domain.EXECUTION, config.execution_log_seconds, config.execution_log_bytes)
    logs = RelayLog(market, start_ns), RelayLog(signal, start_ns), FirstLog(execution, start_ns)
    for scarce in logs[1:]:
        scarce.spare(logs[0])  # what fills a server is the market; what was promised for days is not its to push out
    return Logs(*logs)
