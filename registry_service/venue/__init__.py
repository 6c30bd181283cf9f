"""The venue registry: where listings trade, when, and at what cost.

Here live the rules of a venue (`rules`, `fee_rules`, `exception_rules`), its conversion to stored entries and answers
(`convert`), the planning of writes (`registration`, `changes`), the hierarchy of MICs (`mics`), calendars (`calendar_packages`
builds them, `calendar_store` keeps them in Postgres, `calendars_ahead` has them built before anybody asks, `calendar_names` knows
what can be named), hours (`schedule`, `sessions`), what is listed where (`listings`, `links`), fees, ranking and routes (`fees`,
`ranking`, `routing` are pure; `best`, `route`, `best_calls` bring the data to them) and the servicer. Here live no cache and no
change log: those are `registry_service.storage` and `registry_service.watch`.

A venue with a MIC has it as its code, so that a MIC names at most one venue. Listings are the instrument registry's: what
needs them asks it, and says so when it cannot be asked.
"""
