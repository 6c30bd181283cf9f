"""Import and export: files of instruments into the registry and out of it, and in the shapes of other libraries.

    ImportJob(channel, [FileSource(path)], ImportOptions(state=...)).run()   -> Report

Lives here: the native column layout (`layout`), readers of CSV, Parquet and JSON lines, mapping files for foreign columns (`mapping`),
the encoding of columns as messages (`encoding`), the import that can be interrupted (`engine`) and its dry run (`diff`). Not
here: what an instrument must be (the registry says it), the command line (`alphapulse_cli`). Columns, mappings and guarantees: docs/import-export.md.
"""

from alphapulse.interchange.account import Counts, Report, Row
from alphapulse.interchange.csv_reader import Dialect
from alphapulse.interchange.engine import ImportJob, ImportOptions, Progress
from alphapulse.interchange.exported import Exported
from alphapulse.interchange.mapping import Mapping, read_mapping
from alphapulse.interchange.sources import EntrySource, FileSource
from alphapulse.interchange.writing import ExportOptions, export

__all__ = [
    "Counts",
    "Dialect",
    "EntrySource",
    "ExportOptions",
    "Exported",
    "FileSource",
    "ImportJob",
    "ImportOptions",
    "Mapping",
    "Progress",
    "Report",
    "Row",
    "export",
    "read_mapping",
]
