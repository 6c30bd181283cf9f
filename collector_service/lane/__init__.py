"""The fast lane: frames decoded in compiled code, beside the ordinary path, which is its oracle and takes over wherever it stops.

A dialect's specification becomes a program of numbers (`program`, `fields`). The kernel (`kernel`, and what it is made of: `tokens`, `values`,
`records`, `machines`, `levels`, `checksums`, `messages`) reads a batch of frames by it, keeps books in step and writes rows. It knows the plain part
of JSON, the words it was told (`words`) and books in step (`shelf`); at anything else it stops, before anything of the frame has been done, and the
session decodes that frame as ever. No guess is made here. How books are kept and what a message means is not decided here either: that is
`collector_service.book` and `collector_service.compiler`.
"""
