"""`convatlas export`: write a bundle's network as an ONNX graph, and check it on real pictures."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from convatlas.cli.output import AsJson, note, print_json, print_line


def export(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A run, or a bundle.", show_default=False)],
    *,
    data: Annotated[
        str | None,
        typer.Option(
            help="Where the pictures to compare on come from: a folder of class folders, a folder with IDX files, a "
            ".csv manifest, or digits.",
            show_default="the run's own held-out ones",
        ),
    ] = None,
    pictures: Annotated[int, typer.Option(help="How many pictures to compare on, at most.")] = 200,
    any_size: Annotated[
        bool,
        typer.Option(
            "--any-size", help="Let the graph take pictures of any size, where the network does; it may be slower."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add an ONNX graph to a bundle, so that prediction starts at once and needs no torch.

    The graph is kept only when it gives the network's own answers on real pictures; the comparison is recorded.
    """
    note("exporting; this takes some seconds")
    from convatlas.api.export import export_bundle
    from convatlas.engine.bundle import ONNX, bundle_folder, read_bundle

    had_int8 = read_bundle(bundle, verify=False).in_int8
    parity = export_bundle(bundle, data=data, pictures=pictures, any_size=any_size)
    if had_int8:
        note("the int8 graph was made of the earlier graph and is gone; quantise again")
    graph = bundle_folder(bundle) / ONNX
    if as_json:
        print_json({"file": str(graph), "parity": dataclasses.asdict(parity)})
        return
    print_line(f"exported to {graph} ({graph.stat().st_size / 1e6:.1f} MB, ONNX operator set {parity.opset})")
    print_line(
        f"compared on {parity.pictures} pictures ({parity.data}): same answer on {parity.same_top1}, "
        f"largest difference of logits {parity.max_difference:.2g} (allowed {parity.tolerance:.2g})"
    )
