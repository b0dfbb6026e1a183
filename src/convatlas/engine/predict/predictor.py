"""Pictures in, answers out, from a bundle: what `convatlas predict`, a server and Python users call."""

import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from convatlas.data.pictures import decode, printable
from convatlas.engine.bundle import read_bundle
from convatlas.engine.predict.answer import answer, check_threshold, check_top, probabilities
from convatlas.engine.predict.engines import EngineName, Say, check_engine, load_or_fall_back, usual
from convatlas.engine.predict.inputs import Source
from convatlas.engine.published import find_bundle
from convatlas.errors import PictureError, UsageError
from convatlas.types import Classification, Failure, Pixels, check_pixels

Picture = str | Path | bytes | NDArray[np.uint8] | Image.Image | Source


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
        batch_size: int = 32,
        offline: bool | None = None,
        say: Say | None = None,
    ) -> None:
        """Load a bundle, or the bundle of a run, or a network by name; files that are read are checked by SHA-256.

        path: a folder; or, as a string for which there is no such file or folder, a network's name or alias or a weight
        set's key ("torchvision/resnet50/IMAGENET1K_V2"). The bundle of published weights is made once, in the cache;
        weights that are not on this machine are downloaded for it.
        engine: "onnx" and "openvino" need an exported bundle and the extra of that name (`export` for ONNX Runtime);
        "torch" and "compiled", which waits for a compiler at the first picture, work on any bundle. "auto" takes the
        quickest on this machine: it measures them once, some seconds, and remembers the figures beside the bundle;
        `choice` says why. None: ONNX Runtime where the bundle is exported, for it starts at once, else torch.
        threads: processor threads for the network; None leaves the choice to the engine.
        batch_size: pictures answered together, and so held in memory at a time.
        offline: download nothing; None: as the environment's CONVATLAS_OFFLINE says.
        say: is told, in words for people, when something is done otherwise than asked: an engine that does not take the
        network is replaced by one that does. None: a warning.
        Raises UsageError for wrong options, or when `path` is neither a bundle nor a known name or has no published
        weights; BundleError for a bundle that is incomplete or altered; by name also MissingExtra, DownloadError and
        WeightsError, as `fetch_weights`.
        """
        for name, value in (("threads", 1 if threads is None else threads), ("batch_size", batch_size)):
            if isinstance(value, bool) or value < 1:
                raise UsageError(f"{name}: expected a whole number of at least 1, got {value}")
        check_engine(engine)
        self.folder = find_bundle(path, offline=offline)
        self.bundle = read_bundle(self.folder, verify=False)  # each file when it is loaded
        self.batch_size = batch_size
        self.choice = ""  # why this engine, where that was measured
        kind = usual(self.bundle) if engine is None else engine
        if kind == "auto":
            from convatlas.engine.predict.fastest import fastest  # noqa: PLC0415 - only where it is asked

            found, _ = fastest(self.folder, self.bundle, threads)
            kind, self.choice = found.engine, str(found)
        self._say = say or _warn
        self.engine = load_or_fall_back(self.folder, self.bundle, kind, threads, self._say)

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
        """As calling, but answer by answer, reading no more than `batch_size` pictures ahead: for any number."""
        check_top(top)
        check_threshold(threshold)
        return self._answers(_many(pictures), top, threshold)

    def probabilities(self, pictures: Picture | Iterable[Picture]) -> NDArray[np.float64]:
        """Probabilities (N, K) in the order of `classes`. Raises PictureError for a picture that cannot be read."""
        rows = [np.empty((0, len(self.classes)))]
        named = ((_name(picture, index), picture) for index, picture in enumerate(_many(pictures)))
        for batch in _batches(named, self.batch_size):
            pixels = [self._pixels(picture, name) for name, picture in batch]
            rows.append(probabilities(self.bundle, self.engine(np.stack(pixels))))
        return np.concatenate(rows)

    def _answers(
        self, pictures: Iterable[Picture], top: int, threshold: float | None
    ) -> Iterator[Classification | Failure]:
        named = ((_name(picture, index), picture) for index, picture in enumerate(pictures))
        for batch in _batches(named, self.batch_size):
            failures: dict[int, Failure] = {}
            readable: list[NDArray[np.uint8]] = []
            sources: list[str] = []
            for place, (name, picture) in enumerate(batch):
                try:
                    readable.append(self._pixels(picture, name))
                    sources.append(name)
                except PictureError as error:
                    failures[place] = Failure(source=name, reason=error.reason)
            answered: list[Classification | Failure] = []
            if readable:
                logits = self.engine(np.stack(readable))
                answered = answer(self.bundle, logits, sources, top=top, threshold=threshold)
            in_order = iter(answered)
            for place in range(len(batch)):
                yield failures[place] if place in failures else next(in_order)

    def _pixels(self, picture: Picture, name: str) -> NDArray[np.uint8]:
        """One picture of any kind -> what the network takes, (C, H, W). Raises PictureError."""
        return self.bundle.preprocess(_decoded(picture, name))


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


def _batches(named: Iterator[tuple[str, Picture]], size: int) -> Iterator[Sequence[tuple[str, Picture]]]:
    while batch := list(itertools.islice(named, size)):
        yield batch


def _name(picture: Picture, index: int) -> str:
    """What an answer calls its picture: its path where it has one, else its place in what was given."""
    if isinstance(picture, Source):
        return picture.name
    if isinstance(picture, str | Path):
        return printable(Path(picture))
    return f"pictures[{index}]"


def _decoded(picture: Picture, name: str) -> Pixels:
    match picture:
        case Source(picture=Path() | bytes() as source):
            return decode(source, name)
        case str():
            return decode(Path(picture), name)
        case Path() | bytes():
            return decode(picture, name)
        case Image.Image():
            return _decoded_image(picture, name)
        case np.ndarray():
            try:
                return check_pixels(picture, name)
            except (TypeError, ValueError) as error:
                raise PictureError(name, str(error).removeprefix(f"{name}: ")) from error
        case _:
            raise UsageError(
                f"{name}: expected a path, bytes, a uint8 array or a Pillow image, got {type(picture).__name__}"
            )


def _decoded_image(image: Image.Image, name: str) -> Pixels:
    """A Pillow image by way of a file in memory, so that modes, depth and transparency follow the rules of files."""
    file = io.BytesIO()
    try:
        upright = ImageOps.exif_transpose(image)
        (upright.convert("RGBA") if upright.has_transparency_data else upright).save(file, "TIFF")
    except (OSError, ValueError) as error:
        raise PictureError(name, f"this Pillow image cannot be used ({error})") from error
    return decode(file.getvalue(), name)
