"""Makes of a specification what runs: types that decode no more of a message than is read, and functions written for each record.

Everything is made once, when a source is imported, and checked as a whole then: what is wrong is told with the source and the field.
"""

from collector_service.compiler.faults import SpecificationError
from collector_service.compiler.source import compile_source

__all__ = ["SpecificationError", "compile_source"]
