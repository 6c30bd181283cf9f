"""A schedule with declared exceptions against a model that walks hour by hour."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from registry_service.venue.calendars import TradingDay
from registry_service.venue.schedule import AlwaysOpen, Declared, Effect, Phase, Schedule, effective_days

BEGIN = date(2024, 3, 4)
DAYS = 8
TOLD = datetime(2024, 1, 1, tzinfo=UTC)


def at(day: int, hour: int) -> datetime:
    return datetime.combine(BEGIN, time(), tzinfo=UTC) + timedelta(days=day, hours=hour)


@st.composite
def trading_days(draw: st.DrawFn) -> list[TradingDay]:
    found = []
    for number in sorted(draw(st.sets(st.integers(0, DAYS - 1), min_size=1))):
        start = draw(st.integers(0, 12))
        end = draw(st.integers(start + 4, 24))
        pause = draw(st.none() | st.integers(start + 1, end - 3))
        found.append(
            TradingDay(
                BEGIN + timedelta(days=number),
                at(number, start),
                at(number, end),
                at(number, pause) if pause else None,
                at(number, pause + 1) if pause else None,
                closed=draw(st.booleans()),
            )
        )
    return found


@st.composite
def exceptions(draw: st.DrawFn) -> list[Declared]:
    found = []
    for number in range(draw(st.integers(0, 5))):
        effect = draw(st.sampled_from(list(Effect)))
        day = draw(st.integers(0, DAYS - 1))
        low = draw(st.integers(0, 20))
        high = draw(st.integers(low + 1, 24))
        declared = TOLD + timedelta(hours=number)
        withdrawn = draw(st.none() | st.just(declared + timedelta(hours=draw(st.integers(1, 8)))))
        first = BEGIN + timedelta(days=day)
        last = first + timedelta(days=draw(st.integers(0, 2))) if effect is Effect.CLOSED else None
        span = (at(day, low), at(day, high)) if effect is not Effect.CLOSED else (None, None)
        dated = first if effect is not Effect.INTERRUPTION else None
        found.append(Declared(f"e{number}", effect, declared, withdrawn, dated, last, *span))
    return found


def model(days: list[TradingDay], told: list[Declared], known: datetime) -> dict[datetime, bool]:
    """Open or not in each hour, each question asked anew."""
    valid = [one for one in told if one.in_force(known)]
    answer = {}
    for hour in range(DAYS * 24):
        moment = at(0, hour)
        spans = []
        for number in range(DAYS):
            day = BEGIN + timedelta(days=number)
            last = [one for one in valid if one.effect is not Effect.INTERRUPTION and one.covers(day)]
            usual = next((one for one in days if one.day == day), None)
            if last and last[-1].effect is Effect.CLOSED:
                continue
            if last:
                start, end = last[-1].start, last[-1].end
                assert start is not None
                assert end is not None
            elif usual is None or (
                usual.closed and not any(one.effect is Effect.CLOSED and one.covers(day) for one in told)
            ):
                continue
            else:
                start, end = usual.open, usual.close
            pause = (usual.break_start, usual.break_end) if usual else (None, None)
            broken = pause[0] is not None and pause[1] is not None and start < pause[0] and pause[1] < end
            spans.append((start, end, pause if broken else (None, None)))
        is_open = any(
            start <= moment < end and not (pause[0] and pause[1] and pause[0] <= moment < pause[1])
            for start, end, pause in spans
        )
        halted = any(
            one.effect is Effect.INTERRUPTION and one.start and one.end and one.start <= moment < one.end
            for one in valid
        )
        answer[moment] = is_open and not halted
    return answer


@given(trading_days(), exceptions(), st.integers(0, 14))
def test_hour_by_hour(days: list[TradingDay], told: list[Declared], known_hours: int) -> None:
    known = TOLD + timedelta(hours=known_hours)
    valid = [one for one in told if one.in_force(known)]
    schedule = Schedule(effective_days(days, valid, told), [one for one in valid if one.effect is Effect.INTERRUPTION])
    wanted = model(days, told, known)
    hours = sorted(wanted)
    for place, moment in enumerate(hours):
        answer = schedule.at(moment)
        assert (answer.phase is Phase.REGULAR) == wanted[moment], moment
        later = hours[place + 1 :]
        was = [wanted[moment], *(wanted[hour] for hour in later)]
        opens = next((hour for hour, before, now in zip(later, was, was[1:], strict=False) if now and not before), None)
        closes = next(
            (hour for hour, before, now in zip(later, was, was[1:], strict=False) if before and not now), None
        )
        ends = [hour for hour, now in wanted.items() if now]
        if any(was) and (closes is None or closes > ends[-1]):
            # The last close of all: where it ends trading that went on from day to day, it is not known to be one.
            assert answer.next_close in (closes or at(DAYS, 0), None)
            assert answer.next_close is not None or at(0, 0) + timedelta(days=1) <= ends[-1]
        else:
            assert answer.next_close == closes
        assert answer.next_open == opens


@given(exceptions())
def test_a_venue_that_never_closes(told: list[Declared]) -> None:
    zone = ZoneInfo("America/New_York")
    valid = [one for one in told if one.in_force(TOLD + timedelta(days=1)) and one.effect is not Effect.HOURS]
    hours = AlwaysOpen(valid, zone)
    begin, end = at(0, 0), at(DAYS, 0)
    spans = hours.open_spans(begin, end)
    for number in range(DAYS * 24):
        moment = at(0, number)
        closed = any(
            (one.effect is Effect.CLOSED and one.covers(moment.astimezone(zone).date()))
            or (one.effect is Effect.INTERRUPTION and one.start and one.end and one.start <= moment < one.end)
            for one in valid
        )
        assert (hours.at(moment).phase is Phase.REGULAR) == (not closed)
        assert any(start <= moment < stop for start, stop in spans) == (not closed)
