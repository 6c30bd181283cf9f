"""From finished rows to subscribers: what waits for each of them, in what order, how it is written on gRPC and on the Unix socket.

Here: rows wanted by a filter (`rows`), conflation and sampling (`conflation`), one subscription's numbering, gaps and contract (`subscription`),
what waits for a subscriber and its bound (`queue`, `items`), a subscriber with its definitions and heartbeats (`subscriber`), what clients ask
(`session`), all of them together (`fanout`), the two transports (`grpc_stream`, `unix_socket`) and the bytes of both (`envelope`, `frames`,
`convert`). Not here: what an event is and which filter wants it (`relay_service.kernel`, `relay_service.subscriptions`).
"""
