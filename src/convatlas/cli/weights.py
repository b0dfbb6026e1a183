"""`convatlas weights`: published weights, on this machine and to be had. Needs no torch."""

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from convatlas.cli.download import download_bar
from convatlas.cli.output import AsJson, note, print_json, print_line, print_table

if TYPE_CHECKING:
    from convatlas.weights import WeightSet
    from convatlas.weights.cache import WeightFile

app = typer.Typer(help="Published weights: which there are, and to bring and check their files.", no_args_is_help=True)


@app.command("list")
def list_sets(
    pattern: Annotated[
        str | None, typer.Argument(help="Part of a key (resnet50), or with wildcards all of it (torchvision/*_V2).")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Only sets for this network, such as resnet50.")] = None,
    licence: Annotated[str | None, typer.Option(help="Only sets with this licence, such as Apache-2.0.")] = None,
    as_json: AsJson = False,
) -> None:
    """List weight sets with their network, licence, training data and published accuracy."""
    from convatlas.weights import list_weights

    sets = list_weights(pattern, model=model, licence=licence)
    if as_json:
        print_json([dataclasses.asdict(each) for each in sets])
        return
    if not sets:
        print_line("no weight set meets these conditions; `convatlas weights list` lists them all")
        return
    rows = [
        (
            each.key,
            _network(each),
            "" if each.top1 is None else f"{each.top1:.2f}",
            "" if each.mebibytes is None else f"{each.mebibytes:.1f}",
            str(each.transform.crop),
            each.licence,
            each.data,
        )
        for each in sets
    ]
    print_table(
        ("key", "network", "top-1 %", "MiB", "pixels", "licence", "trained on"),
        rows,
        right=("top-1 %", "MiB", "pixels"),
    )
    note("the terms of the training data are apart from the licence: --json shows both, and the whole transform")


@app.command("fetch")
def fetch(
    key: Annotated[str, typer.Argument(help="A key that `convatlas weights list` shows.", show_default=False)],
    offline: Annotated[
        bool, typer.Option("--offline", help="Never touch the network; so does CONVATLAS_OFFLINE=1.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring one weight set to this machine, unless it is here, and check it."""
    from convatlas.weights.fetch import fetch_weights

    with download_bar(key) as progress:
        file = fetch_weights(key, offline=offline or None, progress=progress)
    if as_json:
        print_json(_record(file))
        return
    print_line(str(file.path))
    note(f"SHA-256 {file.sha256} ({_basis(file)})")


@app.command("verify")
def verify(
    keys: Annotated[
        list[str] | None, typer.Argument(help="Keys to check; none: all that are on this machine.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the digests of the weight files that are on this machine; exit 1 if one is wrong."""
    from convatlas.weights.cache import cache_folder
    from convatlas.weights.fetch import verify_weights

    files = verify_weights(keys or ())
    if as_json:
        print_json([_record(file) for file in files])
    elif not files:
        print_line(f"no weights are on this machine (the cache is {cache_folder()})")
    else:
        print_table(
            ("key", "", "file"),
            [(file.key, f"wrong: {file.problem}" if file.problem else _basis(file), str(file.path)) for file in files],
        )
    if any(file.problem for file in files):
        raise typer.Exit(1)


def _network(weights: "WeightSet") -> str:
    return " ".join([weights.model, *(f"{name}={value}" for name, value in weights.changes.items())])


def _basis(file: "WeightFile") -> str:
    return {
        "stated": "right: as its source states",
        "first 8 digits stated": "right: its source states the first 8 digits",
        "recorded at first download": "right: as recorded at the first download, the source states none",
        "nothing": "its source states no digest, and none was recorded",
    }[file.basis]


def _record(file: "WeightFile") -> dict[str, object]:
    return {**dataclasses.asdict(file), "path": str(file.path)}
