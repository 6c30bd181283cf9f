"""What the platform talks about, as pure values and rules: identifiers, identities, instruments, revisions, errors.

Here live frozen, slotted types, their validation and their text forms. Here live no I/O, no clock, no protobuf, no
numpy and nothing from outside the standard library: every service, the SDK and every test may import it at no cost.
"""
