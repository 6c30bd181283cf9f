"""HTTP/JSON for the RPCs of a service process: what curl, a browser's tools and the Connect clients speak.

`POST /package.Service/Method` with the request as JSON, by the Connect protocol; `GET` with query parameters for what only reads. Every path
comes from the protos' descriptors, none is written by hand, and every call goes through the process's own gRPC server: errors, deadlines,
limits and metrics are the same.

Lives here: `methods` (paths from descriptors), `bodies` (how a body is packed), `query` (parameters into a message, each fault with its
field; a body's JSON is `alphapulse.json_text`'s), `replies` (answers and errors as JSON), `caller` (the way into the gRPC server), `gateway`
(the HTTP server). Not here: what a service answers.
"""

from alphapulse.runtime.http.caller import Caller
from alphapulse.runtime.http.gateway import Gateway, HttpPage

__all__ = ["Caller", "Gateway", "HttpPage"]
