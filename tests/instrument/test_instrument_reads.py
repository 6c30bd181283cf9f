"""Lists in pages, search, single reads, history."""

from __future__ import annotations

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.domain import errors
from registry_service.instrument.servicer import UNSERVED


async def fill(registry, entries, count=25):
    found = []
    for n in range(count):
        listing = entries.listing("XETR" if n % 2 else "XPAR", f"S{n}")
        share = entries.equity(entries.isin(n), name=f"Company {n}", details={"country": "DE" if n % 5 else "FR"})
        found.append((await registry.register(share, listing)).entry)
    return found


async def pages(registry, **wanted):
    found, token, total = [], "", None
    while True:
        request = service.ListInstrumentsRequest(page_token=token, page_size=4, with_listings=True, **wanted)
        answer = await registry.stub.ListInstruments(request)
        found.extend(answer.entries)
        assert total in (None, answer.total_size)
        total, token = answer.total_size, answer.next_page_token
        if not token:
            assert total == len(found)
            return found


async def test_pages_hold_everything_once(registry, entries):
    known = await fill(registry, entries)
    found = await pages(registry)
    assert [one.instrument.instrument_id for one in found] == sorted(one.instrument.instrument_id for one in known)
    assert all(len(one.listings) == 1 for one in found)
    chosen = await pages(registry, filter=service.InstrumentFilter(venues=["XETR"], countries=["FR"]))
    assert {one.instrument.name for one in chosen} == {"Company 5", "Company 15"}


async def test_pages_are_pinned_to_the_revision_of_the_first(registry, entries):
    await fill(registry, entries, 10)
    first = await registry.stub.ListInstruments(service.ListInstrumentsRequest(page_size=5))
    for n in range(10, 40):
        await registry.register(entries.equity(entries.isin(n)))
    rest = await registry.stub.ListInstruments(
        service.ListInstrumentsRequest(page_size=100, page_token=first.next_page_token)
    )
    assert len(first.entries) + len(rest.entries) == 10
    assert rest.revision_token == first.revision_token


async def test_a_page_token_from_elsewhere_is_refused(registry, entries):
    await fill(registry, entries, 6)
    token = (await registry.stub.ListInstruments(service.ListInstrumentsRequest(page_size=2))).next_page_token
    other = service.InstrumentFilter(countries=["DE"])
    stub = registry.stub
    for call in (
        stub.ListInstruments(service.ListInstrumentsRequest(page_size=2, page_token=token, filter=other)),
        stub.ListListings(service.ListListingsRequest(page_token=token)),
        stub.ListInstruments(service.ListInstrumentsRequest(page_token=token[:-2] + "AA")),
        stub.ListCollisionCases(service.ListCollisionCasesRequest(page_token="x" * 2000)),
    ):
        assert isinstance(await registry.refused(call), errors.PageTokenInvalid)
    sized = stub.ListInstruments(service.ListInstrumentsRequest(page_size=1001))
    assert (await registry.refused(sized)).violations[0].field == "page_size"


async def test_listings_by_venue_and_instrument(registry, entries):
    known = await fill(registry, entries, 8)
    request = service.ListListingsRequest(venues=["XETR"], statuses=[wire.LISTING_STATUS_TRADING])
    found = await registry.stub.ListListings(request)
    assert {one.venue for one in found.listings} == {"XETR"}
    assert found.total_size == 4
    one = known[3].listings[0]
    request = service.ListListingsRequest(instrument_ids=[one.instrument_id])
    assert list((await registry.stub.ListListings(request)).listings) == [one]


async def test_a_listing_by_id_and_by_key(registry, entries):
    entry = (await fill(registry, entries, 1))[0]
    listing = entry.listings[0]
    for request in (
        service.GetListingRequest(listing_id=listing.listing_id),
        service.GetListingRequest(listing_key=listing.listing_key),
    ):
        found = await registry.stub.GetListing(request)
        assert (found.listing, found.instrument) == (listing, entry.instrument)
    missing = registry.stub.GetListing(service.GetListingRequest(listing_key=(1 << 64) - 1))
    assert isinstance(await registry.refused(missing), errors.NotFound)
    unasked = registry.stub.GetListing(service.GetListingRequest())
    assert isinstance(await registry.refused(unasked), errors.InvalidArgument)


async def test_get_says_not_found_until_it_is_registered(registry, entries):
    request = service.GetInstrumentRequest(instrument_id=entries.coin_id("BTC").hex)
    assert isinstance(await registry.refused(registry.stub.GetInstrument(request)), errors.NotFound)
    await registry.register(entries.coin("BTC"))
    assert (await registry.stub.GetInstrument(request)).entry.instrument.currency.code == "BTC"
    wrong = registry.stub.GetInstrument(service.GetInstrumentRequest(instrument_id="xyz"))
    assert (await registry.refused(wrong)).violations[0].field == "instrument_id"


async def test_search_by_name_with_a_typo_and_by_identifier(registry, entries):
    names = ["Volkswagen AG", "Siemens AG", "Deutsche Telekom AG"]
    for n, name in enumerate(names):
        await registry.register(entries.equity(entries.isin(n), name=name), entries.listing("XETR", f"SYM{n}"))

    async def search(text, **more):
        answer = await registry.stub.SearchInstruments(service.SearchInstrumentsRequest(query=text, **more))
        return [(hit.entry.instrument.name, hit.why) for hit in answer.hits]

    assert (await search("Volkswagn"))[0][0] == "Volkswagen AG"
    assert (await search("SYM1"))[0] == ("Siemens AG", "EXCHANGE_SYMBOL SYM1 at XETR: the same")
    assert (await search(entries.isin(2)))[0][0] == "Deutsche Telekom AG"
    assert await search("Siemens", filter=service.InstrumentFilter(venues=["XPAR"])) == []
    error = await registry.refused(registry.stub.SearchInstruments(service.SearchInstrumentsRequest(query=" ")))
    assert error.violations[0].field == "query"


async def test_history_tells_every_revision_newest_first(registry, entries):
    created = await registry.register(entries.equity(entries.isin(1)), entries.listing("XETR", "H"), actor="ann")
    instrument_id = created.entry.instrument.instrument_id
    for n in range(5):
        changed = wire.Instrument(instrument_id=instrument_id, name=f"Name {n}")
        await registry.stub.UpdateInstrument(
            service.UpdateInstrumentRequest(
                instrument=changed,
                update_mask={"paths": ["name"]},
                write=common.WriteOptions(actor="bob", request_id=f"r{n}"),
            )
        )
    changes, token = [], ""
    while True:
        request = service.GetInstrumentHistoryRequest(instrument_id=instrument_id, page_size=3, page_token=token)
        answer = await registry.stub.GetInstrumentHistory(request)
        changes.extend(answer.changes)
        token = answer.next_page_token
        if not token:
            break
    assert [one.revision for one in changes] == sorted((one.revision for one in changes), reverse=True)
    assert [one.instrument.name for one in changes[:5]] == [f"Name {n}" for n in (4, 3, 2, 1, 0)]
    assert (changes[0].actor, changes[0].request_id) == ("bob", "r4")
    assert changes[0].previous_instrument.name == "Name 3"
    assert {one.WhichOneof("entity") for one in changes[5:]} == {"instrument", "listing"}
    assert changes[-1].actor == "ann"
    unknown = service.GetInstrumentHistoryRequest(instrument_id=entries.coin_id("NO").hex)
    assert isinstance(await registry.refused(registry.stub.GetInstrumentHistory(unknown)), errors.NotFound)


async def test_what_is_not_served_says_so(registry):
    for name in UNSERVED:
        request = getattr(service, f"{name}Request")()
        error = await registry.refused(getattr(registry.stub, name)(request))
        assert isinstance(error, errors.Unimplemented)


async def test_bytes_that_are_no_request_are_refused(registry):
    from alphapulse.client.channel import open_channel

    async with open_channel(registry.address) as channel:
        call = channel.unary_unary("/alphapulse.api.instrument.v1.InstrumentService/LookupISIN")
        assert isinstance(await registry.refused(call(b"\xff\xff")), errors.InvalidArgument)
