"""The relay's engine: synchronous, without I/O, one for each relay process.

    frame -> source sequence -> kernel (stamp, look up, quality flags, last quote, opportunities) -> synthetics -> AcceptResult -> sink

What the egress side uses:

- `RelayCore.accept(...)` and `RelayCore.tick(now_ns)` return an `AcceptResult`. Its `groups` are in order of sequence; each group holds rows of
  one type with a contiguous run of sequences and, beside each row, the slot of its listing.
- `RelayCore.slots` (`SlotTable`) describes each slot: `slots.table` is a structured array (fields: see `SLOT` in `kernel/slots.py`: key, known,
  definition_version, venue, instrument, asset_class, ...), `slots.count` how many are in use, `slots.slot_of(listing_key)` the slot or -1,
  `slots.venues[i]` and `slots.instruments[i]` the texts behind the indices. The array is replaced when it grows: read it through `slots` each time.
  Every listing that events came for has a slot, also one the registries do not know (`known` 0), and so has every synthetic.
- `RelayCore.on_definition_changed(callback)`: the callback gets an int32 array of slots that are new or whose definition changed, before the first
  event that carries the new definition_version is handed on: filters are evaluated again for these slots alone.
- `RelayCore.replica` (`EnrichmentReplica`): `definition(slot)` gives the serialized `ListingDefinition` for delivery in the stream (b"" where there is
  none), `listing(slot)`, `instrument(slot)`, `synthetic(slot)` the messages, `revision` the `RevisionToken` applied.
- `RelayCore.snapshot(event_type, slots)` gives the last quote, trade or status row of each of these slots that has one; `RelayCore.last_sequence` is the
  sequence it stands for.
- `RelayCore.stamp_out(group, now_ns)` writes relay_out_ns into a group's rows and measures the hop: called once for each group by egress.
- `RelayCore.counters()` gives what GetRelayStatus and the heartbeat need.
"""
