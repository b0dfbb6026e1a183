"""`convatlas draw`: the architecture diagram of a network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convatlas.cli.model_changes import parse_model_changes
from convatlas.cli.output import AsJson, note, print_json, print_line, print_table

if TYPE_CHECKING:
    from convatlas.report.diagrams import Diagram


def draw(
    target: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help="A name of `convatlas models`; a run or bundle; or module:function, as for show.",
            show_default=False,
        ),
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="SHAPE",
            help="The shape of one picture, channels first: 3x224x224. Once for each thing that the network takes. "
            "Known for names and bundles.",
        ),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(min=0, help="How deep modules are opened; 1: the outermost. By default, one block of each kind."),
    ] = None,
    slide: Annotated[bool, typer.Option("--slide", help="Draw rows on 16:9 instead of a column for a phone.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the diagram into this file, .svg.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the network's config: num_classes=7."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw what a network is built of: its parts, how often each is there, branches, shortcuts, and shapes on arrows.

    It is drawn from the network itself, as it runs. Without --out its parts are printed.
    """
    from convatlas.api.draw import check_diagram_path
    from convatlas.api.draw import draw as make

    if out is not None:
        check_diagram_path("--out", out)
    drawn = make(target, *(inputs or ()), depth=depth, slide=slide, out=out, changes=parse_model_changes(set_ or ()))
    if as_json:
        print_json(_described(drawn))
    elif out is None:
        rows = [
            (str(index), " · ".join(filter(None, (box.name, *box.texts))), str(box.times), _goes_to(drawn, index))
            for index, box in enumerate(drawn.boxes)
        ]
        print_table(("part", "what", "times", "gives"), rows, right=("part", "times"))
    else:
        print_line(f"{drawn.title}: {len(drawn.boxes)} boxes, {drawn.width:.0f} x {drawn.height:.0f} pixels")
    if out is not None:
        note(f"written: {out}")


def _goes_to(drawn: "Diagram", index: int) -> str:
    return ", ".join(
        f"{' and '.join('x'.join(map(str, shape)) for shape in link.shapes)} to {link.target}"
        for link in drawn.links
        if link.source == index
    )


def _described(drawn: "Diagram") -> dict[str, object]:
    return {
        "network": drawn.title,
        "width": round(drawn.width, 2),
        "height": round(drawn.height, 2),
        "description": drawn.description,
        "boxes": [
            {
                "name": box.name,
                "texts": list(box.texts),
                "kind": box.role,
                "times": box.times,
                "modules": list(dict.fromkeys(box.paths)),
                "parameters": list(box.parameters),
                "frame": box.frame,
            }
            for box in drawn.boxes
        ],
        "frames": [
            {"title": each.title, "module": each.path, "times": each.times, "note": each.note, "frame": each.parent}
            for each in drawn.frames
        ],
        "links": [
            {"from": link.source, "to": link.target, "shapes": [list(shape) for shape in link.shapes]}
            for link in drawn.links
        ],
    }
