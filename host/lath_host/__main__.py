"""`python -m lath_host`: runs a host; its options are those of `lath host run`."""

from __future__ import annotations

import typer

from lath_host.command import run

if __name__ == "__main__":
    typer.run(run)
