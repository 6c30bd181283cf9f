"""Runs a source: discover, register, connect, decode, hand on; and starts and stops several of them in one process.

What a source is stands in `spec.py` and `sources/`; how frames arrive in `transport/`; how rows leave in `link.py`.
"""

from collector_service.runtime.finding import Finder, GrpcFinder
from collector_service.runtime.registrar import GrpcRegistrar, Registrar, Registration
from collector_service.runtime.runner import RunnerOptions, SourceRunner, SourceState, SourceStatus

__all__ = [
    "Finder",
    "GrpcFinder",
    "GrpcRegistrar",
    "Registrar",
    "Registration",
    "RunnerOptions",
    "SourceRunner",
    "SourceState",
    "SourceStatus",
]
