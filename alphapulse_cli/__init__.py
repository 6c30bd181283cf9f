"""The command `alphapulse`: runs the platform on one machine, and talks to it wherever it runs.

Lives here: `platform` (stores and services as processes that are watched over), `seed` (reference data of packages), `demo` (the live view and its
summary), `commands` (one file a command). Not here: anything a service or a strategy needs.
"""
