"""Instruments by what they are: facets and filters, lists in pages, search with typos, option chains and futures series."""
