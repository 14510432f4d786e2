"""Options that many commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="one JSON object on standard output, nothing else there")]
Force = Annotated[bool, typer.Option("--force", help="overwrite what exists")]
