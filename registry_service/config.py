"""The settings of a registry process, each documented where it is declared."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryConfig:
    """Environment variables are the upper-case names."""

    database_url: str
    """Postgres, as postgresql://user:password@host:port/database."""
    redis_url: str = ""
    """Redis or Valkey, as redis://host:port/0. Empty: no second cache level."""
