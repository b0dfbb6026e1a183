"""A bundle's ONNX graph in int8, kept only when it loses little on pictures that it was not calibrated on."""

import dataclasses
import importlib.metadata
import importlib.util
import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convatlas.data.picture_set import PictureSet
from convatlas.data.preprocess import Preprocess
from convatlas.engine.bundle import ONNX, ONNX_DATA, ONNX_INT8, Bundle, Quantised, read_bundle, update_bundle
from convatlas.engine.held_out import two_parts
from convatlas.engine.int8 import write_int8
from convatlas.engine.predict.answer import probabilities, same_answers
from convatlas.engine.predict.onnx_engine import OnnxEngine
from convatlas.engine.published import find_bundle
from convatlas.errors import DataError, ExportError, MissingExtra, PictureError, UsageError
from convatlas.metrics.multilabel import mean_average_precision

PACKAGES = ("onnx", "onnxruntime")
FEWEST = 32  # with fewer, a layer's rare large values are missed, and a loss of some points would not be seen
CHUNK = 16  # pictures answered together

Say = Callable[[str], None]


def quantize(
    path: str | Path,
    *,
    data: str | Path | None = None,
    pictures: int = 1000,
    calibration: int = 128,
    most_loss: float = 1.0,
    seed: int = 0,
    threads: int | None = None,
    say: Say | None = None,
) -> Quantised:
    """Add `model.int8.onnx` to an exported bundle (or a run's, or a network's by name): smaller, and quicker on VNNI.

    The float32 graph is calibrated on pictures, and both graphs are measured on others; the record goes into the
    bundle. The int8 graph answers where it is asked for by name (`Predictor(..., engine="int8")`), never by itself.

    data: where the pictures come from: anything that `open_data` takes, or a folder of pictures without classes. Its
    training part is calibrated on, its test part, else its validation part, measured on; without parts, a half each,
    chosen by `seed`. By default the data that the run was trained on, by its recorded split.
    pictures, calibration: how many to measure on and to calibrate on, at most. Those that cannot be read are left out.
    most_loss: how many points may be lost: of top-1 accuracy (multi-label: mean average precision) where the pictures
    have the bundle's classes, else of agreement with the float32 graph's own answers.
    threads: processor threads while measuring; say: called with words for people where something takes time.

    Raises UsageError for a bundle that is not exported, for wrong options and for fewer than 32 readable pictures of
    either kind; DataError when the pictures are gone; ExportError when more is lost, the bundle is then as it was, as
    it is after SaveError (disk full); MissingExtra without onnx or onnxruntime.
    """
    _check(pictures=pictures, calibration=calibration, most_loss=most_loss, threads=threads)
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
        say(f"comparing both graphs on {len(judged)} pictures")
        graphs = OnnxEngine(folder / ONNX, threads), OnnxEngine(made.graph, threads)
        answered = _answers(graphs, judged, bundle.preprocess)
        _check_enough(len(answered.places), "measure on", parts.judged_name)
        score_name, float32, int8 = _scores(bundle, judged, answered)
        record = Quantised(
            score_name=score_name,
            float32=float32,
            int8=int8,
            loss=100 * (float32 - int8),
            most_loss=most_loss,
            same_answer=int(same_answers(bundle, answered.float32, answered.int8).sum()),
            pictures=len(answered.places),
            data=parts.judged_name,
            calibration_pictures=len(pixels),
            calibration_data=parts.calibration_name,
            unreadable=len(calibrating) - len(pixels) + len(judged) - len(answered.places),
            method=made.method,
            float32_bytes=(folder / ONNX).stat().st_size,
            int8_bytes=made.graph.stat().st_size,
            versions={name: importlib.metadata.version(name) for name in PACKAGES},
        )
        _check_loss(record)
        update_bundle(folder, dataclasses.replace(bundle, quantised=record), {ONNX_INT8: made.graph})
    return record


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Answered:
    """Logits (N, K) of both graphs for the pictures that could be read, and their places (N,) in the set."""

    float32: NDArray[np.float32]
    int8: NDArray[np.float32]
    places: NDArray[np.int64]


def _check(*, pictures: int, calibration: int, most_loss: float, threads: int | None) -> None:
    for name, value in (("pictures", pictures), ("calibration", calibration)):
        if isinstance(value, bool) or value < FEWEST:
            raise UsageError(f"{name}: expected a whole number of at least {FEWEST}, got {value}")
    if threads is not None and (isinstance(threads, bool) or threads < 1):
        raise UsageError(f"threads: expected a whole number of at least 1, got {threads}")
    if not (math.isfinite(most_loss) and 0 <= most_loss <= 100):
        raise UsageError(f"most_loss: expected points from 0 to 100, got {most_loss}")
    if not all(importlib.util.find_spec(name) for name in PACKAGES):
        raise MissingExtra("quantising", "export")


def _check_enough(count: int, purpose: str, name: str) -> None:
    if count < FEWEST:
        raise UsageError(
            f"data: {count} readable pictures to {purpose} ({name}), at least {FEWEST} are needed; name more pictures "
            f"with --data, of the kind that will be predicted (a folder without classes will do)"
        )


def _check_loss(record: Quantised) -> None:
    if record.loss <= record.most_loss:  # False for a loss that is not a number
        return
    raise ExportError(
        f"the int8 graph was not kept: {record.score_name} {record.int8:.2%} where float32 has {record.float32:.2%}, "
        f"on {record.pictures} pictures ({record.data}): {record.loss:.2f} points lost, {record.most_loss:g} allowed. "
        f"Calibrate on more pictures of the kind that will be predicted (--calibration, --data), or allow more "
        f"(--most-loss)"
    )


def _chosen(pictures: PictureSet, count: int, seed: int) -> PictureSet:
    """At most `count` pictures by chance, in their order."""
    order = np.random.default_rng(seed).permutation(len(pictures))
    return pictures.take(np.sort(order[:count]))


def _read(pictures: PictureSet, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Preprocessed pixels (N, C, H, W) of those that can be read."""
    chunks = [pixels for pixels, _ in _chunks(pictures, preprocess)]
    return np.concatenate([np.empty((0, *preprocess.shape), np.uint8), *chunks])


def _answers(graphs: tuple[OnnxEngine, OnnxEngine], pictures: PictureSet, preprocess: Preprocess) -> _Answered:
    answers: tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]] = [], []
    places: list[int] = []
    for pixels, read in _chunks(pictures, preprocess):
        for graph, rows in zip(graphs, answers, strict=True):
            rows.append(graph(pixels))
        places += read
    float32, int8 = (np.concatenate(rows) if rows else np.empty((0, 0), np.float32) for rows in answers)
    return _Answered(float32=float32, int8=int8, places=np.array(places, np.int64))


def _chunks(pictures: PictureSet, preprocess: Preprocess) -> Iterator[tuple[NDArray[np.uint8], list[int]]]:
    """Some pictures at a time, preprocessed, and their places in the set; what cannot be read is left out."""
    for start in range(0, len(pictures), CHUNK):
        pixels, places = [], []
        for place in range(start, min(start + CHUNK, len(pictures))):
            try:
                pixels.append(preprocess(pictures.read(place)))
            except PictureError:
                continue
            places.append(place)
        if pixels:
            yield np.stack(pixels), places


def _scores(bundle: Bundle, pictures: PictureSet, answered: _Answered) -> tuple[str, float, float]:
    """The name of the score, and that of the float32 and of the int8 graph, 0..1."""
    truths = pictures.targets[answered.places]
    labelled = pictures.classes == bundle.classes and pictures.multilabel == (bundle.task == "multilabel")
    if not labelled:
        same = same_answers(bundle, answered.float32, answered.int8)
        return "same answer as in float32", 1.0, float(same.mean())
    both = (answered.float32, answered.int8)
    if bundle.task == "classify":
        float32, int8 = (float((logits.argmax(axis=1) == truths).mean()) for logits in both)
        return "top-1 accuracy", float32, int8
    precisions = [mean_average_precision(probabilities(bundle, logits), truths)[0] for logits in both]
    if None in precisions:
        raise DataError(f"{pictures.origin}: none of the {len(truths)} pictures measured on has a label")
    float32, int8 = (float(each or 0) for each in precisions)
    return "mean average precision", float32, int8


def _silent(words: str) -> None:
    pass
