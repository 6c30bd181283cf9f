"""The registries seen from another process: channels, errors, registration streams, watches that resume.

Lives here: `channel` (options, keepalive, retries of reads), `status` (an error as google.rpc.Status, both ways),
`errors` (a failed call turned back into its domain class), `registration` and `watch`. Not here: what a strategy imports
(`strategy_sdk`), the server's side (`alphapulse.runtime`). The stubs themselves are `alphapulse.api`.
"""
