"""The hot loop: state in structured numpy arrays and numba functions over them, with a pure-Python twin as their oracle. No I/O, no messages."""
