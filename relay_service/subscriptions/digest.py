"""A few bytes that stand for what a subscription asks for, so that a resume token is used for the same alone."""

from __future__ import annotations

import dataclasses
import hashlib
import json

from alphapulse.domain.domains import Domain
from alphapulse.domain.predicate import Predicate
from relay_service.subscriptions.wanted import Contract, Filter, Latest, Sample

SIZE = 8


def subject_of(wanted: Filter, contract: Contract) -> bytes:
    """SIZE bytes: equal for equal filters and contracts, whatever the order of their values; a predicate has to be spelled the same. How much may
    wait does not change which events come, so it is not part of it."""
    values = {
        field.name: _plain(value) for field in dataclasses.fields(wanted) if (value := getattr(wanted, field.name))
    }
    if wanted.domain is Domain.MARKET:
        del values["domain"]  # tokens from before there were others stay good
    text = json.dumps([values, _contract(contract)], sort_keys=True)
    return hashlib.sha256(text.encode()).digest()[:SIZE]


def _plain(value: object) -> object:
    """What JSON knows, the same in every process."""
    if isinstance(value, Predicate):
        return value.text
    return sorted(value) if isinstance(value, frozenset) else value


def _contract(contract: Contract) -> list[str | int]:
    if isinstance(contract, Sample):
        return ["sample", contract.every]
    if isinstance(contract, Latest):
        return ["latest", contract.interval_ms]
    return ["stream"]
