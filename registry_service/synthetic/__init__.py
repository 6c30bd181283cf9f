"""The synthetic registry: formulas over instruments, checked before anyone trades on them.

Here live the rules of a synthetic (`rules`), its conversion to stored entries and answers (`convert`), the planning of
writes with the check for cycles (`registration`), who depends on whom (`dependents`), evaluation on given prices
(`evaluation`), templates and the servicer. The grammar is `alphapulse.domain.formula`. Here live no SQL, no cache, no change log.

Entries are kept under their names, so that lists are in their order; the id is minted from the name. Components that are
instruments or listings belong to another registry: their ids are checked for their form alone. Components that are
synthetics have to be registered before.
"""
