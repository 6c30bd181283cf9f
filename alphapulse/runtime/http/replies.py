"""Answers and errors as HTTP. An error has the shape of the Connect protocol, which its clients turn back into a status with details:

    {"code": "invalid_argument", "message": "...", "details": [{"type": "google.rpc.ErrorInfo", "value": "<base64>", "debug": {...}}]}

`debug` is the detail as JSON, for whoever reads it with curl.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from aiohttp import web
from google.protobuf import symbol_database
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.json_format import MessageToDict, MessageToJson
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from alphapulse.domain.errors import AlphaPulseError, PayloadTooLarge
from alphapulse.runtime.status import to_status

JSON: Final = "application/json"
PROTO: Final = "application/proto"
HTTP_OF_CODE: Final = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
"""HTTP status of each gRPC status name, as the Connect protocol has it."""
_COMPRESSED_FROM: Final = 1024


def http_status(code: str, reason: str = "") -> int:
    """The HTTP status of an error. One reason has its own: a request that is too large stays so, and 429 would say try again."""
    return 413 if reason == PayloadTooLarge.reason else HTTP_OF_CODE[code]


def json_of(message: Message) -> str:
    """A message by the JSON mapping of proto3, on one line."""
    return MessageToJson(message, indent=None, ensure_ascii=False)


def answer(request: web.Request, body: bytes | str, content_type: str = JSON, status: int = 200) -> web.Response:
    """A body, compressed where the caller takes that and it is worth it."""
    data = body.encode() if isinstance(body, str) else body
    response = web.Response(body=data, status=status, content_type=content_type)
    if len(data) >= _COMPRESSED_FROM:
        response.enable_compression()
    return response


def failure(request: web.Request, status: status_pb2.Status, http: int | None = None) -> web.Response:
    """An error of a service, or of the way to it."""
    reply = answer(request, json.dumps(error_json(status), ensure_ascii=False))
    info, retry = _detail(status, error_details_pb2.ErrorInfo), _detail(status, error_details_pb2.RetryInfo)
    reply.set_status(http or http_status(code_pb2.Code.Name(status.code), info.reason if info else ""))
    if retry is not None:
        delay = retry.retry_delay
        reply.headers["Retry-After"] = str(delay.seconds + (delay.nanos > 0))
    return reply


def refusal(request: web.Request, error: AlphaPulseError, http: int | None = None) -> web.Response:
    """An error that was found before a service was asked."""
    return failure(request, to_status(error), http)


def error_json(status: status_pb2.Status) -> dict[str, Any]:
    """The JSON of an error."""
    name = code_pb2.Code.Name(status.code)
    return {
        "code": "canceled" if name == "CANCELLED" else name.lower(),
        "message": status.message,
        "details": [_detail_json(detail) for detail in status.details],
    }


def _detail_json(detail: AnyMessage) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": detail.TypeName(),
        "value": base64.b64encode(detail.value).rstrip(b"=").decode(),
    }
    try:
        message = symbol_database.Default().GetSymbol(detail.TypeName())()
        message.ParseFromString(detail.value)
    except (KeyError, DecodeError):
        return found
    return {**found, "debug": MessageToDict(message)}


def _detail(status: status_pb2.Status, kind: type[Any]) -> Any | None:
    found = kind()
    return next((found for detail in status.details if detail.Is(kind.DESCRIPTOR) and detail.Unpack(found)), None)
