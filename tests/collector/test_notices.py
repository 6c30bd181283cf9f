"""What is published: given once, given again when it changed, cut where it does not fit, and one bad item costs no other."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.provenance import Provenance, RecordFlag
from alphapulse.records import NOTICE, STATISTIC, texts_at_fault
from collector_service.compiler import SpecificationError, values
from collector_service.compiler.records import compile_route
from collector_service.listing_index import ListingIndex
from collector_service.listings import SecurityTerms, VenueSymbol
from collector_service.notices import MAX_SUBJECTS, OVERRUN, Notice, Notices, clipped
from collector_service.rows import RowSink, as_array
from collector_service.session import Session
from collector_service.sources import SOURCES
from collector_service.spec import About, Const, Iso, Statistic
from collector_service.spec import Notice as NoticeSpec
from collector_service.told import Told
from collector_service.transport.base import Arrival, ArrivalKind

CALENDAR = "/api/v1/calendar/economic?from=2026-05-20&to=2026-06-04"
FILINGS = "/cgi-bin/browse-edgar?action=getcurrent&owner=include&count=100&output=atom"


def share(symbol: str, **extras: str) -> VenueSymbol:
    return VenueSymbol(
        symbol, "", "USD", frozenset(), extras=extras, security=SecurityTerms(AssetClass.EQUITY, symbol, "XNAS")
    )


def session_of(name: str, *shares: VenueSymbol) -> Session:
    source = SOURCES[name]
    listings = ListingIndex(source.venue)
    for request in source.discovery.requests:
        if request.given is not None:
            listings.learn(request.given.entries)
    listings.learn(shares)
    return Session(source, listings, Provenance.LIVE)


def answered(session: Session, url: str, body: str) -> list[Any]:
    session.handle(Arrival(ArrivalKind.RESPONSE, 1, body.encode(), 0, url))
    rows = session.sink.take().get(NOTICE.event_type, [])
    return list(as_array(NOTICE, rows)) if rows else []


def entries(*events: dict[str, Any]) -> str:
    return json.dumps({"economicCalendar": [{"country": "US", "time": "2026-05-21 12:30:00", **one} for one in events]})


def filing(number: int, name: str = "Apple Inc.", cik: int = 320193) -> str:
    return (
        f"<entry><title>8-K - {name} ({cik:010}) (Filer)</title><updated>2026-07-09T10:16:01-04:00</updated>"
        f"<id>urn:tag:sec.gov,2008:accession-number=0000320193-26-{number:06}</id></entry>"
    )


def feed(*items: str) -> str:
    return f'<feed xmlns="http://www.w3.org/2005/Atom">{"".join(items)}</feed>'


class Writer:
    """Notices by themselves, and the rows they gave."""

    def __init__(self, *shares: VenueSymbol) -> None:
        self.sink = RowSink(7)
        listings = ListingIndex("X")
        listings.learn(shares)
        self.notices = Notices(listings, self.sink, lambda symbol: (len(symbol), 1))
        self.listings = listings

    def tell(self, *told: Notice, **how: str) -> list[Any]:
        self.notices.begin()
        for one in told:
            self.notices.tell("feed", one, **how)
        rows = self.sink.take().get(NOTICE.event_type, [])
        return list(as_array(NOTICE, rows)) if rows else []


@given(st.text(max_size=300), st.integers(1, 64))
def test_a_text_is_cut_at_a_character_and_says_so(text: str, size: int) -> None:
    data, cut = clipped(text, size)
    line = " ".join(text.replace("\0", " ").split())
    assert len(data) <= size
    assert line.startswith(data.decode())
    assert cut == (data.decode() != line)
    # Not a character less than fits.
    assert not cut or len(line[: len(data.decode()) + 1].encode()) > size


@given(st.binary(max_size=40).map(lambda data: data.decode("utf-8", "surrogateescape")), st.integers(1, 20))
def test_what_is_no_text_never_reaches_a_row(text: str, size: int) -> None:
    data, _ = clipped(text, size)
    assert 0 not in data
    data.decode()


def test_texts_that_do_not_fit_are_cut_and_marked_and_a_link_is_left_out() -> None:
    writer = Writer(share("AAPL"))
    long = Notice(2, "https://x.test/" + "i" * 200, "é" * 300, link="https://x.test/" + "l" * 300, words=("AAPL",))
    row, about = writer.tell(long)
    assert row["headline"].decode() == "é" * 120
    assert row["link"] == b""
    assert row["document_id"].decode() == f"sha256:{hashlib.sha256(long.document_id.encode()).hexdigest()[:40]}"
    assert row["flags"] & RecordFlag.TEXT_CUT
    assert about["flags"] & RecordFlag.TEXT_CUT
    whole, _ = writer.tell(long._replace(document_id="i", headline="h", link="https://x.test/l"))
    assert not whole["flags"] & RecordFlag.TEXT_CUT
    assert not texts_at_fault(NOTICE, as_array(NOTICE, [row.tobytes(), about.tobytes()])).any()


def test_a_notice_is_told_once_for_its_feed_and_once_under_each_listing_it_is_about() -> None:
    writer = Writer(share("GOOG", cik="1652044"), share("GOOGL", cik="1652044"), share("AAPL", cik="320193"))
    rows = writer.tell(Notice(1, "1", "h", words=("1652044", "999", "320193", "1652044")), by="cik")
    keys = [writer.listings.key(symbol) for symbol in ("GOOG", "GOOGL", "AAPL")]
    assert [int(row["listing_key"]) for row in rows] == [4, *keys]
    assert [row["subject"].decode() for row in rows] == [
        "1652044, 999, 320193, 1652044",
        "1652044",
        "1652044",
        "320193",
    ]
    assert [int(row["subject_number"]) for row in rows] == [0, 1, 2, 3]
    assert {(int(row["subject_count"]), int(row["subjects_unknown"])) for row in rows} == {(3, 1)}
    assert writer.notices.unknown_subjects == 1


def test_no_document_is_told_under_more_listings_than_are_allowed() -> None:
    writer = Writer(*(share(f"S{place}") for place in range(MAX_SUBJECTS + 5)))
    rows = writer.tell(Notice(2, "1", "h", words=tuple(f"S{place}" for place in range(MAX_SUBJECTS + 5))))
    assert len(rows) == MAX_SUBJECTS + 1
    assert int(rows[0]["subjects_unknown"]) == 5


DOCUMENTS = st.tuples(st.sampled_from("abc"), st.integers(0, 2))
ANSWERS = st.lists(st.tuples(st.lists(DOCUMENTS, max_size=5), st.booleans()), max_size=12)


@given(ANSWERS)
def test_given_once_again_when_changed_and_again_after_a_message_that_failed(
    answers: list[tuple[list[tuple[str, int]], bool]],
) -> None:
    """Held against the plainest reading: per place of an id in its answer, what was told last."""
    writer = Writer()
    told: dict[tuple[str, int], tuple[int, int]] = {}
    for answer, fails in answers:
        before, expected = dict(told), []
        for place, (name, contents) in enumerate(answer):
            key = name, sum(other == name for other, _ in answer[:place])
            last, revision = told.get(key, (None, -1))
            if last != contents:
                told[key] = contents, revision + 1
                expected.append((name, contents, revision + 1))
        mark = writer.sink.mark()
        writer.notices.begin()
        for name, contents in answer:
            writer.notices.tell("feed", Notice(2, name, f"headline {contents}"))
        if fails:
            writer.sink.undo(mark)
            writer.notices.undo()
            told, expected = before, []
        rows = writer.sink.take().get(NOTICE.event_type, [])
        found = list(as_array(NOTICE, rows)) if rows else []
        assert [
            (row["document_id"].decode(), int(row["headline"].decode()[-1]), int(row["revision"])) for row in found
        ] == expected


def test_what_was_told_longest_ago_is_forgotten_first() -> None:
    told: Told[str, int] = Told(2)
    for key in ("a", "b"):
        told.put(key, 1)
    assert told.get("a") == 1
    told.put("c", 1)
    assert (told.get("a"), told.get("b"), told.get("c"), len(told)) == (1, None, 1, 2)


def test_one_item_that_cannot_be_read_costs_no_other() -> None:
    session = session_of("FINNHUB_CALENDAR")
    body = entries(
        {"event": "CPI", "actual": "NaN"},
        {"event": "PPI", "actual": "1.20", "impact": "high"},
        {"event": "GDP", "time": "tomorrow"},
        {"event": ""},
        {"event": ["x"]},
        {"event": "Jobs", "impact": "enormous", "prev": 10**30},
    )
    rows = answered(session, CALENDAR, body)
    assert [row["headline"] for row in rows] == [b"PPI", b"Jobs"]
    assert (int(rows[0]["actual"]), int(rows[0]["actual_exponent"]), int(rows[0]["importance"])) == (120, -2, 3)
    assert math.isnan(rows[0]["sentiment"])
    assert rows[1]["flags"] & RecordFlag.OVERSIZE == 0  # 10**30 is 10 to the power of 30
    assert sum(session.rejects.values()) == 4, session.rejects
    assert session.unknown_values == {"importance=enormous": 1}
    # What could not be read may be read the next time; what could is not told again.
    again = answered(session, CALENDAR, body.replace('"NaN"', "3"))
    assert [row["headline"] for row in again] == [b"CPI"]


@pytest.mark.parametrize("body", ["", "{", "[]", '{"economicCalendar": 5}', '{"economicCalendar": [[1]]}', "\x00\xff"])
def test_answers_that_are_none_are_counted(body: str) -> None:
    session = session_of("FINNHUB_CALENDAR")
    assert not answered(session, CALENDAR, body)
    assert sum(session.rejects.values()) == 1


def test_a_feed_whose_answers_have_nothing_in_common_has_a_hole_and_says_so() -> None:
    session = session_of("SEC_EDGAR", share("AAPL", cik="320193"))
    first = answered(session, FILINGS, feed(filing(2), filing(1)))
    assert [row["document_id"][-6:] for row in first[::2]] == [b"000001", b"000002"], "in the order of publication"
    assert not session.take_gaps(), "what came before it began is no loss"
    assert len(answered(session, FILINGS, feed(filing(4), filing(3), filing(2)))) == 4
    assert not answered(session, FILINGS, feed())
    assert not answered(session, FILINGS, feed(filing(4), filing(3)))
    assert not session.take_gaps()
    assert len(answered(session, FILINGS, feed(filing(9), filing(8)))) == 4
    assert session.take_gaps() == [(OVERRUN, session.emitter.listings.key("edgar/current"))]


def test_a_party_of_a_filing_is_no_revision_of_another() -> None:
    session = session_of("SEC_EDGAR")
    both = feed(filing(1, "Cook Timothy D", 1214156), filing(1))
    assert [int(row["revision"]) for row in answered(session, FILINGS, both)] == [0, 0]
    assert not answered(session, FILINGS, both)


def test_what_may_have_been_lost_on_its_way_is_told_again_and_marked_so() -> None:
    session = session_of("SEC_EDGAR", share("AAPL", cik="320193"))
    assert len(answered(session, FILINGS, feed(filing(1)))) == 2
    session.republish_books(1)
    again = answered(session, FILINGS, feed(filing(2), filing(1)))
    assert [(row["document_id"][-1:], bool(row["flags"] & RecordFlag.POSSIBLE_DUPLICATE)) for row in again] == [
        *[(b"1", True)] * 2,
        *[(b"2", False)] * 2,
    ]
    assert {int(row["revision"]) for row in again} == {0}
    assert not answered(session, FILINGS, feed(filing(2), filing(1)))
    assert not session.take_gaps()


def test_that_nothing_is_published_is_no_silence() -> None:
    session = session_of("SEC_EDGAR", share("AAPL", cik="320193"))
    assert answered(session, FILINGS, feed(filing(1)))
    assert not session.emitter.heard


def test_a_title_that_is_not_as_usual_is_told_without_a_subject() -> None:
    session = session_of("SEC_EDGAR")
    strange = "<entry><title>no cik in this title</title><id>1</id></entry>"
    slow = f"<entry><title>{'(1) ' * 4_000}</title><id>2</id></entry>"
    rows = answered(session, FILINGS, feed(strange, slow))
    assert {(row["subject"], int(row["subjects_unknown"])) for row in rows} == {(b"", 0)}
    assert len(rows) == 2
    assert not session.rejects


def test_figures_of_a_message_that_failed_are_given_when_it_comes_again() -> None:
    record = (
        Statistic(symbol=Const("S"), kind=9, value="a", effective=Iso("d"), repeats=True),
        Statistic(symbol=Const("S"), kind=8, value="b"),
    )
    session = session_of("FRED")
    route = compile_route(record, "TEST")
    assert not session._run(route, b'{"a": 1, "b": "x", "d": "2026-01-01"}')
    assert not session.sink.take()
    assert session._run(route, b'{"a": 1, "b": 2, "d": "2026-01-01"}')
    assert len(session.sink.take()[STATISTIC.event_type]) == 2


@pytest.mark.parametrize(
    ("written", "second"),
    [
        ("Wed, 28 Jan 2026 19:00:00 GMT", 1_769_626_800),
        ("Wed, 28 Jan 2026 14:00:00 EST", 1_769_626_800),
        ("28 Jan 2026 20:00:00 +0100", 1_769_626_800),
        ("Wed, 28 Jan 2026 19:00:00 -0000", 1_769_626_800),
    ],
)
def test_dates_of_mail_are_read(written: str, second: int) -> None:
    assert values.mail_date(written) == second * 10**9


@pytest.mark.parametrize(
    "written", ["soon", "Wed, 28 Jan 2026 19:00:00 CEST", "Wed, 28 Jan 2026 19:00:00", "1 Jan 1900 00:00:00 GMT", 5]
)
def test_dates_of_a_zone_nobody_knows_are_refused(written: Any) -> None:
    with pytest.raises(InvalidArgument):
        values.mail_date(written)


def test_times_numbers_and_words_in_forms_of_their_own() -> None:
    assert values.written("20230821T194500Z", "%Y%m%dT%H%M%SZ") == 1_692_647_100 * 10**9
    assert (values.written("", "%Y"), values.mail_date(None), values.real(None)) == (0, 0, None)
    assert values.real("-0.98") == -0.98
    assert values.words_in(" A, B,,C ", ",") == ("A", "B", "C")
    assert (values.joined("|", "a", "b"), values.joined("|", "a", "")) == ("a|b", "")
    for call in (
        lambda: values.written("20231321", "%Y%m%d"),
        lambda: values.real("inf"),
        lambda: values.real([]),
    ):
        with pytest.raises(InvalidArgument):
            call()


def test_specifications_that_contradict_themselves_are_refused() -> None:
    good: dict[str, Any] = {"kind": 2, "id": "i", "headline": "h", "each": "items"}
    wrongs: tuple[tuple[dict[str, Any], str], ...] = (
        ({"symbol": "s", "latest": True}, r"TEST.symbol"),
        ({"symbol": Const("s"), "latest": True, "each": ""}, r"TEST.each"),
        ({"symbol": Const("s"), "about": About(words=7)}, r"TEST.about.words"),  # type: ignore[arg-type]
        ({"symbol": Const("s"), "time": "t"}, r"TEST.time"),
    )
    for wrong, where in wrongs:
        with pytest.raises(SpecificationError, match=where):
            compile_route(NoticeSpec(**{**good, **wrong}), "TEST")
