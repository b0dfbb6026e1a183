"""A bundle's network as an ONNX graph, kept only when it gives the network's own answers on real pictures."""

import contextlib
import dataclasses
import importlib.metadata
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from convatlas.data.picture_set import PictureSet
from convatlas.data.preprocess import Preprocess
from convatlas.engine.bundle import (
    ONNX,
    ONNX_DATA,
    ONNX_INT8,
    Bundle,
    Parity,
    bundle_folder,
    read_bundle,
    update_bundle,
)
from convatlas.engine.deploy import Deployed, load_deployed
from convatlas.engine.held_out import held_out, own_held_out
from convatlas.engine.predict.answer import same_answers
from convatlas.engine.predict.onnx_engine import OnnxEngine
from convatlas.engine.predict.prepared import prepare_graph
from convatlas.engine.versions import EXPORT_PACKAGES, can_export
from convatlas.errors import BundleError, DataError, ExportError, MissingExtra, PictureError, SaveError, UsageError

OPSET = 18  # what torch's exporter writes itself; a later one would go through a converter
TOLERANCE = 1e-4
CHUNK = 8  # pictures compared at a time: few, for a large network holds much for each
INLINE_LIMIT = 2**31 - 2**20  # bytes: a protocol buffer ends at 2 GB; the rest is room for the graph


def export_bundle(path: str | Path, *, data: str | Path | None = None, pictures: int = 200) -> Parity:
    """Export a bundle (or the bundle of a run), compared with its network on at most `pictures` real pictures.

    data: where those come from, anything that `open_data` takes; its test part is used, else its validation part. By
    default the data that the run was trained on, by its recorded split, for which `path` must be the run's folder or
    the bundle inside. A bundle that stands alone finds only an embedded set ("digits") by itself.
    Raises UsageError when there is no telling which pictures, DataError when they are gone or none can be read, and all
    that `export_onnx` raises.
    """
    if isinstance(pictures, bool) or pictures < 1:
        raise UsageError(f"pictures: expected a whole number of at least 1, got {pictures}")
    _check_packages()
    folder = bundle_folder(Path(path))
    bundle = read_bundle(folder)
    try:
        chosen, name = own_held_out(folder, bundle) if data is None else held_out(data)
        pixels = _preprocessed(chosen, bundle.preprocess, pictures)
    except DataError as error:
        stop = "" if str(error).endswith((".", "?")) else "."
        raise DataError(f"{error}{stop} Name pictures to compare on with --data") from error
    return export_onnx(folder, pixels, name)


def export_onnx(path: Path, pictures: NDArray[np.uint8], data: str) -> Parity:
    """Add `model.onnx` to a bundle (or the bundle of a run) and record how it compares with the network.

    pictures: real ones, preprocessed as the bundle says, (N, C, H, W); data: which they are, for the record. The graph
    takes uint8 pixels (N, C, H, W), any N, and gives float32 logits (N, K); normalisation and decoding are inside.

    It is kept when max |difference of logits| <= 1e-4 * max(1, max |logit|) and every picture gets the same best class
    (multi-label: the same labels), one by one and in batches. Otherwise ExportError gives the measured figures and
    the bundle is as it was, as it is after SaveError (disk full). Raises MissingExtra without onnx, onnxscript or
    onnxruntime.
    """
    _check_packages()
    folder = bundle_folder(path)
    bundle, deployed = load_deployed(folder)
    expected = bundle.preprocess.shape
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[1:] != expected or not len(pictures):
        raise UsageError(f"pictures: expected uint8 (N, {', '.join(map(str, expected))}), got {_described(pictures)}")
    with tempfile.TemporaryDirectory(prefix="convatlas-", ignore_cleanup_errors=True) as temporary:
        graph = Path(temporary) / ONNX
        _write_graph(deployed, pictures, graph)
        parity = _compare(bundle, deployed, graph, pictures, data)
        extra = {file.name: file for file in (graph, graph.with_name(ONNX_DATA)) if file.exists()}
        graphs = (ONNX, ONNX_DATA, ONNX_INT8)  # what was quantised was the earlier graph
        earlier = {name: digest for name, digest in bundle.files.items() if name not in graphs}
        described = dataclasses.replace(bundle, parity=parity, quantised=None, files=earlier)
        exported = update_bundle(folder, described, extra)
    for name in graphs:
        if name not in extra:
            (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(SaveError):  # no room for it: a start will only take longer
        prepare_graph(folder, exported)
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


def _check_packages() -> None:
    if not can_export():
        raise MissingExtra("exporting to ONNX", "export")


def _write_graph(deployed: Deployed, pictures: NDArray[np.uint8], graph: Path) -> None:
    import onnx  # noqa: PLC0415 - an optional extra

    example = torch.from_numpy(np.resize(pictures[:2], (2, *pictures.shape[1:])))  # one picture would fix N at 1
    weight = sum(tensor.nbytes for tensor in deployed.state_dict().values())
    try:
        torch.onnx.export(
            deployed,
            (example,),
            graph,
            dynamo=True,
            input_names=["pixels"],
            output_names=["logits"],
            dynamic_shapes={"pixels": {0: torch.export.Dim("N", min=1)}},
            opset_version=OPSET,
            optimize=True,
            external_data=weight > INLINE_LIMIT,
            verbose=False,
        )
        onnx.checker.check_model(str(graph), full_check=True)
    except (torch.onnx.OnnxExporterError, onnx.checker.ValidationError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ExportError(f"the network could not be written as an ONNX graph: {reason}") from error
    except OSError as error:
        raise SaveError(f"{graph}: could not be written ({error.strerror or error})") from error


def _compare(bundle: Bundle, deployed: Deployed, graph: Path, pictures: NDArray[np.uint8], data: str) -> Parity:
    """The parity record, or ExportError when the graph does not keep to the tolerance."""
    try:
        engine = OnnxEngine(graph)
    except BundleError as error:
        raise ExportError(f"the ONNX graph was not kept: {error}") from error
    chunks = [pictures[start : start + CHUNK] for start in range(0, len(pictures), CHUNK)]
    with torch.inference_mode():
        network = np.concatenate([deployed(torch.from_numpy(chunk)).float().numpy() for chunk in chunks])
    batched = np.concatenate([engine(chunk) for chunk in chunks])
    single = np.concatenate([engine(picture[None]) for picture in pictures])
    if not np.isfinite(network).all():
        raise ExportError("the network itself gives logits that are not finite; train it again")
    difference = float(max(np.abs(batched - network).max(), np.abs(single - network).max()))
    tolerance = TOLERANCE * max(1.0, float(np.abs(network).max()))
    same = same_answers(bundle, batched, network) & same_answers(bundle, single, network)
    if not difference <= tolerance or not same.all():
        raise ExportError(
            f"the ONNX graph disagrees with the network and was not kept: largest difference of logits "
            f"{difference:.3g} (allowed {tolerance:.3g}), same answer on {same.sum()} of {len(same)} pictures"
        )
    return Parity(
        max_difference=difference,
        tolerance=tolerance,
        same_top1=int(same.sum()),
        pictures=len(pictures),
        data=data,
        opset=OPSET,
        versions={name: importlib.metadata.version(name) for name in ("torch", *EXPORT_PACKAGES)},
    )


def _described(pictures: NDArray[np.generic]) -> str:
    return f"{pictures.dtype} ({', '.join(map(str, pictures.shape))})"
