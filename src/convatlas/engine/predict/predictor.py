"""Pictures in, answers out, from a bundle: what `convatlas predict`, a server and Python users call."""

import io
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from convatlas.data.pictures import decode_image, printable
from convatlas.engine.bundle import read_bundle
from convatlas.engine.predict.answer import answer, check_threshold, check_top, probabilities
from convatlas.engine.predict.engines import (
    Engine,
    EngineKind,
    EngineName,
    Say,
    can_share,
    check_engine,
    load_engine,
    load_or_fall_back,
    usual,
)
from convatlas.engine.predict.fitting import FittingEngine
from convatlas.engine.predict.inputs import Source
from convatlas.engine.predict.pipeline import in_order, processors
from convatlas.engine.published import find_bundle
from convatlas.errors import BundleError, EngineError, OutOfMemoryError, PictureError, UsageError
from convatlas.types import Classification, Failure, check_pixels

Picture = str | Path | bytes | NDArray[np.uint8] | Image.Image | Source
# Pictures with their places in what was given; a Pillow image is then a Source, or what keeps it from being one.
Batch = Sequence[tuple[int, Picture | PictureError]]
Result = TypeVar("Result")

MANY: Final = 32  # pictures from which on it pays to load the network once more for the workers


class Predictor:
    """A loaded bundle that answers pictures.

    predictor = Predictor("runs/digits")  # or "efficientnet_lite0", with its published weights
    predictor("cat.jpg")[0].top
    """

    def __init__(
        self,
        path: str | Path,
        *,
        engine: EngineName | None = None,
        threads: int | None = None,
        workers: int | None = None,
        batch_size: int = 4,
        exact: bool = False,
        offline: bool | None = None,
        say: Say | None = None,
    ) -> None:
        """Load a bundle, or the bundle of a run, or a network by name; files that are read are checked by SHA-256.

        path: a folder; or, as a string for which there is no such file or folder, a network's name or alias or a weight
        set's key ("torchvision/resnet50/IMAGENET1K_V2"). The bundle of published weights is made once, in the cache;
        weights that are not on this machine are downloaded for it.
        engine: "onnx" and "openvino" need an exported bundle and the extra of that name (`export` for ONNX Runtime);
        "int8" a quantised one (`quantize`), whose answers differ a little, so that it is never taken unasked;
        "torch" and "compiled", which waits for a compiler at the first picture, work on any bundle. "auto" takes the
        quickest on this machine: it measures them once, some seconds, and remembers the figures beside the bundle;
        `choice` says why. None: ONNX Runtime where the bundle is exported, for it starts at once, else torch.
        threads: processor threads in all that compute the network. None: the engine's choice for a few pictures, every
        processor for many.
        workers: how many threads decode pictures, where more than a batch come; None: as many as `threads`. On ONNX
        Runtime each answers its own pictures too, no more of them at once than `threads`, which is quicker than one
        batch on all processors; the network is loaded for that a second time, with `threads / workers` threads, once
        there have been MANY pictures. A number above 1 loads it so at once, and only so. 1: one picture after another,
        read no further ahead than a batch.
        batch_size: pictures that the network answers together. A few keep what it computes in the processor's cache,
        and are as quick as more.
        exact: decode every picture whole. Otherwise a JPEG much larger than what the network takes is reduced while it
        is decoded, within the differences that `Preprocess.reduction` states.
        offline: download nothing; None: as the environment's CONVATLAS_OFFLINE says.
        say: is told, in words for people, when something is done otherwise than asked: an engine that does not take the
        network is replaced by one that does, also where that shows only over pictures; a batch that does not fit into
        memory is answered in smaller ones. None: a warning.
        Raises UsageError for wrong options, or when `path` is neither a bundle nor a known name or has no published
        weights; BundleError for a bundle that is incomplete or altered; by name also MissingExtra, DownloadError and
        WeightsError, as `fetch_weights`.
        """
        for name, value in (("threads", threads), ("workers", workers), ("batch_size", batch_size)):
            if value is not None and (isinstance(value, bool) or value < 1):
                raise UsageError(f"{name}: expected a whole number of at least 1, got {value}")
        check_engine(engine)
        self.folder = find_bundle(path, offline=offline)
        self.bundle = read_bundle(self.folder, verify=False)  # each file when it is loaded
        self.batch_size = batch_size
        self.exact = exact
        self.workers = workers or threads or processors()
        self._threads = threads
        self._threads_each = max(1, (threads or processors()) // self.workers)
        self._at_once = max(1, (threads or processors()) // self._threads_each)  # however many workers decode
        self.choice = ""  # why this engine, where that was measured
        kind = usual(self.bundle) if engine is None else engine
        if kind == "auto":
            from convatlas.engine.predict.fastest import fastest  # noqa: PLC0415 - only where it is asked

            found, _ = fastest(self.folder, self.bundle, threads)
            kind, self.choice = found.engine, str(found)
        self._say = say or _warn
        side_by_side = workers is not None and workers > 1 and can_share(self.bundle, kind)
        on = self._threads_each if side_by_side else threads
        self.engine = load_or_fall_back(self.folder, self.bundle, kind, on, self._say)
        if side_by_side and not self._can_share:  # another than was asked: it needs all threads
            side_by_side = False
            self.engine = self._load(threads or processors())
        # What answers few pictures, and what answers many: the same, or not yet loaded.
        self._shared = FittingEngine(self.engine, say=self._say, at_once=self._at_once if side_by_side else 1)
        self._side_by_side = self._shared if side_by_side else None
        self._refused: set[str] = set()  # engines that failed over pictures
        self._loading = threading.Lock()

    @property
    def _can_share(self) -> bool:
        return can_share(self.bundle, cast("EngineKind", self.engine.name))

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of indices and of probabilities."""
        return self.bundle.classes

    def __call__(
        self, pictures: Picture | Iterable[Picture], *, top: int = 5, threshold: float | None = None
    ) -> list[Classification | Failure]:
        """One answer for each picture, in order; a picture that cannot be read is a Failure, the others are answered.

        pictures: one or many of: a file's path; its encoded bytes; an array H x W, H x W x 1 (grey) or H x W x 3 (RGB)
        of uint8; a Pillow image.
        top: how many classes to name, the most probable first (a multi-label bundle names all that reach the
        threshold).
        threshold: 0..1. One label a picture: below this probability an answer is not `certain`. Multi-label: a class
        is named from it on; by default the bundle's own.
        """
        return list(self.iterate(pictures, top=top, threshold=threshold))

    def iterate(
        self, pictures: Picture | Iterable[Picture], *, top: int = 5, threshold: float | None = None
    ) -> Iterator[Classification | Failure]:
        """As calling, but answer by answer, for any number of pictures: few are read ahead (`workers`).

        Closing the iterator, or an exception while it is used, ends its threads.
        """
        check_top(top)
        check_threshold(threshold)
        return self._answers(_many(pictures), top, threshold)

    def probabilities(self, pictures: Picture | Iterable[Picture]) -> NDArray[np.float64]:
        """Probabilities (N, K) in the order of `classes`. Raises PictureError for a picture that cannot be read."""
        rows = [np.empty((0, len(self.classes)))]
        rows += self._by_batches(_many(pictures), self._probabilities)
        return np.concatenate(rows)

    def _answers(
        self, pictures: Iterable[Picture], top: int, threshold: float | None
    ) -> Iterator[Classification | Failure]:
        def work(batch: Batch, stopped: threading.Event) -> list[Classification | Failure]:
            return self._answered(batch, stopped, top, threshold)

        answered = self._by_batches(pictures, work)
        try:
            for each in answered:
                yield from each
        finally:
            answered.close()

    def _by_batches(
        self, pictures: Iterable[Picture], work: Callable[[Batch, threading.Event], Result]
    ) -> Generator[Result]:
        """The work on each batch of pictures, in order."""
        yield from in_order(_batches(pictures, self.batch_size), work, workers=self.workers)

    def _answered(
        self, batch: Batch, stopped: threading.Event, top: int, threshold: float | None
    ) -> list[Classification | Failure]:
        failures: dict[int, Failure] = {}
        readable: list[NDArray[np.uint8]] = []
        sources: list[str] = []
        for index, picture in batch:
            if stopped.is_set():
                return []
            name = _name(picture, index)
            try:
                readable.append(self._pixels(picture, name))
                sources.append(name)
            except PictureError as error:
                failures[index] = Failure(source=name, reason=error.reason)
        answered: list[Classification | Failure] = []
        if readable:
            logits = self._logits(batch, np.stack(readable))
            answered = answer(self.bundle, logits, sources, top=top, threshold=threshold)
        in_turn = iter(answered)
        return [failures[index] if index in failures else next(in_turn) for index, _ in batch]

    def _probabilities(self, batch: Batch, stopped: threading.Event) -> NDArray[np.float64]:
        pixels = [self._pixels(picture, _name(picture, index)) for index, picture in batch if not stopped.is_set()]
        if stopped.is_set():
            return np.empty((0, len(self.classes)))
        return probabilities(self.bundle, self._logits(batch, np.stack(pixels)))

    def _logits(self, batch: Batch, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        engine = self._engine_for(batch)
        try:
            return engine(pixels)
        except EngineError as error:
            return self._instead_of(engine, error)(pixels)

    def _engine_for(self, batch: Batch) -> FittingEngine:
        """What answers a batch: the engine on all threads, or once there have been many, that of one worker's."""
        if self.workers == 1 or batch[0][0] < MANY:
            return self._shared
        with self._loading:
            if self._side_by_side is None:
                self._side_by_side = self._once_more() if self._can_share else self._shared
            return self._side_by_side

    def _once_more(self) -> FittingEngine:
        """The engine for the workers side by side, or where it cannot be had the one that is there."""
        try:
            engine = self._load(self._threads_each)
        except (EngineError, OutOfMemoryError, MemoryError) as error:
            why = str(error) or "no memory"
            self._say(f"the network cannot be loaded once more ({why}): answering one batch after another")
            return self._shared
        return FittingEngine(engine, say=self._say, at_once=self._at_once)

    def _instead_of(self, failed: FittingEngine, error: EngineError) -> FittingEngine:
        """What answers in the place of an engine that failed over pictures. Raises the error where there is none."""
        with self._loading:
            if failed in (self._shared, self._side_by_side):  # else another thread has been here
                self._refused.add(self.engine.name)
                self.engine = self._next_engine(error)
                self._shared = FittingEngine(self.engine, say=self._say, at_once=1)
                self._side_by_side = None
            return self._shared

    def _next_engine(self, error: EngineError) -> Engine:
        others: tuple[EngineKind, ...] = (usual(self.bundle), "torch")
        for kind in others:
            if kind in self._refused:
                continue
            try:
                engine = load_engine(self.folder, self.bundle, kind, self._threads)
            except BundleError:
                continue
            self._say(f"{error}: answering with {kind} instead")
            return engine
        raise error

    def _load(self, threads: int) -> Engine:
        """The engine that was taken, once more, with so many threads."""
        return load_engine(self.folder, self.bundle, cast("EngineKind", self.engine.name), threads)

    def _pixels(self, picture: Picture | PictureError, name: str) -> NDArray[np.uint8]:
        """One picture of any kind -> what the network takes, (C, H, W). Raises PictureError."""
        if isinstance(picture, PictureError):
            raise picture
        preprocess = self.bundle.preprocess
        if isinstance(picture, np.ndarray):
            try:
                return preprocess(check_pixels(picture, name))
            except (TypeError, ValueError) as error:
                raise PictureError(name, str(error).removeprefix(f"{name}: ")) from error
        return preprocess.fitted(
            decode_image(_file(picture, name), name, reduction=None if self.exact else preprocess.reduction)
        )


def workers_for(pictures: int, threads: int | None) -> int | None:
    """What `workers` should be where the number of pictures is known before the network is loaded."""
    return (threads or processors()) if pictures > MANY else None


def _warn(words: str) -> None:
    import warnings  # noqa: PLC0415 - as good as never needed

    warnings.warn(words, stacklevel=3)


def _many(pictures: Picture | Iterable[Picture]) -> Iterable[Picture]:
    """One picture as a sequence of one; an array of four axes is a sequence of pictures."""
    if isinstance(pictures, np.ndarray):
        return pictures if pictures.ndim == 4 else [pictures]
    if isinstance(pictures, str | Path | bytes | Image.Image | Source):
        return [pictures]
    return pictures


def _batches(pictures: Iterable[Picture], size: int) -> Iterator[Batch]:
    """The pictures, numbered; an exception of theirs comes behind the batch of those that came before it."""
    batch: list[tuple[int, Picture | PictureError]] = []
    failed: Exception | None = None
    try:
        for index, picture in enumerate(pictures):
            batch.append((index, _saved(picture, index) if isinstance(picture, Image.Image) else picture))
            if len(batch) == size:
                yield batch
                batch = []
    except Exception as error:
        failed = error
    if batch:
        yield batch
    if failed is not None:
        raise failed


def _name(picture: Picture | PictureError, index: int) -> str:
    """What an answer calls its picture: its path where it has one, else its place in what was given."""
    if isinstance(picture, Source):
        return picture.name
    if isinstance(picture, str | Path):
        return printable(Path(picture))
    return f"pictures[{index}]"


def _file(picture: Picture, name: str) -> Path | bytes:
    match picture:
        case Source(picture=Path() | bytes() as source):
            return source
        case str():
            return Path(picture)
        case Path() | bytes():
            return picture
        case _:
            raise UsageError(
                f"{name}: expected a path, bytes, a uint8 array or a Pillow image, got {type(picture).__name__}"
            )


def _saved(image: Image.Image, index: int) -> Source | PictureError:
    """A Pillow image as a file in memory, so that modes, depth and transparency follow the rules of files.

    Made as soon as it is read, in the caller's thread: the image may come again, which no two threads can load at once,
    or go on to its next frame.
    """
    name = f"pictures[{index}]"
    file = io.BytesIO()
    try:
        upright = ImageOps.exif_transpose(image)
        (upright.convert("RGBA") if upright.has_transparency_data else upright).save(file, "TIFF")
    except Exception as error:  # a damaged file makes Pillow's decoders raise whatever they stumble upon
        return PictureError(name, f"this Pillow image cannot be used ({error})")
    return Source(name, file.getvalue())
