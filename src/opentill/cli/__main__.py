"""`python -m opentill.cli` is `opentill`."""

from opentill.cli import main

main()
