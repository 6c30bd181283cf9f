"""The log of what the relay relayed: kept in Redis Streams, so that a client goes on where it stopped, across a restart of the relay too.

Here: what stands in the log and its bytes (`records`, `entries`), what is not in Redis yet (`tail`), the stream in Redis (`store`), finding a time or
an amount of bytes in it (`search`), a reader's place and what is missing before the next thing it reads (`cursor`), resume tokens (`tokens`), and
all of it together (`relay_log`, of all domains `logs`; of one that is logged before it is delivered `first_log`). Not here: who is given what is
read (`relay_service.egress`).
"""
