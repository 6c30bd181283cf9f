"""Exchanges that have no source of their own here, read by ccxt (https://docs.ccxt.com): the optional extra `ccxt`.

`exchanges.json` is what ccxt says of its exchanges, so that the catalogue needs no ccxt; `catalogue.py` makes sources of it; `dialect.py` tells the
messages that `messages.py` writes of ccxt's structures; `exchange.py` opens an exchange of ccxt, `transport.py` runs it. ccxt is imported when a
source starts, never before.
"""
