"""Collision cases: opened, counted, decided, and what a decision enters.

Not here: how a collision is found; that is part of registering.
"""
