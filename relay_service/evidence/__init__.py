"""Evidence: where an event came from, and that it comes out the same once more.

Here: what the core tells of its inputs, put into the log (`inputs`), finding an event and what was before it (`finding`), explaining it
(`explaining`, over `flags`, `origins`, `definitions`, `lives`; `convert`), and a life of the relay put through a whole relay again (`replaying`). Not
here: the log itself (`relay_service.log`), and replays of a subscription (`relay_service.egress`).
"""
