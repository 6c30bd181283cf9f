"""The synthetic registry: formulas over instruments, checked before anyone trades on them.

Here live the rules of a synthetic by itself (`rules`), what its components are (`components`, asked of the instrument
registry) and whether it makes sense over them (`meaning`: existence, class, units), conversion to stored entries and answers
(`convert`), the planning of writes with the check for cycles (`registration`) and the writes themselves (`writing`),
`validation` without writing, who depends on whom (`dependents`), evaluation on given prices (`evaluation`), templates as data
(`templates`) and how a definition is made of one (`planning`), and the servicer. The grammar and its units are
`alphapulse.domain.formula`; `docs/formulas.md` tells it all to users. Here live no SQL, no cache, no change log.

Entries are kept under their names, so that lists are in their order; the id is minted from the name.
"""
