"""docs/errors.md: every reason from the error classes, every rule of a violation from the code that names it."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Final

from violation_rules import ROOT, Site, module_of, name_of, rules, sites_of, source_files

from alphapulse.domain.errors import AlphaPulseError, reasons
from alphapulse.runtime.http.replies import http_status

_MOST_SENTENCES: Final = 3

ADVICE: Final = {
    "ABORTED": "Read again and retry.",
    "ALREADY_EXISTS": "Read what is there; change it with the Update RPC.",
    "AMBIGUOUS_IDENTIFIER": "Choose one of the candidates, or narrow the question: a venue, a date.",
    "CIRCUIT_OPEN": "Wait as long as RetryInfo says.",
    "COLLISION": "Read the collision case and resolve it. Nothing was overwritten.",
    "CONFIGURATION_ERROR": "Correct the variable that is named; docs/configuration.md has all of them.",
    "CONSISTENCY_NOT_REACHED": "Retry with the same token; where the hint says that the token is of another database, forget it.",
    "DATA_LOSS": "Restore from a backup; report the error id to whoever runs the service.",
    "DEADLINE_EXCEEDED": "Retry a read. Repeat a write with the same request_id: it is done once.",
    "DRAINING": "Connect again; another replica answers.",
    "FAILED_PRECONDITION": "Change what the message names, then ask again.",
    "FRAME_BAD_MAGIC": "Close the connection: the peer speaks something else.",
    "FRAME_CORRUPT": "Close the connection and connect again.",
    "FRAME_ERROR": "Close the connection and connect again.",
    "FRAME_SEQUENCE_FENCED": "Stop: another process sends for this source now.",
    "FRAME_TOO_LARGE": "Send smaller frames.",
    "FRAME_TRUNCATED": "Connect again.",
    "FRAME_UNKNOWN_TYPE": "Nothing; update the older side.",
    "FRAME_UNSUPPORTED_VERSION": "Update the older side.",
    "INTERNAL": "Report the error id: the log of the server has the rest.",
    "INVALID_ARGUMENT": "Correct every field that is listed; the rules are below.",
    "LOG_HOLE": "Nothing: the event is gone. RELAY_LOG_BUFFER_BYTES says how much the relay keeps while the log's server is away.",
    "NOT_FOUND": "Check the id; a look-up answers NOT_FOUND as an outcome, not as an error.",
    "OUT_OF_RANGE": "Ask within what is kept.",
    "LOG_UNAVAILABLE": "Send it again, a little later, from the sequence that is named; the SDK does.",
    "NO_EVENT_LOG": "Start now, or with a snapshot; what was missed is told as a gap.",
    "PAGE_TOKEN_INVALID": "Begin with the first page; a token holds for the same filter alone.",
    "PAYLOAD_TOO_LARGE": "Send or ask for less at once; `limit` is MAX_MESSAGE_BYTES of the server.",
    "PERMISSION_DENIED": "Ask for the role that is named.",
    "REFERENCE_WRONG_CLASS": "Name an instrument of a class that can stand there.",
    "RELAY_CONNECTION_LOST": "Nothing: the SDK connects again and tells the gap.",
    "REQUEST_ID_REUSED": "Use a new request_id for another request.",
    "RESOURCE_EXHAUSTED": "Slow down; retry after what RetryInfo says.",
    "RESUME_TOKEN_INVALID": "Start without the token.",
    "RESUME_TOKEN_TOO_OLD": "Start without the token: with a snapshot, or from `oldest_token` of the metadata; what was missed is told as a gap.",
    "SOURCE_RATE_LIMITED": "Send less, or raise the limit of the domain; the SDK waits and sends again, of other sources the loss is declared.",
    "SNAPSHOT_REQUIRED": "Watch again without a token: a snapshot comes first.",
    "STALE_ETAG": "Read the entry again, decide again, write with the new etag.",
    "STORE_UNAVAILABLE": "Retry after what RetryInfo says. Nothing was written.",
    "SUBSCRIBER_TOO_SLOW": "Read faster, take fewer events, or subscribe with conflation; resume with the token.",
    "TOO_MANY_SUBSCRIPTIONS": "Use fewer subscriptions, or another client.",
    "VENUE_UNAVAILABLE": "Nothing: the source connects again, as late as the venue says.",
    "WRONG_DOMAIN": "Publish them under a source of their domain.",
    "WRONG_PARTITION": "Give every partition's address, in their order, wherever relays are named; each relay's RELAY_PARTITION says which it is.",
    "UNAUTHENTICATED": "Send a valid token.",
    "UNAVAILABLE": "Retry, later each time.",
    "UNIMPLEMENTED": "docs/not-yet.md says what is not served; GET / lists the RPCs that are.",
}
"""What to do, by reason. A reason without a line here cannot be generated."""


def page(header: str) -> str:
    """docs/errors.md."""
    import_error_classes()
    found, _ = rules()
    keys = _metadata()
    table = "".join(_reason_row(reason, kind, keys.get(kind.__name__, set())) for reason, kind in reasons())
    listed = "".join(
        f"| `{name}` | {_cell(' / '.join(list(one.sentences)[:_MOST_SENTENCES])) or 'see its description'} | {', '.join(sorted(one.places))} |\n"
        for name, one in found.items()
    )
    return _TEXT.format(header=header, reasons=table, rules=listed, count=len(found))


def import_error_classes() -> None:
    """Imports every module that gives a class a reason: only then is it among the reasons."""
    for path in source_files():
        for node in ast.walk(module_of(path)):
            if isinstance(node, ast.ClassDef) and any(_gives_reason(one) for one in node.body):
                importlib.import_module(_module(path))


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    # A package under the name of its file would be defined a second time.
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _gives_reason(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Assign):
        return False
    return any(
        isinstance(one, ast.Name) and one.id == "reason" for target in statement.targets for one in ast.walk(target)
    )


def _reason_row(reason: str, kind: type[AlphaPulseError], keys: set[str]) -> str:
    text = " ".join((kind.__doc__ or "").split())
    shown = ", ".join(f"`{key}`" for key in sorted(keys))
    return f"| `{reason}` | {kind.code} | {http_status(kind.code, reason)} | {_cell(text)} | {shown} | {ADVICE[reason]} |\n"


def _metadata() -> dict[str, set[str]]:
    """The metadata keys that the code gives each error class."""
    found: dict[str, set[str]] = {}
    for site in sites_of():
        given = next((keyword.value for keyword in site.call.keywords if keyword.arg == "metadata"), None)
        if isinstance(given, ast.Name) and site.function is not None:
            given = next(
                (
                    n.value
                    for n in ast.walk(site.function)
                    if isinstance(n, ast.Assign) and name_of(n.targets[0]) == name_of(given)
                ),
                given,
            )
        if isinstance(given, ast.Dict):
            keys = {str(key.value) for key in given.keys if isinstance(key, ast.Constant)}
            name = name_of(site.call.func)
            owner = _class_of(site) if name == "cls" else name
            found.setdefault(owner, set()).update(keys)
    return found


def _class_of(site: Site) -> str:
    for node in ast.walk(module_of(site.path)):
        if isinstance(node, ast.ClassDef) and node.lineno <= site.call.lineno <= (node.end_lineno or 0):
            return node.name
    return ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


_TEXT: Final = """{header}
# Errors

Every error of every service has a reason. Over gRPC it is a google.rpc.Status with details in the trailer
`grpc-status-details-bin`; over HTTP/JSON the same details stand in the body (`http.md`); the SDK and the command raise them as the
class of `alphapulse.domain.errors` whose reason it is.

- `ErrorInfo`: `reason`, domain `alphapulse`, `metadata`.
- `BadRequest`: every violated field at once, each with its path and a sentence that ends in the refused value and the rule's
  name. Value and rule of violation N stand in `ErrorInfo.metadata`, too, under `violation.N.value` and `violation.N.rule`;
  `violations_omitted` counts those left out of a very long list.
- `RetryInfo`: after how long a retry helps. `LocalizedMessage`: how to mend it.

Programs compare reasons and rules; sentences are for people and change. A reason that a client does not know
(`UNKNOWN_REASON`) comes from a newer service.

## Reasons

| reason | gRPC code | HTTP | meaning | metadata | what to do |
|---|---|---|---|---|---|
{reasons}
## Rules of violations

{count} rules, as the code names them. `…` stands for what a sentence says of the value; `<...>` in a rule for the scheme or kind it is
of. `http-*` and `json-*` are of HTTP/JSON.

| rule | told as | from |
|---|---|---|
{rules}"""
