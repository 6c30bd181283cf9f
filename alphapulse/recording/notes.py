"""What a journal tells besides rows: whose they are, what is missing, what listings and sources are."""

from __future__ import annotations

from typing import Final

import msgspec

RECORDER_STOPPED: Final = "RECORDER_STOPPED"
"""Reason of a gap: the recorder before was ended, and events came until this one began."""
RECORDER_DIED: Final = "RECORDER_DIED"
"""Reason of a gap: the recorder before did not end by itself. What it had written is recorded."""
JOURNAL_DAMAGED: Final = "JOURNAL_DAMAGED"
"""Reason of a gap: bytes of a journal are not what was written, so what they held is lost."""


class Started(msgspec.Struct, tag="started", frozen=True):
    """The first note: rows that follow are of this life of a relay."""

    relay_id: str
    after_sequence: int
    """What the relay's sequences up to this one held is recorded, or declared missing, elsewhere."""
    wanted: str
    """The subscription's filter as JSON of the API."""
    row_sizes: dict[int, int]
    """Bytes a row by event type, as the recorder that wrote the journal had them."""


class Missing(msgspec.Struct, tag="missing", frozen=True):
    """Events that are not recorded."""

    reason: str
    """The relay's, the SDK's, or one of this module's."""
    count: int = 0
    """How many; 0: not known."""
    from_number: int = 0
    """The subscription's own number of the first one; 0 where they had none."""
    to_number: int = 0
    """The subscription's own number of the last one."""
    source: str = ""
    """The source that lost them, where it was a source."""
    listing_key: int = 0
    """The listing concerned. 0: any."""
    after_relay_id: str = ""
    """The life of the relay that the last event before the gap is of."""
    after_sequence: int = 0
    """Its sequence of that event: what is missing came later."""
    before_sequence: int = 0
    """The sequence, of the relay recorded now, from which events are recorded again. 0: not known; the next event's at the latest."""
    last_sequence: int = 0
    """As the relay tells it for a resume: the sequence of the last event missing. 0: not known. In the journal alone."""
    source_gap: int = 0
    """As the relay tells it for a resume: its own number of a source's loss. 0: none. In the journal alone."""


class Defined(msgspec.Struct, tag="defined", frozen=True):
    """What a listing is."""

    definition: bytes
    """A serialized alphapulse.api.relay.v1.ListingDefinition."""


class Sources(msgspec.Struct, tag="sources", frozen=True):
    """Names of sources that the rows' numbers stand for."""

    names: list[str]


class Point(msgspec.Struct, tag="point", frozen=True):
    """Where the relay goes on after everything noted before."""

    resume_token: str
    """The relay's last point. Empty: there is none any more."""
    number: int = 0
    """The subscription's last number, of an event or a gap."""
    sequence: int = 0
    """Behind the relay's point, the highest sequence of an event or a gap. 0: nothing came behind it."""
    source_gap: int = 0
    """Behind the relay's point, the highest number of a source's loss. 0: none came."""

    def rows(self, count: int, last_sequence: int) -> Point:
        """Where it goes on after events."""
        return Point(self.resume_token, self.number + count, max(self.sequence, last_sequence), self.source_gap)

    def missing(self, one: Missing) -> Point:
        """Where it goes on after a gap that was told."""
        return Point(
            self.resume_token,
            max(self.number, one.to_number),
            max(self.sequence, one.last_sequence),
            max(self.source_gap, one.source_gap),
        )


NO_POINT: Final = Point("")
"""There is nothing to go on from."""

Note = Started | Missing | Defined | Sources | Point

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Note)


def encode_note(note: Note) -> bytes:
    """A note as bytes."""
    return _encoder.encode(note)


def decode_note(data: bytes) -> Note:
    """A note from its bytes. Raises msgspec.DecodeError or msgspec.ValidationError."""
    note: Note = _decoder.decode(data)
    return note
