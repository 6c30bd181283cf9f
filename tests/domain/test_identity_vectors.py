"""The vectors that other languages are checked with: they are true, and they leave nothing out."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from google.protobuf.json_format import ParseDict

from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.domain.asset_class import PAIRS, SECURITIES, AssetClass
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers import Scheme, parse
from alphapulse.domain.identity import instrument_text, listing_text
from alphapulse.domain.ids import InstrumentId, ListingId, source_id
from alphapulse.domain.instruments import CurrencyKind, ExerciseStyle, OptionRight
from alphapulse.domain.validation import validate_instrument
from registry_service.instrument.convert import Findings, instrument_of

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "identity"
DOCUMENT: dict[str, Any] = json.loads((FOLDER / "vectors.json").read_text("utf-8"))
VECTORS: list[dict[str, Any]] = DOCUMENT["vectors"]
TEXTS = [vector["text"].split("|") for vector in VECTORS]


def named(vector: dict[str, Any]) -> str:
    return str(vector.get("case") or vector.get("name") or f"{vector['scheme']} {vector['value']!r}")


@pytest.mark.parametrize("vector", VECTORS, ids=named)
def test_vector(vector: dict[str, Any]) -> None:
    if vector["kind"] == "instrument":
        findings = Findings()
        instrument = instrument_of(ParseDict(vector["instrument"], wire.Instrument()), "instrument", findings)
        assert [*findings.found, *validate_instrument(instrument)] == []
        assert instrument_text(instrument) == vector["text"]
        minted = InstrumentId.of(vector["text"], vector["salt"])
    else:
        one = vector["listing"]
        text = listing_text(one["venue"], one["symbol"], InstrumentId.parse(one["instrument_id"]))
        assert text == vector["text"]
        minted = ListingId.of(vector["text"], vector["salt"])  # type: ignore[assignment]
    salted = vector["text"] + (f"|salt={vector['salt']}" if vector["salt"] else "")
    digest = hashlib.sha256(salted.encode()).hexdigest()
    assert vector["id"] == digest[:32] == minted.hex
    assert vector["key"] == str(int(digest[:16], 16)) == str(minted.key)


@pytest.mark.parametrize("vector", DOCUMENT["sources"], ids=named)
def test_source(vector: dict[str, Any]) -> None:
    assert vector["number"] == source_id(vector["name"])
    assert vector["number"] == int(hashlib.sha256(vector["text"].encode()).hexdigest()[:8], 16)


@pytest.mark.parametrize("vector", DOCUMENT["identifiers"], ids=named)
def test_identifier(vector: dict[str, Any]) -> None:
    scheme = Scheme[vector["scheme"]]
    if "canonical" in vector:
        assert parse(scheme, vector["value"]).value == vector["canonical"]
        return
    with pytest.raises(InvalidArgument) as caught:
        parse(scheme, vector["value"])
    assert caught.value.violations[0].rule == vector["rule"]


def test_every_class_and_form_has_a_vector() -> None:
    forms = {(parts[1], parts[2]) for parts in TEXTS}
    assert {parts[1] for parts in TEXTS} == {one.name.lower() for one in AssetClass} | {"listing"}
    securities = {one.name.lower() for one in SECURITIES}
    assert {form for kind, form in forms if kind in securities} == {"isin", "figi", "cusip", "sedol", "venue_ticker"}
    assert {form for kind, form in forms if kind == "currency"} == {one.name.lower() for one in CurrencyKind}
    assert {parts[1] for parts in TEXTS if len(parts) == 4 and len(parts[2]) == len(parts[3]) == 32} >= {
        one.name.lower() for one in PAIRS
    }
    options = [parts for parts in TEXTS if parts[1] == "option"]
    assert {parts[5] for parts in options} == {one.name.lower() for one in OptionRight}
    assert {parts[6] for parts in options} == {one.name.lower() for one in ExerciseStyle}
    assert {len(parts) for parts in options} == {9, 10}
    futures = [parts for parts in TEXTS if parts[1] in ("future", "perpetual")]
    assert {(parts[1], parts[-1]) for parts in futures} == {
        (kind, payoff) for kind in ("future", "perpetual") for payoff in ("linear", "inverse")
    }
    assert {len(parts) for parts in TEXTS if parts[2] == "venue_ticker"} == {5, 6}


def test_salts_escapes_and_every_scheme_have_vectors() -> None:
    assert {(vector["kind"], vector["salt"]) for vector in VECTORS} >= {
        *(("instrument", salt) for salt in (0, 1, 2)),
        ("listing", 0),
        ("listing", 1),
    }
    free = "".join(part for parts in TEXTS for part in parts)
    assert all(escape in free for escape in ("%20", "%25", "%3D", "%7C"))
    assert any(not unquote(vector["text"]).isascii() for vector in VECTORS)
    told = {(one["scheme"], "canonical" in one) for one in DOCUMENT["identifiers"]}
    assert told == {(scheme.name, good) for scheme in Scheme for good in (True, False)}
    cases = [(vector["case"], vector["salt"]) for vector in VECTORS]
    assert len(cases) == len(set(cases))
    assert DOCUMENT["version"] == "ap1"


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is needed to run docs/identity/verify.mjs")
    return found


def verified(node: str, vectors: Path) -> subprocess.CompletedProcess[str]:
    command = [node, str(FOLDER / "verify.mjs"), str(vectors)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_port_in_another_language_mints_the_same(node: str) -> None:
    done = verified(node, FOLDER / "vectors.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{len(VECTORS)} vectors and {len(DOCUMENT['sources'])} sources, 0 wrong\n"


@pytest.mark.parametrize("field", ["text", "id", "key"])
def test_the_port_notices_a_vector_that_is_wrong(node: str, field: str, tmp_path: Path) -> None:
    changed = json.loads(json.dumps(DOCUMENT))
    changed["vectors"][3][field] += "0"
    file = tmp_path / "vectors.json"
    file.write_text(json.dumps(changed), "utf-8")
    done = verified(node, file)
    assert done.returncode == 1
    assert f"{VECTORS[3]['case']}: {field}" in done.stderr
