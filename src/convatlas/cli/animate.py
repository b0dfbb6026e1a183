"""`convatlas animate`: a picture that moves, of one thing that networks do. Needs no torch."""

from pathlib import Path
from typing import Annotated

import typer

from convatlas.cli.output import AsJson, note, print_json, print_line, print_table


def animate(
    kind: Annotated[
        str | None, typer.Argument(metavar="KIND", help="One of the list that the verb prints without it (stride).")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Side of the input or picture.")] = None,
    kernel: Annotated[int | None, typer.Option(help="Side of the kernel or pooling window.")] = None,
    stride: Annotated[int | None, typer.Option(help="Cells from one place to the next.")] = None,
    padding: Annotated[
        int | None, typer.Option(help="Zeros around the input; for transposed, what is cut off.")
    ] = None,
    dilation: Annotated[int | None, typer.Option(help="Cells from one tap of the kernel to the next.")] = None,
    output_padding: Annotated[int | None, typer.Option(help="Rows and columns added to a transposed output.")] = None,
    channels: Annotated[int | None, typer.Option(help="Channels of the input volume.")] = None,
    mode: Annotated[str | None, typer.Option(help="Of pooling: max or average.")] = None,
    window: Annotated[int | None, typer.Option(help="Side of the sliding window, in pixels.")] = None,
    boxes: Annotated[int | None, typer.Option(help="How many boxes there are to suppress.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Of nms, the largest IoU; else the score that counts.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Other numbers or another scene.")] = None,
    seconds: Annotated[float | None, typer.Option(help="How long each step is shown.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the animation into this file, .svg or .gif.")] = None,
    as_json: AsJson = False,
) -> None:
    """Animate convolution, padding, stride, dilation, pooling, sliding windows, non-maximum suppression and others.

    An SVG moves by CSS alone, in light and dark, stands still where motion is not wanted, and pauses while it is
    pointed at or has the focus; a GIF can do none of this. Every number in it is computed.
    """
    from convatlas.api.animate import animate as make
    from convatlas.api.animate import check_animation_path, preset
    from convatlas.errors import UsageError
    from convatlas.report.animations.presets import PRESETS

    given = {
        "size": size,
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "output_padding": output_padding,
        "channels": channels,
        "mode": mode,
        "window": window,
        "boxes": boxes,
        "threshold": threshold,
        "seed": seed,
        "seconds": seconds,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if out is not None:
        check_animation_path("--out", out)
    if kind is None:
        if changes or out is not None:
            raise UsageError(f"KIND: say which animation: {', '.join(PRESETS)}")
        if as_json:
            print_json([{"name": name, **each.to_dict()} for name, each in PRESETS.items()])
            return
        rows = [(name, str(each.drawing().steps), options(list(each.parameters()))) for name, each in PRESETS.items()]
        print_table(("kind", "steps", "options"), rows, right=("steps",))
        return
    names = list(preset(kind).parameters())
    for name in changes:
        if name not in names:
            raise UsageError(f"{options([name])}: {kind} does not have it; it has {options(names)}")
    animation = make(kind, changes=changes, out=out)
    if as_json:
        print_json(animation.to_dict())
    else:
        drawing = animation.drawing()
        print_line(f"{drawing.title}: {drawing.steps} steps of {animation.seconds:g} s")
        print_line(drawing.description)
    if out is not None:
        note(f"written: {out}")


def options(names: list[str]) -> str:
    """Fields as the options of the command line."""
    return ", ".join("--" + name.replace("_", "-") for name in names)
