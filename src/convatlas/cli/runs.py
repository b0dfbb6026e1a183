"""`convatlas runs`: list runs and delete them."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from convatlas.cli.output import AsJson, print_json, print_line, print_table
from convatlas.errors import UsageError


def runs(
    root: Annotated[Path, typer.Option(help="The folder that holds the runs.")] = Path("runs"),
    delete: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Delete this run for good; may be given several times.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the training runs, newest first, with their score; or delete some."""
    from convatlas.engine.run import delete_run, list_runs

    if delete:
        known = {run.name for run in list_runs(root)}
        for name in delete:
            if name in known and not yes and not typer.confirm(f"Delete {root / name} for good?"):
                raise UsageError(f"{name}: kept")
            deleted = delete_run(name, root)
            print_line(f"deleted {deleted.path} ({deleted.megabytes:.1f} MB)")
        return
    found = list_runs(root)
    if as_json:
        print_json([{**dataclasses.asdict(run), "path": str(run.path)} for run in found])
        return
    if not found:
        print_line(f"no runs in {root}; `convatlas train DATA` makes one")
        return
    print_table(
        ("run", "state", "score", "model", "data", "started", "MB"),
        [
            (
                run.name,
                run.state,
                "" if run.score is None else f"{run.score:.2%} {run.score_name}",
                run.model,
                Path(run.data).name,
                run.started,
                f"{run.megabytes:.1f}",
            )
            for run in found
        ],
        right=("MB",),
    )
