"""The fixed layouts of market events as numpy dtypes, derived from the marketdata descriptors, and the frame they travel in on a Unix socket.

A row of an array IS the wire form of one element of its `EventBatch` field: tag, length, then (tag, value) pairs of
constant place. So an array's bytes parse as protobuf in every language, and received bytes are an array without a copy.
Nothing here knows a service.
"""

from alphapulse.records.batch import pack_messages, split_batch, unpack_rows
from alphapulse.records.framing import (
    CONTROL_TYPES,
    HEADER_SIZE,
    MAX_PAYLOAD,
    Frame,
    FrameDecoder,
    FrameFault,
    FrameType,
    encode_control,
    encode_frame,
)
from alphapulse.records.layout import (
    BAR,
    BOOK_LEVEL,
    COMMON_FIELDS,
    EXECUTION_REPORT,
    INSTRUMENT_DISCOVERED,
    LAYOUTS,
    NOTICE,
    OPPORTUNITY,
    QUOTE,
    STATISTIC,
    STRATEGY_SIGNAL,
    SYNTHETIC_UPDATE,
    TRADE,
    TRADING_STATUS,
    WIDE_AMOUNT,
    RecordLayout,
    RecordLayoutError,
    Rows,
    derive_layout,
    in_sending_order,
    row_sizes,
)
from alphapulse.records.texts import text_of, texts_at_fault, without_faulty_texts
from alphapulse.records.writing import compile_writer

__all__ = [
    "BAR",
    "BOOK_LEVEL",
    "COMMON_FIELDS",
    "CONTROL_TYPES",
    "EXECUTION_REPORT",
    "HEADER_SIZE",
    "INSTRUMENT_DISCOVERED",
    "LAYOUTS",
    "MAX_PAYLOAD",
    "NOTICE",
    "OPPORTUNITY",
    "QUOTE",
    "STATISTIC",
    "STRATEGY_SIGNAL",
    "SYNTHETIC_UPDATE",
    "TRADE",
    "TRADING_STATUS",
    "WIDE_AMOUNT",
    "Frame",
    "FrameDecoder",
    "FrameFault",
    "FrameType",
    "RecordLayout",
    "RecordLayoutError",
    "Rows",
    "compile_writer",
    "derive_layout",
    "encode_control",
    "encode_frame",
    "in_sending_order",
    "pack_messages",
    "row_sizes",
    "split_batch",
    "text_of",
    "texts_at_fault",
    "unpack_rows",
    "without_faulty_texts",
]
