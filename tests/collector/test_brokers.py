"""Sources that a vendor's client library reads, where the library is not there, or nobody said what it is to read."""

from __future__ import annotations

import sys

import pytest

from alphapulse.domain.errors import ConfigurationError, FailedPrecondition
from alphapulse.runtime import load
from collector_service.config import CollectorConfig
from collector_service.runtime import SourceRunner, SourceState
from collector_service.sources import BROKERS, SOURCES
from collector_service.spec import Verification

TOLD = {"DATABENTO_API_KEY": "db-0123456789", "IB_CONTRACTS": "AAPL:SMART:USD"}


@pytest.mark.parametrize("name", sorted(BROKERS))
async def test_a_source_says_what_it_needs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = SOURCES[name]
    reach = source.reach
    assert reach is not None
    with pytest.raises(FailedPrecondition, match=r"needs (DATABENTO_API_KEY|IB_CONTRACTS)"):
        reach(source, {})
    for module in ("databento.live.protocol", "ib_async.client"):
        monkeypatch.setitem(sys.modules, module, None)
    runner = SourceRunner(source, lambda: reach(source, TOLD))
    await runner.run()
    status = runner.status()
    assert status.state is SourceState.FAILED
    assert "which is not installed" in status.error
    assert "db-0123456789" not in status.error
    with pytest.raises(ConfigurationError, match="has its addresses"):
        load(CollectorConfig, {"METRICS_PORT": "off", "SOURCE_URLS": f"{name}.rest=http://127.0.0.1:1"}).spec(name)


@pytest.mark.parametrize("name", sorted(BROKERS))
def test_a_source_says_how_it_was_verified(name: str) -> None:
    spec = SOURCES[name].spec
    assert spec is not None
    assert spec.verified == {Verification.ADAPTER}
    assert any("Tried against" in note for note in spec.notes)
    assert spec.terms
