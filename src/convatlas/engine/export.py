"""A bundle's network as an ONNX graph, kept only when it gives the network's own answers on real pictures."""

import contextlib
import dataclasses
import importlib.metadata
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from convatlas.engine.bundle import (
    ONNX,
    ONNX_DATA,
    ONNX_INT8,
    SIZE_NAMES,
    Bundle,
    bundle_folder,
    read_bundle,
    update_bundle,
)
from convatlas.engine.deploy import Deployed, load_deployed
from convatlas.engine.graph_records import Parity
from convatlas.engine.predict.answer import same_answers
from convatlas.engine.predict.onnx_engine import OnnxEngine, first_line
from convatlas.engine.predict.prepared import prepare_graph
from convatlas.engine.versions import EXPORT_PACKAGES, can_export
from convatlas.errors import BundleError, EngineError, ExportError, MissingExtra, SaveError, UsageError

OPSET = 18  # what torch's exporter writes itself; a later one would go through a converter
TOLERANCE = 1e-4
CHUNK = 8  # pictures compared at a time: few, for a large network holds much for each
INLINE_LIMIT = 2**31 - 2**20  # bytes: a protocol buffer ends at 2 GB; the rest is room for the graph


def export_onnx(path: Path, pictures: NDArray[np.uint8], data: str, *, any_size: bool = False) -> Parity:
    """Add `model.onnx` to a bundle (or the bundle of a run) and record how it compares with the network.

    pictures: real ones, preprocessed as the bundle says, (N, C, H, W); data: which they are, for the record. The graph
    takes uint8 pixels (N, C, H, W), any N, and gives float32 logits (N, K); normalisation and decoding are inside.
    any_size: any H and W, too, for programs of your own, which must prepare such pictures as `preprocess` does but for
    their size. A runtime knows less of such a graph, and may be slower; what predicts here tells it the size.

    It is kept when max |difference of logits| <= 1e-4 * max(1, max |logit|) and every picture gets the same best class
    (multi-label: the same labels), one by one and in batches. Otherwise ExportError gives the measured figures and
    the bundle is as it was, as it is after SaveError (disk full), and for `any_size` where the network takes one size
    alone. Raises MissingExtra without onnx, onnxscript or
    onnxruntime.
    """
    check_packages()
    folder = bundle_folder(path)
    bundle, deployed = load_deployed(folder)
    expected = bundle.preprocess.shape
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[1:] != expected or not len(pictures):
        raise UsageError(f"pictures: expected uint8 (N, {', '.join(map(str, expected))}), got {_described(pictures)}")
    larger = _larger(deployed, pictures) if any_size else None
    with tempfile.TemporaryDirectory(prefix="convatlas-", ignore_cleanup_errors=True) as temporary:
        graph = Path(temporary) / ONNX
        _write_graph(deployed, pictures, graph, any_size=any_size)
        parity = _compare(bundle, deployed, graph, pictures, data)
        if larger is not None:
            parity = _compare_larger(graph, *larger, parity)
        extra = {file.name: file for file in (graph, graph.with_name(ONNX_DATA)) if file.exists()}
        bundle = read_bundle(folder, verify=False)  # some seconds later
        graphs = (ONNX, ONNX_DATA, ONNX_INT8)  # what was quantised was the earlier graph
        earlier = {name: digest for name, digest in bundle.files.items() if name not in graphs}
        described = dataclasses.replace(bundle, parity=parity, quantised=None, files=earlier)
        exported = update_bundle(folder, described, extra)
    for name in graphs:
        if name not in extra:
            (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(SaveError, EngineError):  # no room for it: a start will only take longer
        prepare_graph(folder, exported)
    return parity


def check_packages() -> None:
    """Raise MissingExtra where a graph can be neither written nor compared."""
    if not can_export():
        raise MissingExtra("exporting to ONNX", "export")


def _write_graph(deployed: Deployed, pictures: NDArray[np.uint8], graph: Path, *, any_size: bool) -> None:
    import onnx  # noqa: PLC0415 - an optional extra

    example = torch.from_numpy(np.resize(pictures[:2], (2, *pictures.shape[1:])))  # one picture would fix N at 1
    # AUTO: the exporter fixes a length that the network fixes, which is then found in the graph.
    sizes = dict.fromkeys((2, 3), torch.export.Dim.AUTO) if any_size else {}
    weight = sum(tensor.nbytes for tensor in deployed.state_dict().values())
    try:
        torch.onnx.export(
            deployed,
            (example,),
            graph,
            dynamo=True,
            input_names=["pixels"],
            output_names=["logits"],
            dynamic_shapes={"pixels": {0: torch.export.Dim("N", min=1), **sizes}},
            opset_version=OPSET,
            optimize=True,
            external_data=weight > INLINE_LIMIT,
            verbose=False,
        )
        if any_size:
            _name_sizes(graph)
        onnx.checker.check_model(str(graph), full_check=True)
    except (torch.onnx.OnnxExporterError, onnx.checker.ValidationError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ExportError(f"the network could not be written as an ONNX graph: {reason}") from error
    except OSError as error:
        raise SaveError(f"{graph}: could not be written ({error.strerror or error})") from error


def _name_sizes(graph: Path) -> None:
    """Call the lengths of the input as `SIZE_NAMES` does. Raises ExportError where they are fixed."""
    import onnx  # noqa: PLC0415 - an optional extra

    model = onnx.load(graph, load_external_data=False)
    lengths = model.graph.input[0].type.tensor_type.shape.dim[2:]
    if fixed := [str(length.dim_value) for length in lengths if not length.dim_param]:
        raise ExportError(
            f"the network takes pictures of one size alone ({' x '.join(fixed)}); export it without --any-size"
        )
    names = dict(zip((length.dim_param for length in lengths), SIZE_NAMES, strict=True))
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        for length in value.type.tensor_type.shape.dim:
            for made, name in names.items():
                if made in length.dim_param:  # else it is a number, which an assignment would take away
                    length.dim_param = length.dim_param.replace(made, name)
    onnx.save(model, graph)


def _larger(deployed: Deployed, pictures: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The same pictures, each continued by its mirror image, and the network's logits for them.

    Raises ExportError for a network that does not take them.
    """
    height, width = pictures.shape[2:]
    larger = np.pad(pictures[:CHUNK], ((0, 0), (0, 0), (0, height // 3), (0, width // 5)), mode="symmetric")
    try:
        with torch.inference_mode():
            return larger, deployed(torch.from_numpy(larger)).float().numpy()
    except (UsageError, RuntimeError) as error:
        raise ExportError(f"not for pictures of any size: {first_line(error)}; export it without --any-size") from error


def _compare_larger(graph: Path, larger: NDArray[np.uint8], network: NDArray[np.float32], parity: Parity) -> Parity:
    """The record with what was found on larger pictures; or ExportError."""
    difference = float(np.abs(OnnxEngine(graph)(larger) - network).max())
    tolerance = TOLERANCE * max(1.0, float(np.abs(network).max()))
    if not difference <= tolerance:
        raise ExportError(
            f"the ONNX graph disagrees with the network on pictures of {larger.shape[2]} x {larger.shape[3]} and was "
            f"not kept: largest difference of logits {difference:.3g} (allowed {tolerance:.3g}); export it without "
            "--any-size"
        )
    return dataclasses.replace(parity, any_size=True, max_difference=max(parity.max_difference, difference))


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
