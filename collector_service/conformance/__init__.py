"""What every source has to do, as a list of checks against a mock venue made from the source's own specification.

A check that a source passes shows that specification, compiler, book machine and runtime agree with each other under everything a venue may do;
whether the specification agrees with the venue is shown by recordings and by examples of its documentation, not here.
"""

from __future__ import annotations

from typing import Final

from collector_service.conformance import books, faults, sockets, streams
from collector_service.conformance.report import Check, FailedError, Outcome, SkippedError, Verdict, run_check

CHECKS: Final = tuple(
    Check(identifier, (function.__doc__ or "").partition(": ")[2].strip(), function)
    for identifier, function in (
        ("C01-subscribe", streams.subscribes),
        ("C02-heartbeat", streams.keeps_alive),
        ("C03-trades", streams.trades_exact),
        ("C04-quotes", streams.quotes_exact),
        ("C05-symbols", streams.symbols_come_back),
        ("C06-books", books.equal_to_the_venues),
        ("C07-gap", books.gap_is_noticed),
        ("C08-checksum", books.checksum_is_checked),
        ("C09-duplicates", books.duplicates_and_disorder),
        ("C10-unknown-words", faults.unknown_words),
        ("C11-unknown-messages", faults.unknown_messages),
        ("C12-broken-frames", faults.broken_frames),
        ("C13-slow-start", books.slow_start),
        ("C14-reconnect", books.reconnects),
        ("C15-storm", sockets.storm),
        ("C16-lifetime", sockets.lifetime),
        ("C17-retry-after", sockets.retry_after),
        ("C18-silence", sockets.silence),
        ("C19-polls", streams.polls_exact),
    )
)
"""In the order in which somebody who writes a source wants to see them."""

__all__ = ["CHECKS", "Check", "FailedError", "Outcome", "SkippedError", "Verdict", "run_check"]
