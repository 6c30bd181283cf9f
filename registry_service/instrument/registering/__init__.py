"""Entries coming in: read and checked (`drafts`, `rules`), planned against what is held (`registration`, `planning`), extended, linked, updated.

Not here: what a person decides of two claims (`collisions`), what happens to an instrument later (`lifecycle`).
"""
