"""What tests of several folders share; `support` is importable from every test (see `pythonpath` in pyproject.toml)."""
