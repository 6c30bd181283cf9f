"""The settings every service process has. A service's own configuration extends `ServerConfig`."""

from __future__ import annotations

from dataclasses import dataclass

from alphapulse.runtime.config import setting


def _port_or_off(text: str) -> int | None:
    return None if text.lower() == "off" else int(text)


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where a service listens, how it logs, how long it may take to leave."""

    listen_host: str = setting("LISTEN_HOST", default="127.0.0.1", rule="a host name or an IP address")
    """Address the gRPC, the HTTP and the metrics server listen on; 0.0.0.0 in a container."""

    grpc_port: int = setting("GRPC_PORT", default=50051, ge=0, le=65535)
    """Port of the gRPC server; 0 picks a free one, told in the line that says ready."""

    metrics_port: int | None = setting(
        "METRICS_PORT", default=9090, parse=_port_or_off, ge=0, le=65535, rule="a port from 0 to 65535, or off"
    )
    """Port of the Prometheus metrics; 0 picks a free one, off serves none."""

    http_port: int | None = setting(
        "HTTP_PORT", default=None, parse=_port_or_off, ge=0, le=65535, rule="a port from 0 to 65535, or off"
    )
    """Port of HTTP/JSON for the RPCs of this process; 0 picks a free one, off (and empty) serves none."""

    log_level: str = setting(
        "LOG_LEVEL", default="INFO", parse=str.upper, choices=("DEBUG", "INFO", "WARNING", "ERROR")
    )
    """The least severe level that is logged."""

    log_format: str = setting("LOG_FORMAT", default="text", choices=("text", "json"))
    """How a line of the log looks: text for people, json for machines."""

    drain_seconds: float = setting("DRAIN_SECONDS", default=5.0, ge=0, le=3600)
    """Seconds between SIGTERM and the end for RPCs under way; what is open after them is cancelled."""

    max_message_bytes: int = setting("MAX_MESSAGE_BYTES", default=8 << 20, ge=1024, le=(1 << 31) - 1)
    """Largest gRPC message taken or sent, in bytes; a larger one is answered RESOURCE_EXHAUSTED."""

    unary_deadline_seconds: float = setting("UNARY_DEADLINE_SECONDS", default=30.0, ge=0.001, le=3600)
    """Seconds a call of one answer may take when the caller sets no deadline."""

    otel_endpoint: str = setting("OTEL_EXPORTER_OTLP_ENDPOINT", default="", rule="a URL such as http://localhost:4317")
    """OpenTelemetry collector (OTLP over gRPC) that gets the traces. Empty: no traces are made."""
