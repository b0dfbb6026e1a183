"""`convatlas runs`: list runs and delete them."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convatlas.cli.output import AsJson, note, print_json, print_line, print_table

if TYPE_CHECKING:
    from convatlas.engine.run import RunSummary


def runs(
    root: Annotated[Path, typer.Option(help="The folder that holds the runs.")] = Path("runs"),
    delete: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Delete this run for good; may be given several times.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the training runs, newest first, with their score; or delete some (it asks first)."""
    from convatlas.engine.run import list_runs

    if delete:
        _delete(delete, root, ask=not yes, as_json=as_json)
        return
    found = list_runs(root)
    if as_json:
        print_json([_as_json(run) for run in found])
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


def _delete(names: list[str], root: Path, *, ask: bool, as_json: bool) -> None:
    """Delete the runs that the user confirms. Nothing is deleted when one of the names is wrong."""
    from convatlas.engine.run import delete_run, list_runs

    known = [run.name for run in list_runs(root)]
    for name in names:
        if name not in known:
            delete_run(name, root)  # raises, with what may have been meant
    deleted = []
    for name in dict.fromkeys(names):
        if ask and not typer.confirm(f"Delete {root / name} for good?", err=True):
            note(f"kept {root / name}")
            continue
        deleted.append(delete_run(name, root))
        if not as_json:
            print_line(f"deleted {deleted[-1].path} ({deleted[-1].megabytes:.1f} MB)")
    if as_json:
        print_json([_as_json(run) for run in deleted])


def _as_json(run: "RunSummary") -> dict[str, object]:
    return {**dataclasses.asdict(run), "path": str(run.path)}
