"""Following a registry: the change feed of this process, watches for clients, and the tokens that resume them.

- `feed`: reads the change log in order, voids cached answers, knows how far this process has come.
- `hub`: joins snapshot, log and live changes into one watch without a hole or a double.
- `snapshots`, `pages`, `groups`: what watchers of one spec share: pages of a snapshot, pages of the log, live pieces.
- `encoding`, `serving`: pieces as bytes of the API (venues and synthetics), and how they are served.
- `tokens`: opaque page and resume tokens, bound to service, filter and database.
- `model`: what a watch is made of (`WatchSpec`, `SnapshotChunk`, `Mark`, `Delta`).

Not here: SQL (`registry_service.storage`) and what entries mean (the slices).
"""

from registry_service.watch.feed import Feed
from registry_service.watch.hub import Hub
from registry_service.watch.model import Delta, Mark, SnapshotChunk, WatchEvent, WatchSpec
from registry_service.watch.tokens import PageToken, TokenCodec

__all__ = ["Delta", "Feed", "Hub", "Mark", "PageToken", "SnapshotChunk", "TokenCodec", "WatchEvent", "WatchSpec"]
