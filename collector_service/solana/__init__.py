"""Solana as a source: pools of Orca's Whirlpools, told over a node's subscriptions.

`base58` writes addresses, `accounts` reads what accounts hold, `trades` finds exchanges in a transaction's log, `source` is the conversation. Nothing
here signs or sends a transaction.
"""
