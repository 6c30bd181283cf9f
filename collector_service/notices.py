"""What is published, as rows: once for the feed it is from, once for each listing it is about, and not again as long as it stays as it is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.provenance import RecordFlag
from alphapulse.records import NOTICE
from collector_service.amounts import Amount, fitted
from collector_service.listing_index import ListingIndex
from collector_service.rows import RowSink
from collector_service.told import Told

MAX_REMEMBERED: Final = 100_000
"""Documents that are remembered so as not to be given again; the one that was met longest ago is forgotten first."""
MAX_SUBJECTS: Final = 64
"""Listings that a document is told under; of a list of more the first, and the row says of how many nothing is told."""
OVERRUN: Final = "FEED_OVERRUN"
"""The gap of a feed whose answers have nothing in common: what stood between them was never seen."""

_SIZES: Final = NOTICE.texts
_CUT: Final = int(RecordFlag.TEXT_CUT)
_AGAIN: Final = int(RecordFlag.POSSIBLE_DUPLICATE)
_HASH_DIGITS: Final = 40
_ABSENT: Final = (
    int(RecordFlag.ACTUAL_ABSENT),
    int(RecordFlag.FORECAST_ABSENT),
    int(RecordFlag.PREVIOUS_ABSENT),
)


class Notice(NamedTuple):
    """Something that was published, in the source's own words. Empty texts, None and 0 are what it does not tell."""

    kind: int
    document_id: str
    headline: str
    link: str = ""
    subject: str = ""
    category: str = ""
    unit: str = ""
    values: tuple[Amount | None, Amount | None, Amount | None] = (None, None, None)
    """Actual, forecast, previous."""
    sentiment: float | None = None
    importance: int = 0
    effective_ns: int = 0
    time_ns: int = 0
    words: tuple[str, ...] = ()
    """What it says it is about."""


class _State(NamedTuple):
    contents: bytes
    revision: int
    doubts: int
    """As many losses of rows as there were when it was told."""


def clipped(text: str, size: int) -> tuple[bytes, bool]:
    """A text of one line in so many bytes of UTF-8, ended at a character where it is longer; and whether anything is not as it was but for its
    white space."""
    line = " ".join(text.replace("\0", " ").split())
    try:
        data, altered = line.encode(), False
    except UnicodeEncodeError:  # half of a pair of surrogates
        data, altered = line.encode("utf-8", "replace"), True
    if len(data) <= size:
        return data, altered
    return data[:size].decode("utf-8", "ignore").encode(), True


class Notices:
    """The notices of one source. `identify` gives the key of a symbol's listing, with the flags of its rows."""

    def __init__(self, listings: ListingIndex, sink: RowSink, identify: Callable[[str], tuple[int, int]]) -> None:
        self._listings = listings
        self._sink = sink
        self._identify = identify
        self._told: Told[bytes, _State] = Told(MAX_REMEMBERED)
        self._met: dict[str, int] = {}
        self._places: dict[bytes, int] = {}
        self._seen = 0
        self._known = 0
        self._doubts = 0
        self.unknown_subjects = 0
        """Subjects so far of which no listing is known."""

    def tell(self, symbol: str, notice: Notice, *, by: str = "", apart: str = "") -> None:
        """One notice of a feed. `by` names the extra of listings that its words are; empty: they are symbols. What is told `apart` is
        remembered as if it were another document. Raises InvalidArgument for one without id or headline."""
        for field, text in (("id", notice.document_id), ("headline", notice.headline)):
            if not text.strip():
                raise InvalidArgument.field(field, text[:64], "field-missing", "a notice has one")
        identity = _digest(symbol, notice.document_id, apart)
        # An answer that has the same twice has two of them, not a revision.
        place = self._places[identity] = self._places.get(identity, 0) + 1
        if place > 1:
            identity = _digest(identity, place)
        contents = _digest(*notice)
        before = self._told.get(identity)
        self._seen += 1
        if before is not None:
            self._known += 1
            if before == (contents, before.revision, self._doubts):
                return
        same = before is not None and before.contents == contents
        revision = before.revision + (not same) if before is not None else 0
        self._write(symbol, notice, by, revision, _AGAIN if same else 0)
        self._told.put(identity, _State(contents, revision, self._doubts))

    def begin(self) -> None:
        """A message begins."""
        self._told.begin()
        self._places.clear()
        self._seen = self._known = 0

    def undo(self) -> None:
        """The message gave nothing after all: what it told is not told."""
        self._told.undo()

    def clear(self) -> None:
        """Another conversation: what was told is forgotten; what was counted stays."""
        self._told.clear()
        self._met.clear()
        self.begin()

    def doubt(self) -> None:
        """Rows were lost on their way, and nobody knows whose: what feeds still hold is told again when it is met, marked POSSIBLE_DUPLICATE."""
        self._doubts += 1

    def overrun(self, symbol: str) -> bool:
        """At the end of an answer that holds the latest of a feed alone: whether it has nothing in common with what came before, so that something
        may have stood between."""
        lost = bool(self._seen and not self._known and self._met.get(symbol))
        self._met[symbol] = self._met.get(symbol, 0) + self._seen
        return lost

    def _write(self, symbol: str, notice: Notice, by: str, revision: int, marks: int) -> None:
        found, unknown = self._subjects(notice.words, by)
        self.unknown_subjects += unknown
        key, flags = self._identify(symbol)
        texts, cut = _texts(notice)
        subject, subject_cut = clipped(notice.subject or ", ".join(notice.words), _SIZES["subject"])
        amounts, more = _amounts(notice.values)
        flags |= marks | more | (_CUT if cut else 0)
        document_id, headline, link, category, unit = texts
        rows = [(key, flags | (_CUT if subject_cut else 0), subject)]
        for listing, word in found:
            text, word_cut = clipped(word, _SIZES["subject"])
            rows.append((listing, flags | (_CUT if word_cut else 0), text))
        for number, (listing, marked, about) in enumerate(rows):
            self._sink.notice(
                listing, notice.time_ns, marked, document_id, headline, link, about, category, unit,
                amounts[0][0], amounts[1][0], amounts[2][0],
                math.nan if notice.sentiment is None else notice.sentiment, notice.effective_ns,
                amounts[0][1], amounts[1][1], amounts[2][1],
                notice.kind, notice.importance, revision, number, len(found), unknown,
            )  # fmt: skip

    def _subjects(self, words: Sequence[str], by: str) -> tuple[list[tuple[int, str]], int]:
        """(the listings with the word that led to each, how many words led to none)."""
        found: dict[int, str] = {}
        unknown = 0
        for word in dict.fromkeys(words):
            keys = self._listings.bearing(by, word) if by else [key] if (key := self._listings.key(word)) else []
            left = [key for key in keys if key in found or len(found) < MAX_SUBJECTS]
            unknown += len(left) < max(1, len(keys))
            for key in left:
                found.setdefault(key, word)
        return list(found.items()), unknown


def _digest(*parts: object) -> bytes:
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _texts(notice: Notice) -> tuple[tuple[bytes, bytes, bytes, bytes, bytes], bool]:
    """(document id, headline, link, category, unit), and whether one of them is not whole."""
    identity, longer = clipped(notice.document_id, _SIZES["document_id"])
    if longer:
        whole = hashlib.sha256(notice.document_id.encode("utf-8", "surrogatepass")).hexdigest()
        identity = f"sha256:{whole[:_HASH_DIGITS]}".encode()
    link, partial = clipped(notice.link, _SIZES["link"])
    headline, short = clipped(notice.headline, _SIZES["headline"])
    category, cut = clipped(notice.category, _SIZES["category"])
    unit, less = clipped(notice.unit, _SIZES["unit"])
    # A part of an address leads elsewhere.
    return (identity, headline, b"" if partial else link, category, unit), partial or short or cut or less


def _amounts(values: Sequence[Amount | None]) -> tuple[list[Amount], int]:
    found: list[Amount] = []
    flags = 0
    for value, absent in zip(values, _ABSENT, strict=True):
        amount = fitted(value) if value is not None else None
        if value is None:
            flags |= absent
        elif amount is None:
            flags |= int(RecordFlag.OVERSIZE)
        found.append(amount or (0, 0))
    return found, flags
