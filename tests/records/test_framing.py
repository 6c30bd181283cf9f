"""The Unix-socket frame: any split of the bytes gives the same frames; damage is named, never passed on."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.errors import BadMagic, CorruptFrame, FrameTooLarge, TruncatedFrame, UnsupportedVersion
from alphapulse.records import HEADER_SIZE, MAX_PAYLOAD, QUOTE, Frame, FrameDecoder, FrameFault, encode_frame

FRAME = st.builds(
    lambda kind, payload, slot, sequence, time_ns: (kind, payload, slot, sequence, time_ns),
    st.integers(0, 255),
    st.binary(max_size=300),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
)


def encoded(frames: list[tuple[int, bytes, int, int, int]]) -> bytes:
    return b"".join(encode_frame(k, p, slot=s, sequence=q, time_ns=t) for k, p, s, q, t in frames)


def plain(item: Frame | FrameFault) -> tuple[int, bytes, int, int, int]:
    assert isinstance(item, Frame), item
    return item.type, bytes(item.payload), item.slot, item.sequence, item.time_ns


@given(st.lists(FRAME, max_size=6), st.lists(st.integers(1, 200), max_size=40), st.integers(16, 700))
def test_any_split_of_the_bytes_gives_the_same_frames(
    frames: list[tuple[int, bytes, int, int, int]], cuts: list[int], capacity: int
) -> None:
    data = encoded(frames)
    decoder = FrameDecoder(capacity)
    found = []
    for size in [*cuts, len(data) + 1]:
        piece, data = data[:size], data[size:]
        found += [plain(item) for item in decoder.feed(piece)]
    assert found == frames
    assert decoder.finish() is None


@given(FRAME, FRAME, st.data())
def test_one_damaged_bit_is_never_a_frame(
    damaged: tuple[int, bytes, int, int, int], after: tuple[int, bytes, int, int, int], data: st.DataObject
) -> None:
    raw = bytearray(encoded([damaged]))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    decoder = FrameDecoder()
    found = list(decoder.feed(bytes(raw) + encoded([after])))
    size_was_damaged = 8 <= bit // 8 < 12
    assert plain(found[-1]) == after if found and isinstance(found[-1], Frame) else True
    assert not any(isinstance(item, Frame) and plain(item) == damaged for item in found) or damaged == after
    if not size_was_damaged:
        assert isinstance(found[0], FrameFault)
        assert isinstance(found[0].error, CorruptFrame | BadMagic | UnsupportedVersion)
        if not found[0].fatal:
            assert plain(found[1]) == after


def test_the_checksum_covers_header_and_payload() -> None:
    raw = bytearray(encode_frame(2, QUOTE.new(2), sequence=5))
    raw[HEADER_SIZE + 20] ^= 1
    (fault,) = FrameDecoder().feed(bytes(raw))
    assert isinstance(fault, FrameFault)
    assert isinstance(fault.error, CorruptFrame)
    assert (fault.sequence, fault.type, fault.fatal) == (5, 2, False)


@pytest.mark.parametrize(
    ("place", "value", "error"), [(0, 0, BadMagic), (2, 9, UnsupportedVersion), (11, 0xFF, FrameTooLarge)]
)
def test_a_header_that_cannot_be_trusted_ends_the_stream(place: int, value: int, error: type[Exception]) -> None:
    raw = bytearray(encode_frame(2, b""))
    raw[place] = value
    (fault,) = FrameDecoder().feed(bytes(raw) + encode_frame(1, b"never read"))
    assert isinstance(fault, FrameFault)
    assert isinstance(fault.error, error)
    assert fault.fatal


def test_a_frame_cut_off_by_the_end_is_named() -> None:
    decoder = FrameDecoder()
    assert list(decoder.feed(encode_frame(2, b"abc")[:-1])) == []
    fault = decoder.finish()
    assert fault is not None
    assert isinstance(fault.error, TruncatedFrame)


def test_a_payload_over_the_limit_is_not_sent() -> None:
    with pytest.raises(FrameTooLarge, match=str(MAX_PAYLOAD)):
        encode_frame(2, bytes(MAX_PAYLOAD + 1))


def test_frames_cross_a_real_socket() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    rows = QUOTE.new(1000)
    rows["sequence"] = range(1000)
    decoder = FrameDecoder()
    received: list[int] = []
    with ours, theirs:
        ours.setblocking(False)
        data = memoryview(b"".join(encode_frame(2, rows[i : i + 100], sequence=i + 1) for i in range(0, 1000, 100)))
        while data or len(received) < 1000:
            if data:
                data = data[ours.send(data[:5000]) :]
            decoder.advance(theirs.recv_into(decoder.writable()))
            for frame in decoder.frames():
                assert isinstance(frame, Frame)
                received += QUOTE.from_bytes(frame.payload)["sequence"].tolist()
    assert received == list(range(1000))
