"""Options many commands share."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Folder of the database, the master key and the sandbox bank. Also OPENTILL_DATA. Default: data",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Key = Annotated[
    str,
    typer.Option(
        "--key", envvar="OPENTILL_KEY", metavar="KEY", help="An API key of a sandbox merchant (read and write)."
    ),
]
Url = Annotated[str, typer.Option("--url", envvar="OPENTILL_URL", metavar="URL", help="Where OpenTill is reached.")]
