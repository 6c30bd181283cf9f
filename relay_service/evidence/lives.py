"""The lives of a relay by the names that clients know them by."""

from __future__ import annotations

from alphapulse.domain.errors import InvalidArgument, Unavailable
from relay_service.log.reader import LogReader


class Lives:
    """Of one log."""

    def __init__(self, log: LogReader, own: str) -> None:
        self._log = log
        self._own = own
        """The relay_id of the life that runs."""

    def name_of(self, incarnation: int) -> str:
        """The relay_id of a life."""
        return self._log.life_of(incarnation, self._own)

    def incarnation_of(self, relay_id: str) -> int:
        """The life of a relay_id; the one that runs where it is empty. Raises InvalidArgument, and Unavailable before the log was reached."""
        if not self._log.incarnation:
            raise Unavailable("the log has not been reached since this relay was started", retry_after=1.0)
        if not relay_id or relay_id == self._own:
            return self._log.incarnation
        return incarnation_in(relay_id, self._log.name)


def incarnation_in(relay_id: str, name: str) -> int:
    """The life in a relay_id of a log's name. Raises InvalidArgument."""
    given, _, life = relay_id.rpartition(".")
    if given != name:
        text = f"this log is of {name}: a life of it is {name}, a dot and 1 to 16 hexadecimal digits"
        raise InvalidArgument.field("relay_id", relay_id, "relay-id", text)
    try:
        incarnation = int(life, 16) if life.isalnum() else 0
    except ValueError:
        incarnation = 0
    if not 0 < incarnation < 1 << 64:
        text = "behind the name and a dot stand 1 to 16 hexadecimal digits, not all of them 0"
        raise InvalidArgument.field("relay_id", relay_id, "relay-id", text)
    return incarnation
