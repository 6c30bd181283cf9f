"""What a service process is built on: configuration, gRPC server, interceptor, health, metrics, traces, drain.

Lives here: `config` (environment variables into a frozen dataclass), `server_config` (the fields every service has),
`interceptors` (errors, deadlines, metrics and spans of every RPC), `health`, `metrics`, `telemetry`, `logging`, `server`
(one gRPC server from listening to drained) and `service` (`run` for a process, `serve_in_background` inside a loop).
Not here: what a service answers (its own package), and how a client reads an error (`alphapulse.client`).
"""

from alphapulse.runtime.config import Variable, describe, load, setting
from alphapulse.runtime.health import Readiness
from alphapulse.runtime.server import Application, GrpcService
from alphapulse.runtime.server_config import ServerConfig
from alphapulse.runtime.service import ServiceHandle, launch, run, serve, serve_in_background

__all__ = [
    "Application",
    "GrpcService",
    "Readiness",
    "ServerConfig",
    "ServiceHandle",
    "Variable",
    "describe",
    "launch",
    "load",
    "run",
    "serve",
    "serve_in_background",
    "setting",
]
