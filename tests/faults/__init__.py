"""The fault harness of the relay: real processes, faults drawn from a seed, and validators named after the promises (docs/guarantees.md, G6-G9).

    feeders --proxies--> relay (log in Valkey) --proxies--> a strategy of the SDK, a client of the bare protocol
                           |    `--proxies--> edges --proxies--'
                           `----------------------------> the witness, in the test's process, which nothing befalls

In a quarter of the seeds clients are served by edges, each at one or two addresses: at an edge, at either of two, at an edge or the relay. The
log is what all of them have in common: whoever serves a client, it has the relay's own sequences and lives, which are what the witness saw.

`plan` draws from a seed what happens; `episode` plays it in a `world` of processes (`process`): `feeder`, `reader`, `strategy` and the `relay`
itself, which may be an edge. `proxy` delays, cuts, truncates and stalls what goes between them. Each process writes what it sent or saw into a
`journal` before it goes on, so that its death leaves the truth behind. `history` reads them, `validators` judges, without any code of the product
but the layouts of rows.
`planted` holds faults of the relay that the validators have to find.

One more kind of process is a module with a `main(name, control)` and its line in `process.ROLES`.
"""
