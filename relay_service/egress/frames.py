"""The bytes of the Unix egress socket: a frame for each run of rows of one type, CONTROL frames for everything else."""

from __future__ import annotations

from collections.abc import Iterator

from alphapulse.records import FrameType, encode_frame
from relay_service.egress.envelope import delivery
from relay_service.egress.items import Batch


class FrameEncoder:
    """Frames with the subscription's id as their slot and the number of the first row as their sequence."""

    def batch(self, batch: Batch) -> bytes:
        """The frames of a delivery. Of one that conflated, a CONTROL frame follows with a delivery without rows that tells how many."""
        slot = batch.subscription.wanted.subscription_id
        frames = []
        number = batch.first_number
        for event_type, data, count in _runs(batch):
            frames.append(encode_frame(event_type, data, slot=slot, sequence=number))
            number += count
        if batch.conflated:
            empty = Batch(batch.subscription, number, batch.since_ns, behind=batch.last_sequence)
            empty.conflated = batch.conflated
            frames.append(self.control(delivery(empty)))
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def control(self, message: bytes) -> bytes:
        """A CONTROL frame around a serialized SubscribeResponse."""
        return encode_frame(FrameType.CONTROL, message)


def _runs(batch: Batch) -> Iterator[tuple[int, bytes, int]]:
    """The parts, adjoining ones of a type joined."""
    if len(batch.parts) == 1:
        yield batch.parts[0]
        return
    kind, pieces, count = batch.parts[0][0], [batch.parts[0][1]], batch.parts[0][2]
    for event_type, data, rows in batch.parts[1:]:
        if event_type != kind:
            yield kind, b"".join(pieces), count
            kind, pieces, count = event_type, [], 0
        pieces.append(data)
        count += rows
    yield kind, b"".join(pieces), count
