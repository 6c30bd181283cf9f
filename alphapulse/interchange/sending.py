"""Batches of serialized entries over the registration stream: the bytes are joined, no message is built of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import grpc

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.client.backoff import Backoff
from alphapulse.client.batches import BatchStream
from alphapulse.interchange.framing import chunk, length_tag, number_field, number_tag

_FIELDS = service.RegisterInstrumentsRequest.DESCRIPTOR.fields_by_name
_SERVICE: Final = service.DESCRIPTOR.services_by_name["InstrumentService"].full_name
_NUMBER_TAG: Final = number_tag(_FIELDS["batch_id"].number)
_ENTRY_TAG: Final = length_tag(_FIELDS["entries"].number)
_WRITE_TAG: Final = length_tag(_FIELDS["write"].number)


@dataclass(slots=True)
class EncodedBatch:
    """A RegisterInstrumentsRequest whose entries are serialized already."""

    entries: bytes
    write: common.WriteOptions
    batch_id: int = field(default=0)

    @classmethod
    def of(cls, bodies: Iterable[bytes], write: common.WriteOptions) -> EncodedBatch:
        """Of serialized InstrumentEntry messages."""
        return cls(b"".join([chunk(_ENTRY_TAG, body) for body in bodies]), write)

    def ByteSize(self) -> int:  # noqa: N802 - protobuf's name
        """About as many bytes as it has on the wire."""
        return len(self.entries) + self.write.ByteSize() + 32

    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's name
        """The message's bytes."""
        return (
            number_field(_NUMBER_TAG, self.batch_id) + self.entries + chunk(_WRITE_TAG, self.write.SerializeToString())
        )


class EncodedStream(BatchStream[EncodedBatch, service.RegisterInstrumentsResponse]):
    """Registers serialized entries; what `RegistrationStream` does with messages."""

    def __init__(self, channel: grpc.aio.Channel, *, max_in_flight: int = 8, backoff: Backoff | None = None) -> None:
        call = channel.stream_stream(
            f"/{_SERVICE}/RegisterInstruments",
            request_serializer=EncodedBatch.SerializeToString,
            response_deserializer=service.RegisterInstrumentsResponse.FromString,
        )
        super().__init__(lambda: call(), max_in_flight=max_in_flight, backoff=backoff)
