"""What can go wrong with the stores a user starts on their own machine.

EmbeddedStoreError
 +-- StoreNotInstalledError     no program of that store on this machine
 +-- StoreStartError            the program ended, or refused, before it was ready
 |    +-- PortInUseError        the port the user asked for is taken
 |    +-- DataFolderError       the data folder cannot be used by this program
 +-- StoreBusyError             another launcher holds the folder for too long
 +-- StoreUnreachableError      the store named by a URL does not answer
"""

from __future__ import annotations


class EmbeddedStoreError(RuntimeError):
    """Base of all errors of the embedded stores; the message says what to do."""


class StoreNotInstalledError(EmbeddedStoreError):
    """Neither the package nor a program on PATH provides the store."""


class StoreStartError(EmbeddedStoreError):
    """The store's program did not become ready; the message ends with the tail of its log."""


class PortInUseError(StoreStartError):
    """The port asked for is taken by another program."""


class DataFolderError(StoreStartError):
    """The data folder belongs to another version, or cannot be written."""


class StoreBusyError(EmbeddedStoreError):
    """Another launcher is starting or stopping the same store and did not finish in time."""


class StoreUnreachableError(EmbeddedStoreError):
    """A store given by URL does not answer."""
