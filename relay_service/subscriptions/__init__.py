"""What a subscriber asked for, and which listings that means now.

Here: the filter, contract and start of a subscription as domain types (`wanted`), their way from the API (`convert`), what of a definition filters
look at (`facets`, read from messages by `definitions`, held as numbers by `columns`), a filter as a mask over slots (`compiled`; its predicate by
`predicates` over fields that `gathered` reads once for all), and all filters of all subscribers as one table of bits, through which a batch
of rows goes once (`index`, `selection`). Not here: who gets the rows and when (`relay_service.egress`).
"""
