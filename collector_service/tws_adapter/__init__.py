"""Interactive Brokers: the client of `ib_async` speaks with a TWS or an IB Gateway, and what they say is read here, field by field.

`contracts` says which contracts are listed and reads what TWS tells of them, `depth` keeps books whose levels are told by position, `dialect` says
what becomes of each message, `transport` runs the conversation, `catalogue` has the source. The library is the extra `ib`.
"""
