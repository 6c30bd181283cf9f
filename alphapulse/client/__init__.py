"""The registries seen from another process: channels, errors, registration streams, watches that resume.

Lives here: `channel` (options, keepalive, retries of reads), `status` (an error as google.rpc.Status, both ways),
`errors` (a failed call turned back into its domain class), `registration` over `batches`, `watch` and `health`. Not here: what a
strategy imports (`strategy_sdk`), the server's side (`alphapulse.runtime`). The stubs themselves are `alphapulse.api`.
"""

from alphapulse.client.backoff import Backoff
from alphapulse.client.channel import READ_DEADLINE, WRITE_DEADLINE, channel_options, open_channel
from alphapulse.client.errors import from_rpc_error, is_transient, translated_errors
from alphapulse.client.health import is_ready, wait_ready
from alphapulse.client.registration import RegistrationStream, SyntheticRegistrationStream, VenueRegistrationStream
from alphapulse.client.watch import Reset, WatchStart, watch, watch_instruments, watch_synthetics, watch_venues

__all__ = [
    "READ_DEADLINE",
    "WRITE_DEADLINE",
    "Backoff",
    "RegistrationStream",
    "Reset",
    "SyntheticRegistrationStream",
    "VenueRegistrationStream",
    "WatchStart",
    "channel_options",
    "from_rpc_error",
    "is_ready",
    "is_transient",
    "open_channel",
    "translated_errors",
    "wait_ready",
    "watch",
    "watch_instruments",
    "watch_synthetics",
    "watch_venues",
]
