"""What the instrument registry serves over HTTP beside its RPCs: the mapping requests of OpenFIGI v3.

Lives here: `openfigi` (the pages and their HTTP), `jobs` (a mapping job read and checked), `exchanges` (exchange codes and MICs), `convert` (look-up
answers as rows of OpenFIGI's shape). Not here: HTTP/JSON of the RPCs, which `alphapulse.runtime.http` makes from the descriptors.
"""
