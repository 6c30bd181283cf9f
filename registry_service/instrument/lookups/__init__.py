"""Who bears a name: outcomes, the choice between listings, answers kept serialized, entries by id."""
