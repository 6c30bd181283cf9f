"""Recordings: what a relay streams, as Parquet by event type and day, and back as the same rows.

`Recorder` writes one (the command `alphapulse record` runs it), `read_rows`, `read_gaps` and `read_definitions` read it; polars, DuckDB and whatever
else reads Parquet do so without anything from here. `docs/recorder.md` has the folders and columns. Not here: the stream from the
relay, which is the SDK's.
"""

from alphapulse.recording.amounts import DECIMAL
from alphapulse.recording.columns import AMOUNTS, FOLDERS, SCHEMAS, Amount
from alphapulse.recording.folder import recording_folders
from alphapulse.recording.notes import JOURNAL_DAMAGED, RECORDER_DIED, RECORDER_STOPPED, Missing, Point
from alphapulse.recording.reading import RecordedDefinition, RecordedGap, read_definitions, read_gaps, read_rows
from alphapulse.recording.recorder import Bounds, Recorder, Totals
from alphapulse.recording.tables import DEFINITION_COLUMNS, GAP_COLUMNS

__all__ = [
    "AMOUNTS",
    "DECIMAL",
    "DEFINITION_COLUMNS",
    "FOLDERS",
    "GAP_COLUMNS",
    "JOURNAL_DAMAGED",
    "RECORDER_DIED",
    "RECORDER_STOPPED",
    "SCHEMAS",
    "Amount",
    "Bounds",
    "Missing",
    "Point",
    "RecordedDefinition",
    "RecordedGap",
    "Recorder",
    "Totals",
    "read_definitions",
    "read_gaps",
    "read_rows",
    "recording_folders",
]
