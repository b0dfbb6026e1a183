"""From a set of pictures to batches of tensors."""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from convatlas.data.picture_set import PictureSet
from convatlas.data.preprocess import Preprocess
from convatlas.data.threads import in_order
from convatlas.errors import DataError, PictureError, TrainingError
from convatlas.types import Failure, Pixels

CACHE_BYTES = 1 << 30  # preprocessed pictures are kept in memory up to this size


class Batch(NamedTuple):
    """pixels (N, C, H, W) uint8; labels (N,) int64 or (N, K) uint8; places (N,) int64 in the set."""

    pixels: Tensor
    labels: Tensor
    places: Tensor


class Pictures(Dataset[Batch]):
    """Preprocessed pictures. From memory when they have been kept there, else decoded at each reading.

    crop_area below 1 takes a random part of the original (Szegedy et al. 2015: area and ratio 3/4..4/3 drawn at
    random) in place of the fixed crop. auto_augment then changes the uint8 picture; see `auto_augment_named`. threads:
    how many pictures are decoded and scaled at once; what is drawn at random does not depend on it.
    """

    def __init__(
        self,
        pictures: PictureSet,
        preprocess: Preprocess,
        *,
        kept: NDArray[np.uint8] | NDArray[np.float32] | None = None,
        crop_area: float = 1.0,
        auto_augment: str = "none",
        threads: int = 1,
    ) -> None:
        self.pictures = pictures
        self.preprocess = preprocess
        self.kept = None if kept is None else torch.from_numpy(kept)
        self.labels = torch.from_numpy(np.ascontiguousarray(pictures.targets))
        self.crop_area = crop_area
        self.auto_augment = auto_augment_named(auto_augment)
        self.threads = threads

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        places = torch.as_tensor(indices, dtype=torch.int64)
        if self.kept is not None and self.crop_area == 1:
            pixels = self.kept[places]
        else:
            pixels = torch.stack([torch.from_numpy(picture) for picture in self._read(indices)])
        if self.auto_augment is not None:
            pixels = torch.stack([self.auto_augment(picture) for picture in pixels])
        return Batch(pixels, self.labels[places], places)

    def _read(self, indices: Sequence[int]) -> list[NDArray[np.uint8]]:
        cropped = self.crop_area < 1
        scale = replace(self.preprocess, fit="stretch", resize=None) if cropped else self.preprocess
        read: list[NDArray[np.uint8]] = []
        with ThreadPoolExecutor(self.threads) as pool:  # decoding and scaling are done outside of Python's lock
            for begin in range(0, len(indices), self.threads):  # a whole batch of large photographs takes much memory
                pictures = list(pool.map(self.pictures.read, indices[begin : begin + self.threads]))
                if cropped:
                    pictures = [random_crop(picture, self.crop_area) for picture in pictures]
                read += pool.map(scale, pictures)
        return read


def random_crop(picture: Pixels, smallest_area: float) -> Pixels:
    """A random part of the picture: area smallest_area..1, width to height 3/4..4/3 where the picture allows."""
    height, width = picture.shape[:2]
    for _ in range(10):
        area = height * width * float(torch.empty(()).uniform_(smallest_area, 1))
        ratio = math.exp(float(torch.empty(()).uniform_(math.log(3 / 4), math.log(4 / 3))))
        crop_width, crop_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top = int(torch.randint(height - crop_height + 1, ()))
            left = int(torch.randint(width - crop_width + 1, ()))
            return picture[top : top + crop_height, left : left + crop_width]
    return picture


def auto_augment_named(name: str) -> Callable[[Tensor], Tensor] | None:
    """torchvision's RandAugment or TrivialAugmentWide on one uint8 picture (C, H, W); None for "none"."""
    if name == "none":
        return None
    from torchvision.transforms import v2  # noqa: PLC0415  # several seconds, and only for those who ask for it

    chosen = {"randaugment": v2.RandAugment, "trivialaugment": v2.TrivialAugmentWide}[name]
    transform: Callable[[Tensor], Tensor] = chosen()
    return transform


@dataclass(frozen=True, kw_only=True)
class Readable:
    """What of a set can be read, in its order.

    kept: the preprocessed pictures (N, C, H, W) uint8, if they fit in memory; or what the network's frozen part makes
    of each, (N, ...) float32, where only the rest is run.
    """

    pictures: PictureSet
    preprocess: Preprocess
    kept: NDArray[np.uint8] | NDArray[np.float32] | None
    failures: tuple[Failure, ...]

    def pixels(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """The preprocessed pictures at these places, (len(indices), C, H, W)."""
        if self.kept is not None and self.kept.dtype == np.uint8:
            return self.kept[list(indices)].astype(np.uint8, copy=False)
        return np.stack([self.preprocess(self.pictures.read(index)) for index in indices])


def read_all(
    pictures: PictureSet,
    preprocess: Preprocess,
    *,
    cache_bytes: int = CACHE_BYTES,
    threads: int = 4,
    progress: Callable[[int], None] | None = None,
) -> Readable:
    """Decode every picture once: those that cannot be read are named now, not hours into a run.

    progress is told after each picture how many are done. Raises DataError when none can be read.
    """
    shape = (len(pictures), preprocess.channels, preprocess.height, preprocess.width)
    kept = np.empty(shape, dtype=np.uint8) if math.prod(shape) <= cache_bytes else None
    failures: dict[int, Failure] = {}

    def read(index: int) -> None:
        try:
            pixels = preprocess(pictures.read(index))
        except PictureError as error:
            failures[index] = Failure(source=pictures.names[index], reason=error.reason)
            return
        if kept is not None:
            kept[index] = pixels

    for done, _ in enumerate(in_order(read, len(pictures), threads), start=1):
        if progress is not None:
            progress(done)
    if len(failures) == len(pictures):
        raise DataError(
            f"{pictures.origin}: not one of the {len(pictures)} pictures can be read ({failures[0].reason})"
        )
    good = [index for index in range(len(pictures)) if index not in failures]
    return Readable(
        pictures=pictures if not failures else pictures.take(good),
        preprocess=preprocess,
        kept=kept if kept is None or not failures else kept[good],
        failures=tuple(failures[index] for index in sorted(failures)),
    )


def make_loader(
    dataset: Pictures, *, batch_size: int, shuffle: bool, workers: int, generator: torch.Generator | None = None
) -> DataLoader[Batch]:
    """Batches of the set, in a new order each epoch when shuffled.

    A shuffled set's last batch is left out if it is a single picture, from which BatchNorm cannot learn. Workers are
    started anew for each epoch, so that their random numbers depend on the generator alone and not on earlier epochs.
    """
    return DataLoader(
        dataset,
        batch_size=batch_size,
        shuffle=shuffle,
        drop_last=shuffle and len(dataset) > batch_size > 1 and len(dataset) % batch_size == 1,
        num_workers=workers,
        collate_fn=_as_read,  # type: ignore[arg-type]  # torch's stubs know only lists of single items
        generator=generator,
        pin_memory=torch.cuda.is_available(),
    )


def batches(loader: DataLoader[Batch]) -> Iterator[Batch]:
    """The loader's batches, with what goes wrong in a worker process said as it would be without one."""
    try:
        yield from loader
    except RuntimeError as error:
        text = str(error)
        if f"Caught {PictureError.__name__} in DataLoader worker" in text:
            # torch gives the worker's traceback as text; its last line is the error.
            raise DataError(text.strip().splitlines()[-1].partition(": ")[2]) from error
        if "DataLoader worker" in text:
            raise TrainingError(
                "a process that reads pictures ended unexpectedly. A script that trains with workers needs "
                '`if __name__ == "__main__":` around its call; or train with workers=0'
            ) from error
        raise


def _as_read(batch: Batch) -> Batch:
    # `__getitems__` gives whole batches already; a named function, because workers on Windows pickle it.
    return batch
