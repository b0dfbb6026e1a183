"""`convatlas field`: what the layers of a network see of a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convatlas.cli.model_changes import parse_model_changes
from convatlas.cli.output import AsJson, note, print_json, print_table
from convatlas.errors import UsageError

if TYPE_CHECKING:
    from fractions import Fraction

    from convatlas.api.field import SeenLayer


def field(
    target: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help="A name of `convatlas models`; a run or bundle; or module:function, as for show.",
            show_default=False,
        ),
    ],
    layers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LAYER]...", help="Its features or modules by name; by default, its features.", show_default=False
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--input", metavar="SHAPE", help="The picture's shape: 3x224x224. Known for names and bundles."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the network's config: in_channels=1."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Draw the fields here, as .png or .svg: computed as a box, measured as heat.")
    ] = None,
    image: Annotated[Path | None, typer.Option(help="The photograph that --out lays them over.")] = None,
    effective: Annotated[
        bool, typer.Option("--effective", help="Measure the effective fields, as --out does.")
    ] = False,
    visits: Annotated[
        bool, typer.Option("--visits", help="Count, and draw with --out, how many units see each pixel.")
    ] = False,
    weights: Annotated[
        str | None, typer.Option(help="Measure with these weights, as for train; by default, freshly initialised.")
    ] = None,
    count: Annotated[int, typer.Option(help="Random pictures to measure on.")] = 16,
    seed: Annotated[int, typer.Option(help="Seed of fresh weights and of the random pictures.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Show the receptive field of a network's layers: its size, jump and offset, and how much of it counts.

    A layer's unit at place u sees `field` pixels from start + u * jump on; what lies before pixel 0 is padding.

    By a gate or attention it sees the whole picture too; field, jump and start are then of the path beside it.
    """
    _check(out, image, visits=visits)
    from convatlas.api.field import field as field_report

    measured = (effective or out is not None) and not visits
    report = field_report(
        target,
        layers or (),
        image=None if size is None else _parse_size(size),
        changes=parse_model_changes(set_ or ()),
        effective=measured,
        visits=visits,
        weights=weights,
        count=count,
        seed=seed,
    )
    if out is not None:
        from convatlas.api.draw_fields import draw_fields

        note(f"written: {draw_fields(report, out, photograph=image)}")
    if as_json:
        described = [_described(each) for each in report.layers]
        print_json({"network": report.network, "input": list(report.image), "layers": described})
        return
    columns = ["layer", "output", "field", "jump", "start", "centre", "sees"]
    extra = ["effective", "deviation"] if measured else ["visits"] if visits else []
    print_table([*columns, *extra], [_row(each, measured=measured, visits=visits) for each in report.layers])
    for each in report.layers:
        if each.computed.field.unknown:
            note(f"note: {each.computed.layer}: {each.computed.field.unknown}")


def _check(out: Path | None, image: Path | None, *, visits: bool) -> None:
    """Say what is wrong with the files before anything is measured."""
    if image is not None and out is None:
        raise UsageError("--image: a photograph is only drawn on; name the picture to write with --out")
    if image is not None and visits:
        raise UsageError("--image: visits are drawn by themselves, not over a photograph; leave out one of the two")
    if out is not None:
        from convatlas.report.figure_file import check_figure_path

        check_figure_path("--out", out)
    if image is not None:
        from convatlas.data.pictures import decode

        decode(image)


def _parse_size(text: str) -> tuple[int, int, int]:
    """`"3x224x224"` -> (3, 224, 224). Raises UsageError for a text that is not three whole numbers from 1 on."""
    from convatlas.api.show import parse_input

    shape, kind = parse_input(text)
    if kind is not None or len(shape) != 3:
        raise UsageError(f"--input {text}: expected channels x height x width, such as 3x224x224")
    channels, height, width = shape
    return channels, height, width


def _row(layer: "SeenLayer", *, measured: bool, visits: bool) -> list[str]:
    from convatlas.arithmetic.field.closed import number, numbers

    computed = layer.computed
    axes = computed.field.axes
    row = [computed.layer, "x".join(map(str, computed.shape[1:]))]
    if axes:
        row.append(" x ".join(number(axis.size) for axis in axes))
        row += [numbers([getattr(axis, name) for axis in axes]) for name in ("jump", "start", "centre")]
    else:
        row += ["?"] * 4
    row.append("unknown" if computed.field.unknown else "the whole picture" if computed.field.whole else "a part")
    if measured:
        row += [f"{layer.effective.side:.1f}", _deviation(layer)] if layer.effective else ["-", "-"]
    if visits:
        row.append(f"{layer.visits.min():,} to {layer.visits.max():,}" if layer.visits is not None else "-")
    return row


def _deviation(layer: "SeenLayer") -> str:
    assert layer.effective is not None
    return " x ".join(f"{each:.1f}" for each in layer.effective.deviation)


def _described(layer: "SeenLayer") -> dict[str, object]:
    axes = layer.computed.field.axes
    described: dict[str, object] = {
        "layer": layer.computed.layer,
        "output": list(layer.computed.shape[1:]),
        "size": [_plain(axis.size) for axis in axes],
        "jump": [_plain(axis.jump) for axis in axes],
        "start": [_plain(axis.start) for axis in axes],
        "centre": [_plain(axis.centre) for axis in axes],
        "whole": layer.computed.field.whole,
        "unknown": layer.computed.field.unknown or None,
    }
    if layer.effective is not None:
        alive = layer.effective.area > 0
        described["effective"] = {
            "unit": list(layer.effective.unit),
            "area": layer.effective.area,
            "side": layer.effective.side,
            "centre": list(layer.effective.centre) if alive else None,
            "deviation": list(layer.effective.deviation) if alive else None,
        }
    if layer.visits is not None:
        described["visits"] = {"least": int(layer.visits.min()), "most": int(layer.visits.max())}
    return described


def _plain(value: "Fraction | None") -> int | float | None:
    if value is None:
        return None
    return value.numerator if value.denominator == 1 else float(value)
