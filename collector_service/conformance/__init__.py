"""What every source has to do, as a list of checks against a mock venue made from the source's own specification.

A check that a source passes shows that specification, compiler, book machine and runtime agree with each other under everything a venue may do;
whether the specification agrees with the venue is shown by recordings and by examples of its documentation, not here.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from collector_service.conformance import books, chains, faults, sockets, streams
from collector_service.conformance.report import Check, FailedError, Outcome, SkippedError, Verdict, run_check
from collector_service.source import Source

Run = Callable[[Source], list[str] | Coroutine[Any, Any, list[str]]]

_NO_BOOKS: Final = "it has no books"
_QUOTES: Final = "what a pool is quoted at follows from its curve: its tests hold that to the pools' own libraries"
_PINGS: Final = "a node is kept alive by the pings of WebSocket alone"
_NO_POLLS: Final = "nothing of it is polled"


def _either(of_venue: Run, of_chain: Run | str) -> Run:
    """The check of a source of its kind; a text says why there is none."""

    def run(source: Source) -> list[str] | Coroutine[Any, Any, list[str]]:
        if chains.chain_of(source) is None:
            return of_venue(source)
        if isinstance(of_chain, str):
            raise SkippedError(of_chain)
        return of_chain(source)

    return run


CHECKS: Final = tuple(
    Check(identifier, (function.__doc__ or "").partition(": ")[2].strip(), _either(function, of_chain))
    for identifier, function, of_chain in (
        ("C01-subscribe", streams.subscribes, chains.subscribes),
        ("C02-heartbeat", streams.keeps_alive, _PINGS),
        ("C03-trades", streams.trades_exact, chains.trades_exact),
        ("C04-quotes", streams.quotes_exact, _QUOTES),
        ("C05-symbols", streams.symbols_come_back, chains.symbols_come_back),
        ("C06-books", books.equal_to_the_venues, _NO_BOOKS),
        ("C07-gap", books.gap_is_noticed, chains.what_is_missed_is_asked_for),
        ("C08-checksum", books.checksum_is_checked, _NO_BOOKS),
        ("C09-duplicates", books.duplicates_and_disorder, chains.duplicates_and_disorder),
        ("C10-unknown-words", faults.unknown_words, chains.unknown_words),
        ("C11-unknown-messages", faults.unknown_messages, chains.unknown_messages),
        ("C12-broken-frames", faults.broken_frames, chains.broken_frames),
        ("C13-slow-start", books.slow_start, chains.slow_start),
        ("C14-reconnect", books.reconnects, chains.reconnects),
        ("C15-storm", sockets.storm, sockets.storm),
        ("C16-lifetime", sockets.lifetime, sockets.lifetime),
        ("C17-retry-after", sockets.retry_after, sockets.retry_after),
        ("C18-silence", sockets.silence, sockets.silence),
        ("C19-polls", streams.polls_exact, _NO_POLLS),
    )
)
"""In the order in which somebody who writes a source wants to see them."""

__all__ = ["CHECKS", "Check", "FailedError", "Outcome", "SkippedError", "Verdict", "run_check"]
