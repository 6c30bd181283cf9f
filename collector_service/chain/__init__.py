"""EVM chains as sources: what a node tells over JSON-RPC, which of it is told on, and how swaps become trades.

`abi` reads words, `events` the swaps in logs, `ledger` decides which blocks count, `pools` asks a node what the pools of an allow-list are,
`node` is the conversation, `chains` the chains there are. Nothing here signs or sends a transaction.
"""
