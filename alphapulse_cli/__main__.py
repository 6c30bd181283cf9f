"""`python -m alphapulse_cli` is the command `alphapulse`."""

from alphapulse_cli.main import main

main()
