"""Writes what arrived as it came, in the format that `transport.recording` reads: frames, answers, openings and closings, with their times and
without secrets.

A `SourceRecorder` takes what one source's transport gave, on the event loop, and only puts it into a queue whose bytes are bounded; a thread of
the `RawRecorder` makes lines of it, compresses and writes. A disk that is full or slow never stops a stream: what could not be written is
counted, told, and marked in the recording where it is missing.
"""

from collector_service.recorder.source import RecorderFigures, SourceRecorder
from collector_service.recorder.writing import RawRecorder

__all__ = ["RawRecorder", "RecorderFigures", "SourceRecorder"]
