"""The instrument registry: where a name becomes an identity.

Here live the conversion between messages and domain values, the rules of a registration, its planning against what the
registry holds, look-ups, lists, watches and the servicer. Stored bodies are the serialized messages as they are
answered, so the modules handle messages through `convert.wire`; the generated modules are imported in `convert` alone.
Here live no SQL, no cache and no change log: those are `registry_service.storage` and `registry_service.watch`.

Venues are a registry of their own: whether a listing's venue exists is asked there (`venues`); without its address only
the form of the code is checked. Seeds register venues first.
"""
