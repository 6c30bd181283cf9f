"""EVM chains as sources: what a node tells over JSON-RPC, which of it is told on, and how swaps become trades.

`abi` reads words, `events` the swaps in logs, `ledger` decides which blocks count, `pools` are those of an allow-list, which `asking` asks a node
about, `factories` what makes new ones and `creations` what becomes of their logs, `listing` the list that both come to,
`node` is the conversation. Nothing here signs or sends a transaction.
"""
