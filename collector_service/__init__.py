"""The collector: runs sources of market data and hands their events, as fixed rows, to the relay.

Here live the values that describe venues (`sources/`), the machine that runs them (`runtime/`, `session.py`), the ways frames arrive
(`transport/`), the order books (`book/`), simulated venues (`simulation/`), and the connection to the relay (`link.py`). What an
instrument is, how a row looks and what a frame is are not decided here: see `alphapulse.domain` and `alphapulse.records`.
"""
