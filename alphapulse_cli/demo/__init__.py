"""The demo: the whole platform for a while, a live view of it, and a summary that adds up.

`figures` asks the services, `account` adds the answers up across restarts, `view` draws them, `summary` writes them.
"""
