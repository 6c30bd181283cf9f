"""Seeding: real reference data put into the registries as any client would, over gRPC.

One file a data set: `mics` (ISO 10383), `trading_venues` (crypto exchanges, from `data/`), `source_venues` (those of the
collector's sources that have no file), `currencies` (ISO 4217 and FX pairs), `stocks` (index members with ISINs) and `synthetics`
(a few demonstrations). `seeding` sends them. Seeding twice changes nothing. Nothing is downloaded: the data comes with the
packages this project depends on.
"""

from alphapulse_cli.seed.seeding import Progress, SeedAddresses, SeedReport, seed_all, seed_synthetics

__all__ = ["Progress", "SeedAddresses", "SeedReport", "seed_all", "seed_synthetics"]
