"""Every unary RPC of the registries is asked by HTTP/JSON as by gRPC: the same answers, the same errors with the same details."""

from __future__ import annotations

import base64
import json
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.json_format import MessageToDict, Parse
from google.rpc import error_details_pb2, status_pb2

from alphapulse.api.instrument.v1 import instrument_service_pb2
from alphapulse.api.synthetic.v1 import synthetic_service_pb2
from alphapulse.api.venue.v1 import venue_service_pb2
from alphapulse.client.status import STATUS_KEY

FILES = {"instrument": instrument_service_pb2, "venue": venue_service_pb2, "synthetic": synthetic_service_pb2}
MINE = {"request_id": "r-1", "actor": "somebody"}


def methods(service: str) -> list[Any]:
    """Those that HTTP can ask."""
    found = descriptor_pool.Default().FindServiceByName(f"alphapulse.api.{service}.v1.{service.capitalize()}Service")
    return [method for method in found.methods if not method.client_streaming and not method.server_streaming]


def shape(status: status_pb2.Status) -> tuple[int, str, list[Any]]:
    """An error without what differs from call to call."""
    parts = []
    for detail in status.details:
        for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.LocalizedMessage):
            message = kind()
            if detail.Unpack(message):
                parts.append(MessageToDict(message))
    return status.code, status.message, parts


async def by_grpc(channel: grpc.aio.Channel, method: Any, request: Any) -> Any:
    """The answer, or the status."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    try:
        return await channel.unary_unary(path)(request.SerializeToString())
    except grpc.aio.AioRpcError as error:
        trailing = dict(error.trailing_metadata() or ())
        return status_pb2.Status.FromString(trailing[STATUS_KEY])


def status_of(body: Any) -> status_pb2.Status:
    """The status that an error in JSON says, by its base64 details alone, as a Connect client reads it."""
    status = status_pb2.Status(code=getattr(grpc.StatusCode, body["code"].upper()).value[0], message=body["message"])
    for detail in body["details"]:
        any_detail = status.details.add()
        any_detail.type_url = f"type.googleapis.com/{detail['type']}"
        any_detail.value = base64.b64decode(detail["value"] + "==")
    return status


@pytest.mark.parametrize("service", FILES)
def test_the_walk_sees_all_there_is(service: str) -> None:
    (described,) = FILES[service].DESCRIPTOR.services_by_name.values()
    streams = [m for m in described.methods if m.client_streaming or m.server_streaming]
    assert len(methods(service)) + len(streams) == len(described.methods)
    assert len(methods(service)) > 10


@pytest.mark.parametrize("service", FILES)
async def test_an_empty_request_ends_as_by_grpc(registries: Any, service: str) -> None:
    for method in methods(service):
        request = message_factory.GetMessageClass(method.input_type)()
        expected = await by_grpc(registries.channels[service], method, request)
        reply = await registries.rpc(service, method.name, {})
        assert reply.headers["content-type"].startswith("application/json"), method.name
        if isinstance(expected, status_pb2.Status):
            assert shape(status_of(reply.json)) == shape(expected), method.name
            assert reply.status >= 400, method.name
        else:
            assert reply.status == 200, (method.name, reply.body)
            answer = message_factory.GetMessageClass(method.output_type).FromString(expected)
            assert reply.json == MessageToDict(answer), method.name


@pytest.mark.parametrize("service", FILES)
async def test_every_mutation_takes_its_write_options_and_every_rpc_refuses_unknown_fields(
    registries: Any, service: str
) -> None:
    for method in methods(service):
        reply = await registries.rpc(service, method.name, {"noSuchField": 1, "write": {**MINE, "validateOnly": "yes"}})
        assert reply.status == 400, method.name
        found = {v["field"]: v["description"] for v in detail(reply.json, "BadRequest")["fieldViolations"]}
        assert "has no such field" in found["noSuchField"], method.name
        if "write" in method.input_type.fields_by_name:
            assert "true or false" in found["write.validate_only"], method.name
        else:
            assert "has no such field" in found["write"], method.name


@pytest.mark.parametrize("service", FILES)
async def test_what_changes_something_is_not_asked_by_get(registries: Any, service: str) -> None:
    for method in methods(service):
        path = f"/{method.containing_service.name}/{method.name}"
        reply = await registries.get(service, path)
        if "write" in method.input_type.fields_by_name:
            assert reply.status == 405, path
            assert reply.headers["allow"] == "POST, OPTIONS"
        else:
            assert reply.status == (await registries.rpc(service, method.name)).status, path


def detail(body: Any, name: str) -> Any:
    """A detail of an error, as a person reads it."""
    return next(one["debug"] for one in body["details"] if one["type"] == f"google.rpc.{name}")


async def test_what_is_registered_by_http_is_the_same_by_grpc(registries: Any) -> None:
    venue = {
        "code": "XETR",
        "name": "Xetra",
        "type": "VENUE_TYPE_EXCHANGE",
        "country": "DE",
        "timeZone": "Europe/Berlin",
    }
    assert (await registries.rpc("venue", "RegisterVenue", {"venue": venue})).status == 200
    entry = {
        "instrument": {
            "assetClass": "ASSET_CLASS_EQUITY",
            "name": "Example AG",
            "equity": {"currency": "EUR"},
            "identifiers": [{"scheme": "IDENTIFIER_SCHEME_ISIN", "value": "DE000EXMPL17"}],
        },
        "listings": [
            {
                "venue": "XETR",
                "symbol": "EXM",
                "currency": "EUR",
                "rules": {"tickSize": {"mantissa": "1", "exponent": -2}},
            }
        ],
    }
    made = await registries.rpc("instrument", "RegisterInstrument", {**entry, "write": MINE})
    assert made.status == 200, made.body
    again = await registries.rpc("instrument", "RegisterInstrument", {**entry, "write": MINE})
    assert again.json == made.json
    other = await registries.rpc("instrument", "RegisterInstrument", {"instrument": entry["instrument"], "write": MINE})
    assert (other.status, other.json["code"]) == (409, "already_exists")
    assert detail(other.json, "ErrorInfo")["reason"] == "REQUEST_ID_REUSED"

    stub_path = f"/{registries.services['instrument']}/LookupISIN"
    request = instrument_service_pb2.LookupISINRequest(isin="DE000EXMPL17")
    raw = await registries.channels["instrument"].unary_unary(stub_path)(request.SerializeToString())
    by_post = await registries.rpc("instrument", "LookupISIN", {"isin": "DE000EXMPL17"})
    by_get = await registries.get("instrument", "/InstrumentService/LookupISIN?isin=DE000EXMPL17")
    expected = instrument_service_pb2.LookupISINResponse.FromString(raw)
    assert by_post.json == by_get.json
    assert Parse(by_post.body, instrument_service_pb2.LookupISINResponse()) == expected
    assert by_post.json["result"]["outcome"] == "LOOKUP_OUTCOME_RESOLVED"
    assert by_post.json["result"]["entries"][0]["listings"][0]["listingKey"].isdigit()

    as_proto = await registries.ask(
        "instrument", "POST", stub_path, data=request.SerializeToString(), headers={"content-type": "application/proto"}
    )
    assert as_proto.headers["content-type"] == "application/proto"
    assert as_proto.body == raw


async def test_the_names_of_the_proto_are_taken_as_well(registries: Any) -> None:
    camel = await registries.rpc(
        "instrument", "RegisterInstrument", {"instrument": {"assetClass": "ASSET_CLASS_CURRENCY"}}
    )
    snake = await registries.rpc(
        "instrument", "RegisterInstrument", {"instrument": {"asset_class": "ASSET_CLASS_CURRENCY"}}
    )
    assert camel.status == 400
    assert camel.json == snake.json


async def test_a_view_is_asked_for_by_its_name(registries: Any) -> None:
    coin = {"code": "XYZ", "kind": "CURRENCY_KIND_CRYPTO"}
    named = {"scheme": "IDENTIFIER_SCHEME_OWN", "value": "coin-1"}
    instrument = {"assetClass": "ASSET_CLASS_CURRENCY", "name": "A coin", "currency": coin, "identifiers": [named]}
    made = (await registries.rpc("instrument", "RegisterInstrument", {"instrument": instrument})).json
    shown = {"assetClass": "ASSET_CLASS_CURRENCY", "status": "INSTRUMENT_STATUS_ACTIVE"}
    shown["instrumentId"] = made["entry"]["instrument"]["instrumentId"]
    expected = {"outcome": "LOOKUP_OUTCOME_RESOLVED", "entries": [{"instrument": shown}]}
    for view in ("LOOKUP_VIEW_IDS", 2):
        one = {"item": named, "options": {"view": view}}
        many = {"scheme": named["scheme"], "values": [named["value"]], "options": {"view": view}}
        assert (await registries.rpc("instrument", "Lookup", one)).json == {"result": expected}
        assert (await registries.rpc("instrument", "BatchLookup", many)).json == {"results": [expected]}
    path = "/InstrumentService/Lookup?item.scheme=IDENTIFIER_SCHEME_OWN&item.value=coin-1&options.view="
    assert (await registries.get("instrument", path + "LOOKUP_VIEW_IDS")).json == {"result": expected}
    for view, field in (("LOOKUP_VIEW_NONE", ""), ("3", "options.view")):
        wrong = await registries.get("instrument", path + view)
        assert (wrong.status, wrong.json["code"]) == (400, "invalid_argument")
        assert field in detail(wrong.json, "BadRequest")["fieldViolations"][0]["field"]


async def test_a_look_up_as_of_another_time_by_query(registries: Any) -> None:
    path = "/InstrumentService/LookupISIN?isin=DE000EXMPL17&options.as_of=2024-01-31T00:00:00Z&options.primaryOnly=true"
    assert (
        await registries.get("instrument", path + "&options.preferred_venues=XETR&options.preferred_venues=XNAS")
    ).json == {"result": {"outcome": "LOOKUP_OUTCOME_NOT_FOUND"}}
    bad = await registries.get("instrument", "/InstrumentService/LookupISIN?isin=A&isin=B")
    assert bad.status == 400
    assert detail(bad.json, "BadRequest")["fieldViolations"][0]["field"] == "isin"
    worse = await registries.get(
        "instrument", "/InstrumentService/LookupISIN?isim=A&options.primary_only=maybe&options=1"
    )
    assert worse.status == 400
    assert json.dumps(worse.json).count("options") > 0


async def test_what_is_asked_stands_in_one_place(registries: Any) -> None:
    """A query beside a body, and a body beside a query, would count for nothing."""
    path = "/InstrumentService/LookupISIN?isin=DE000EXMPL17&options.primary_only=true"
    json_type = {"content-type": "application/json"}
    for body in ('{"isin": "US0378331005"}', ""):
        posted = await registries.ask("instrument", "POST", path, data=body, headers=json_type)
        told = {v["field"]: v["description"] for v in detail(posted.json, "BadRequest")["fieldViolations"]}
        assert posted.status == 400
        assert sorted(told) == ["isin", "options.primary_only"]
        assert "put it there, or ask by GET" in told["isin"]
    write = await registries.ask(
        "instrument",
        "POST",
        "/InstrumentService/RegisterInstrument?write.validate_only=true",
        data="{}",
        headers=json_type,
    )
    told = {v["field"]: v["description"] for v in detail(write.json, "BadRequest")["fieldViolations"]}
    assert write.status == 400
    assert list(told) == ["write.validate_only"]
    assert "GET" not in told["write.validate_only"]
    asked = await registries.ask("instrument", "GET", path, data='{"isin": "US0378331005"}', headers=json_type)
    told = {v["field"]: v["description"] for v in detail(asked.json, "BadRequest")["fieldViolations"]}
    assert (asked.status, list(told)) == (400, ["body"])
