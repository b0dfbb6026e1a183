"""`convatlas quantize`: a bundle's graph in int8, measured against float32 before it is kept."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, cast

import typer

from convatlas.cli.output import AsJson, note, print_json, print_line

if TYPE_CHECKING:
    from convatlas.engine.graph_records import Runtime


def quantize(
    bundle: Annotated[
        str,
        typer.Argument(metavar="BUNDLE", help="A run, a bundle, or a network's name.", show_default=False),
    ],
    *,
    data: Annotated[
        str | None,
        typer.Option(
            help="Where the pictures come from: a folder of class folders, a folder with IDX files, a .csv manifest, "
            "digits, or a folder of pictures without classes.",
            show_default="the run's own",
        ),
    ] = None,
    pictures: Annotated[int, typer.Option(help="How many held-out pictures to measure on, at most.")] = 1000,
    calibration: Annotated[int, typer.Option(help="How many other pictures to calibrate on, at most.")] = 128,
    most_loss: Annotated[
        float,
        typer.Option(
            help="How many points may be lost: of accuracy, or without the bundle's classes of agreement with float32."
        ),
    ] = 1.0,
    runtime: Annotated[
        str | None,
        typer.Option(
            help="What will answer it: onnxruntime or openvino.", show_default="the quicker one that is installed"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Chooses the pictures.")] = 0,
    threads: Annotated[int | None, typer.Option(help="Processor threads; by default the engine's choice.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add a graph in int8 to an exported bundle: a quarter of the size, and quicker where the processor has VNNI.

    It is calibrated on some of your pictures, measured on others, and refused when it loses too much. Prediction uses
    it only where it is asked for, with --engine int8.
    """
    from convatlas.api.quantize import quantize
    from convatlas.engine.bundle import ONNX_INT8
    from convatlas.engine.published import find_bundle

    folder = find_bundle(bundle, say=note)
    record = quantize(
        folder,
        data=data,
        pictures=pictures,
        calibration=calibration,
        most_loss=most_loss,
        runtime=cast("Runtime | None", runtime),  # quantize checks it
        seed=seed,
        threads=threads,
        say=note,
    )
    if as_json:
        print_json({"file": str(folder / ONNX_INT8), "quantised": dataclasses.asdict(record)})
        return
    print_line(
        f"quantised to {folder / ONNX_INT8} ({_size(record.int8_bytes)}; float32: {_size(record.float32_bytes)})"
    )
    print_line(f"calibrated on {record.calibration_pictures} pictures ({record.calibration_data}): {record.method}")
    print_line(
        f"measured on {record.pictures} pictures ({record.data}): {record.score_name} {_percent(record.int8)}, "
        f"float32 {_percent(record.float32)}: {record.loss:.2f} points lost (allowed {record.most_loss:g}); "
        f"same answer on {record.same_answer}; answered by {record.runtime}"
    )
    if record.unreadable:
        note(f"{record.unreadable} pictures could not be read and were left out")
    print_line(f"use it: convatlas predict {bundle} PICTURES --engine int8")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _percent(part: float) -> str:
    return f"{100 * part:.2f} %"
