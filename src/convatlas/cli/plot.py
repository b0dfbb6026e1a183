"""`convatlas plot`: a chart of the field as a picture file and a table. Needs no torch."""

from pathlib import Path
from typing import Annotated

import typer

from convatlas.cli.output import AsJson, note, print_json, print_table


def plot(
    kind: Annotated[
        str,
        typer.Argument(metavar="KIND", help="timeline, efficiency, family-tree, detection or initialisation."),
    ],
    out: Annotated[Path | None, typer.Option(help="The picture, .svg or .png. [default: KIND.svg]")] = None,
    depth: Annotated[int | None, typer.Option(help="initialisation: layers of the chain. [default: 20]")] = None,
    width: Annotated[int | None, typer.Option(help="initialisation: units of a layer. [default: 256]")] = None,
    seed: Annotated[int | None, typer.Option(help="initialisation: seed of noise and weights. [default: 0]")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw a chart of the field, and print what it shows with the source of each figure.

    timeline: the families and what was new in them. efficiency: ImageNet accuracy against multiply-accumulates,
    parameters and measured latency. family-tree: which network was made from which. detection: average precision by
    year and against speed. initialisation: what initial weights do to a signal through depth, measured now.
    """
    from convatlas.api.plot import plot as draw
    from convatlas.report.charts.kinds import check_kind, rows
    from convatlas.report.figure_file import check_figure_path

    check_kind(kind)
    target = Path(f"{kind}.svg") if out is None else out
    check_figure_path("--out", target)
    data = draw(kind, out=target, depth=depth, width=width, seed=seed)
    if as_json:
        print_json(data.to_dict())
    else:
        header, *lines = rows(kind, data)
        print_table(header, lines)
    note(f"written: {target}")
