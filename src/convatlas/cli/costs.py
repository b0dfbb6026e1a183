"""`convatlas costs`: what one way of building a network costs beside another. Needs no torch."""

from pathlib import Path
from typing import Annotated

import typer

from convatlas.cli.output import AsJson, note, print_json, print_line, print_table


def costs(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One comparison of the list, with its formulas (two-3x3).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Draw a bar chart into this file, .svg or .png.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare costs: two 3x3 filters and one 5x5, a bottleneck and a basic block, VGG's head and its convolutions, …

    Counts are those of one layer, block or network; multiply-accumulates are for one picture.
    """
    from convatlas.api.costs import costs as compare

    if out is not None:
        from convatlas.report.figure_file import check_figure_path

        check_figure_path("--out", out)
    compared = compare(name, out=out)
    if as_json:
        print_json([each.to_dict() for each in compared])
    elif name is None:
        print_table(
            ("name", "counted", "dearer", "count", "cheaper", "count", "times"),
            [
                (
                    each.name,
                    each.counted,
                    each.dearer.name,
                    f"{each.dearer.value:,}",
                    each.cheaper.name,
                    f"{each.cheaper.value:,}",
                    f"{each.ratio:,.2f}",
                )
                for each in compared
            ],
            right=("count", "times"),
        )
    else:
        (one,) = compared
        print_line(f"{one.title} ({one.counted})")
        print_table(
            ("", "formula"),
            [(one.dearer.name, one.dearer.formula), (one.cheaper.name, one.cheaper.formula)],
        )
        print_line(f"{one.ratio:,.2f} times")
        print_line(one.said)
    if out is not None:
        note(f"written: {out}")
