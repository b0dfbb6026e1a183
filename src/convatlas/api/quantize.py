"""A bundle's ONNX graph in int8, kept only when it loses little on pictures that it was not calibrated on."""

import dataclasses
import importlib.metadata
import importlib.util
import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convatlas.api.graph_facts import tell_report
from convatlas.data.picture_set import PictureSet
from convatlas.data.preprocess import Preprocess
from convatlas.engine.bundle import ONNX, ONNX_DATA, ONNX_INT8, Bundle, read_bundle, update_bundle
from convatlas.engine.graph_records import RUNTIMES, Quantised, Runtime
from convatlas.engine.held_out import two_parts
from convatlas.engine.int8 import write_int8
from convatlas.engine.int8_loss import FLOAT32, Measured, in_chunks, measure_loss
from convatlas.engine.predict.engines import Engine, installed, on_runtime
from convatlas.engine.predict.onnx_engine import OnnxEngine
from convatlas.engine.predict.timing import milliseconds
from convatlas.engine.published import find_bundle
from convatlas.errors import EngineError, ExportError, MissingExtra, UsageError, did_you_mean

PACKAGES = ("onnx", "onnxruntime")
FEWEST = 32  # with fewer, a layer's rare large values are missed, and a loss of some points would not be seen

Say = Callable[[str], None]


def quantize(
    path: str | Path,
    *,
    data: str | Path | None = None,
    pictures: int = 1000,
    calibration: int = 128,
    most_loss: float = 1.0,
    runtime: Runtime | None = None,
    seed: int = 0,
    threads: int | None = None,
    say: Say | None = None,
) -> Quantised:
    """Add `model.int8.onnx` to an exported bundle (or a run's, or a network's by name): smaller, and quicker on VNNI.

    The float32 graph is calibrated on pictures, and both graphs are measured on others; the record goes into the
    bundle. The int8 graph answers where it is asked for by name (`Predictor(..., engine="int8")`), never by itself.
    It keeps the bound on ONNX Runtime, which answers it anywhere, and on what `runtime` names.

    data: where the pictures come from: anything that `open_data` takes, or a folder of pictures without classes. Its
    training part is calibrated on, its test part, else its validation part, measured on; without parts, a half each,
    chosen by `seed`. By default the data that the run was trained on, by its recorded split.
    pictures, calibration: how many to measure on and to calibrate on, at most. Those that cannot be read are left out.
    most_loss: how many points may be lost: of top-1 accuracy (multi-label: mean average precision) where the pictures
    have the bundle's classes, else of agreement with the float32 graph's own answers.
    runtime: what answers it, where installed: "onnxruntime", "openvino" (the extra of that name), or None for the
    quicker of the two for one picture on this machine, if both are there.
    threads: processor threads while measuring; say: called with words for people where something takes time.

    Raises UsageError for a bundle that is not exported, for wrong options and for fewer than 32 readable pictures of
    either kind; DataError when the pictures are gone; ExportError when more is lost, the bundle is then as it was, as
    it is after SaveError (disk full); MissingExtra without onnx or onnxruntime, or the runtime that is named.
    """
    _check(pictures=pictures, calibration=calibration, most_loss=most_loss, runtime=runtime, threads=threads)
    say = say or _silent
    folder = find_bundle(path, say=say)
    bundle = read_bundle(folder)
    if not bundle.exported:
        raise UsageError(f"{folder}: is not exported to ONNX; first run: convatlas export {folder}")
    if ONNX_DATA in bundle.files:
        raise ExportError(f"{folder / ONNX}: its weights are more than 2 GB, which the quantiser does not take")
    parts = two_parts(folder, bundle, data, seed)
    calibrating = _chosen(parts.calibration, calibration, seed)
    judged = _chosen(parts.judged, pictures, seed)
    pixels = _read(calibrating, bundle.preprocess)
    _check_enough(len(pixels), "calibrate on", parts.calibration_name)
    _check_enough(len(judged), "measure on", parts.judged_name)
    with tempfile.TemporaryDirectory(prefix="convatlas-", ignore_cleanup_errors=True) as temporary:
        made = write_int8(folder / ONNX, pixels, Path(temporary), say)
        engines = _engines(made.graph, bundle, runtime, threads, say)
        say(f"comparing both graphs on {len(judged)} pictures")
        measured = measure_loss(bundle, OnnxEngine(folder / ONNX, threads), engines, judged)
        _check_enough(measured.pictures, "measure on", parts.judged_name)
        if measured.unlabelled:
            say(f"{measured.unlabelled}: the int8 graph is judged by its agreement with float32")
        chosen = runtime or _quickest(engines, pixels[:1], measured, most_loss)
        record = Quantised(
            runtime=chosen,
            score_name=measured.score_name,
            float32=measured.score[FLOAT32],
            int8=measured.score[chosen],
            loss=measured.loss(chosen),
            most_loss=most_loss,
            same_answer=measured.same_answer[chosen],
            max_difference=measured.max_difference[chosen],
            pictures=measured.pictures,
            data=parts.judged_name,
            calibration_pictures=len(pixels),
            calibration_data=parts.calibration_name,
            unreadable=len(calibrating) - len(pixels) + len(judged) - measured.pictures,
            method=made.method,
            weight_bits=made.weight_bits,
            float32_bytes=(folder / ONNX).stat().st_size,
            int8_bytes=made.graph.stat().st_size,
            versions={name: importlib.metadata.version(name) for name in ("onnx", *engines)},
        )
        _check_loss(record, measured, "onnxruntime")
        _check_loss(record, measured, chosen)
        now = read_bundle(folder, verify=False)  # some minutes later
        if now.files.get(ONNX) != bundle.files[ONNX]:
            raise ExportError(f"{folder / ONNX}: was exported anew meanwhile; quantise again")
        update_bundle(folder, dataclasses.replace(now, quantised=record), {ONNX_INT8: made.graph})
    tell_report(folder)
    return record


def _check(*, pictures: int, calibration: int, most_loss: float, runtime: Runtime | None, threads: int | None) -> None:
    for name, value in (("pictures", pictures), ("calibration", calibration)):
        if isinstance(value, bool) or value < FEWEST:
            raise UsageError(f"{name}: expected a whole number of at least {FEWEST}, got {value}")
    if threads is not None and (isinstance(threads, bool) or threads < 1):
        raise UsageError(f"threads: expected a whole number of at least 1, got {threads}")
    if not (math.isfinite(most_loss) and 0 <= most_loss <= 100):
        raise UsageError(f"most_loss: expected points from 0 to 100, got {most_loss}")
    if not all(importlib.util.find_spec(name) for name in PACKAGES):
        raise MissingExtra("quantising", "export")
    if runtime is not None and runtime not in RUNTIMES:
        raise UsageError(
            f'runtime: expected {" or ".join(RUNTIMES)}, got "{runtime}".{did_you_mean(runtime, RUNTIMES)}'
        )
    if runtime == "openvino" and not installed("openvino"):
        raise MissingExtra("quantising for OpenVINO", "openvino")


def _check_enough(count: int, purpose: str, name: str) -> None:
    if count < FEWEST:
        raise UsageError(
            f"data: {count} readable pictures to {purpose} ({name}), at least {FEWEST} are needed; name more pictures "
            f"with --data, of the kind that will be predicted (a folder without classes will do)"
        )


def _engines(
    graph: Path, bundle: Bundle, runtime: Runtime | None, threads: int | None, say: Say
) -> dict[Runtime, Engine]:
    """What may answer the int8 graph: ONNX Runtime, and OpenVINO where it is named, or there and nothing else is."""
    size = bundle.preprocess.height, bundle.preprocess.width
    engines: dict[Runtime, Engine] = {"onnxruntime": on_runtime("onnxruntime", graph, threads, size=size)}
    if runtime == "openvino" or (runtime is None and installed("openvino")):
        try:
            engines["openvino"] = on_runtime("openvino", graph, threads, size=size)
        except EngineError as error:
            if runtime == "openvino":
                raise
            say(f"{error}: left to ONNX Runtime")
    return engines


def _quickest(
    engines: Mapping[Runtime, Engine], picture: NDArray[np.uint8], measured: Measured, most_loss: float
) -> Runtime:
    """The quickest of those that keep the bound; ONNX Runtime where none does."""
    kept = {name: engine for name, engine in engines.items() if measured.loss(name) <= most_loss}
    if len(kept) < 2:
        return next(iter(kept), "onnxruntime")
    taken = milliseconds(kept, picture)
    return min(taken, key=lambda name: taken[name])


def _check_loss(record: Quantised, measured: Measured, runtime: Runtime) -> None:
    """The bound holds on what answers, and on ONNX Runtime, which does where that is not installed."""
    if measured.loss(runtime) <= record.most_loss:  # False for a loss that is not a number
        return
    raise ExportError(
        f"the int8 graph was not kept: {record.score_name} {measured.score[runtime]:.2%} on {runtime} where float32 "
        f"has {record.float32:.2%}, on {record.pictures} pictures ({record.data}): {measured.loss(runtime):.2f} points "
        f"lost, {record.most_loss:g} allowed. Calibrate on more pictures of the kind that will be predicted "
        f"(--calibration, --data), or allow more (--most-loss)"
    )


def _chosen(pictures: PictureSet, count: int, seed: int) -> PictureSet:
    """At most `count` pictures by chance, in their order."""
    order = np.random.default_rng(seed).permutation(len(pictures))
    return pictures.take(np.sort(order[:count]))


def _read(pictures: PictureSet, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Preprocessed pixels (N, C, H, W) of those that can be read."""
    chunks = [pixels for pixels, _ in in_chunks(pictures, preprocess)]
    return np.concatenate([np.empty((0, *preprocess.shape), np.uint8), *chunks])


def _silent(words: str) -> None:
    pass
