"""The venue registry: where listings trade, when, and at what cost.

Here live the rules of a venue (`rules`), its conversion to stored entries and answers (`convert`), the planning of writes
(`registration`), calendars and sessions (`calendars`, `sessions`) and the servicer. Here live no SQL, no cache and no
change log: those are `registry_service.storage` and `registry_service.watch`.

A venue with a MIC has it as its code, so that a MIC names at most one venue. Listings are the instrument registry's:
SetVenueStatus, which has to name every listing affected, and RankVenues and PlanRoute, which need quotes, are not served
yet (`servicer.UNSERVED`); the status can be changed by UpdateVenue.
"""
