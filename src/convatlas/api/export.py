"""A bundle's network as an ONNX graph, compared with it on real pictures, with a record in bundle and report."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convatlas.api.graph_facts import tell_report
from convatlas.data.picture_set import PictureSet
from convatlas.data.preprocess import Preprocess
from convatlas.engine.bundle import bundle_folder, read_bundle
from convatlas.engine.export import check_packages, export_onnx
from convatlas.engine.graph_records import Parity
from convatlas.engine.held_out import held_out, own_held_out
from convatlas.errors import DataError, PictureError, UsageError


def export_bundle(
    path: str | Path, *, data: str | Path | None = None, pictures: int = 200, any_size: bool = False
) -> Parity:
    """Export a bundle (or the bundle of a run), compared with its network on at most `pictures` real pictures.

    data: where those come from, anything that `open_data` takes; its test part is used, else its validation part. By
    default the data that the run was trained on, by its recorded split, for which `path` must be the run's folder or
    the bundle inside. A bundle that stands alone finds only an embedded set ("digits") by itself.
    any_size: a graph that takes pictures of any height and width, where the network does.
    Raises UsageError when there is no telling which pictures, DataError when they are gone or none can be read, and all
    that `export_onnx` raises.
    """
    if isinstance(pictures, bool) or pictures < 1:
        raise UsageError(f"pictures: expected a whole number of at least 1, got {pictures}")
    check_packages()
    folder = bundle_folder(Path(path))
    bundle = read_bundle(folder)
    try:
        chosen, name = own_held_out(folder, bundle) if data is None else held_out(data)
        pixels = _preprocessed(chosen, bundle.preprocess, pictures)
    except DataError as error:
        stop = "" if str(error).endswith((".", "?")) else "."
        raise DataError(f"{error}{stop} Name pictures to compare on with --data") from error
    parity = export_onnx(folder, pixels, name, any_size=any_size)
    tell_report(folder)
    return parity


def _preprocessed(pictures: PictureSet, preprocess: Preprocess, count: int) -> NDArray[np.uint8]:
    """At most `count` pictures, spread evenly over the set, (N, C, H, W); those that cannot be read are left out."""
    spread = np.linspace(0, len(pictures) - 1, min(count, len(pictures))).round().astype(int)
    pixels = []
    for index in spread:
        try:
            pixels.append(preprocess(pictures.read(int(index))))
        except PictureError:  # others will do
            continue
    if not pixels:
        raise DataError(f"{pictures.origin}: none of the pictures tried can be read")
    return np.stack(pixels)
