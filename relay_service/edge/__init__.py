"""An edge: a relay that serves subscribers from the logs of another, which takes events in.

    log of a domain of the relay -> follower -> core (last rows, no numbering) -> the fan-out of any relay -> subscribers

Here: what an edge keeps of a log in memory and where it stands (`window`, `log`), the state it makes of it (`core`), reading on as it is written
(`follower` a domain, `followers` all of them), and all of it as a process (`app`, `metrics`). Not here: subscriptions, contracts, starts and tokens,
which are those of every relay (`relay_service.egress`); what the log holds (`relay_service.log`).
"""
