"""Reddit: what is posted in forums about shares, coins and the economy."""

from __future__ import annotations

from typing import Final

from collector_service.compiler import compile_source
from collector_service.spec import (
    Const,
    Dialect,
    Endpoints,
    Heartbeat,
    Index,
    Instruments,
    Join,
    Limits,
    Line,
    Notice,
    Poll,
    Requested,
    Seconds,
    SignIn,
    SourceKind,
    SourceSpec,
    Verification,
)

_POST: Final = 4
_FORUMS: Final = ("wallstreetbets", "stocks", "investing", "economics", "CryptoCurrency", "Bitcoin")

SPEC: Final = SourceSpec(
    name="REDDIT",
    title="Reddit, new posts",
    kind=SourceKind.ALTERNATIVE,
    documentation="https://support.reddithelp.com/hc/en-us/articles/16160319875092-Reddit-Data-API-Wiki",
    read_on="2026-11-30",
    terms="For an application registered with Reddit, under its Data API Terms: commercial use needs a contract, and what its author deletes "
    "has to be deleted by whoever keeps it.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints(
        "",
        "https://oauth.reddit.com",
        headers=(("User-Agent", "{secret:REDDIT_USER_AGENT}"), ("Authorization", "Bearer {secret:REDDIT_TOKEN}")),
    ),
    sign_in=SignIn(
        path="https://www.reddit.com/api/v1/access_token",
        client=("{secret:REDDIT_CLIENT_ID}", "{secret:REDDIT_CLIENT_SECRET}"),
        body={"grant_type": "client_credentials"},
        secret="REDDIT_TOKEN",  # noqa: S106 - what it is called
        expires="expires_in",
    ),
    # A client has 100 requests a minute.
    limits=Limits(1000, 1.0, 1.0),
    heartbeat=Heartbeat(stale_after_s=24 * 3600.0),
    dialects=(
        Dialect(
            name="listings",
            polls=(
                Poll(
                    path="/r/{symbol}/new?limit=100&raw_json=1",
                    every_s=30.0,
                    record=Notice(
                        symbol=Requested(),
                        kind=_POST,
                        id="data.name?",
                        headline="data.title?",
                        link=Join((Const("https://www.reddit.com"), "data.permalink?")),
                        category="data.link_flair_text?",
                        time=Seconds("data.created_utc?"),
                        where={"kind": "t3"},
                        latest=True,
                        newest_first=True,
                        each="data.children",
                    ),
                ),
            ),
            instruments=(
                Instruments(
                    given=tuple({"symbol": one, "name": f"New posts in r/{one}"} for one in _FORUMS),
                    lines=(Line(symbol="symbol", index=Index(name="name", provider=Const("Reddit"))),),
                ),
            ),
        ),
    ),
    notes=(
        "It asks for a User-Agent of the form `platform:application:version (by /u/name)`: REDDIT_USER_AGENT.",
        "Titles alone are told, not texts and comments; what is deleted later is not taken back. No listing is told of: posts name no securities.",
        "The category is the flair that the author chose.",
    ),
)
REDDIT: Final = compile_source(SPEC)
