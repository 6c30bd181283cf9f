"""Databento's live service: its client library speaks with the gateway, its records (DBN) are the frames.

`records` reads them, `dialect` says what becomes of each, `definitions` makes lines of a list of what it says of instruments, `transport` runs a
session, `catalogue` has the sources, one for each data set. The library is the extra `databento`, imported when one of them starts.
"""
