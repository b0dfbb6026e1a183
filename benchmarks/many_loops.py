"""One competitor of `benchmarks.many_pictures` in its own process: python -m benchmarks.many_loops KIND FOLDER THREADS.

FOLDER holds the prepared network. The command {} is answered as soon as the network is loaded; {"pictures": FOLDER,
"count": N, "batch": B} with the seconds that the first N pictures of a folder took, their best classes and the peak of
memory; the same with "logits" with the logits of each, less their mean, with "alone" with the pictures a second that
ours decodes on all threads, and that its network answers; {"pictures": FOLDER, "memory": [A, B, ...]} with the memory
held after A, after B ... of them. Memory is null where the system does not tell.
"""

import itertools
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.competitor import serve
from benchmarks.memory import held_memory, is_told, peak_memory
from convatlas.data.pictures import decode_image

BUNDLE, WEIGHTS, PEER = "bundle", "theirs.safetensors", "peer.json"
OURS, THEIRS = ("reduced", "exact"), ("0 workers", "2 workers")


class Loop(Protocol):
    """Answers the first `count` pictures of a folder; `batch` is theirs."""

    def best(self, pictures: Path, count: int, batch: int) -> list[int]:
        """The best class of each."""

    def logits(self, pictures: Path, count: int, batch: int) -> NDArray[np.float64]:
        """(N, K)."""


class Ours:
    """`Predictor`, which makes its own batches."""

    def __init__(self, kind: str, folder: Path, threads: int) -> None:
        from convatlas.engine.predict.predictor import Predictor

        self.predictor = Predictor(folder / BUNDLE, threads=threads, workers=threads, exact=kind == "exact")

    def best(self, pictures: Path, count: int, batch: int) -> list[int]:
        return [answer.top.index for answer in self.predictor.iterate(_sources(pictures, count), top=1)]  # type: ignore[union-attr]  # no Failure: all are made here

    def alone(self, pictures: Path, count: int) -> dict[str, float]:
        """Pictures a second that the workers decode and fit, and that they answer, where they do nothing else."""
        predictor = self.predictor
        with ThreadPoolExecutor(predictor.workers) as threads:
            started = time.perf_counter()
            pixels = np.stack(list(threads.map(self._pixels, _sources(pictures, count))))
            decoded = time.perf_counter()
            size = predictor.batch_size
            list(threads.map(predictor.engine, (pixels[first : first + size] for first in range(0, count, size))))
            answered = time.perf_counter()
        return {"decode": round(count / (decoded - started), 1), "network": round(count / (answered - decoded), 1)}

    def _pixels(self, source: Any) -> NDArray[np.uint8]:
        preprocess = self.predictor.bundle.preprocess
        reduction = None if self.predictor.exact else preprocess.reduction
        return preprocess.fitted(decode_image(source.picture, source.name, reduction=reduction))

    def logits(self, pictures: Path, count: int, batch: int) -> NDArray[np.float64]:
        return np.log(self.predictor.probabilities(_sources(pictures, count)))


class Theirs:
    """What people write: ImageFolder, torchvision's transforms, a DataLoader, the network in eager mode.

    Workers stay from one pass to the next: to start them would weigh more in a short pass than in a long one.
    """

    def __init__(self, kind: str, folder: Path, threads: int) -> None:
        import torch
        from safetensors.torch import load_file
        from torchvision import transforms

        torch.set_num_threads(threads)
        peer = json.loads((folder / PEER).read_text(encoding="utf-8"))
        self.network = _network(peer["library"], peer["name"])
        self.network.load_state_dict(load_file(folder / WEIGHTS))
        self.network.eval()
        self.workers = int(kind.removesuffix(" workers"))
        self.preprocess = transforms.Compose(
            [
                transforms.Resize(peer["resize"], transforms.InterpolationMode(peer["interpolation"])),
                transforms.CenterCrop(peer["size"]),
                transforms.ToTensor(),
                transforms.Normalize(peer["mean"], peer["std"]),
            ]
        )
        self._loaders: dict[tuple[Path, int], tuple[list[int], Any]] = {}

    def best(self, pictures: Path, count: int, batch: int) -> list[int]:
        return [index for output in self._outputs(pictures, count, batch) for index in output.argmax(dim=1).tolist()]

    def logits(self, pictures: Path, count: int, batch: int) -> NDArray[np.float64]:
        return np.concatenate([output.double().numpy() for output in self._outputs(pictures, count, batch)])

    def _outputs(self, pictures: Path, count: int, batch: int) -> Iterator[Any]:
        import torch

        order, loader = self._loader(pictures, batch)
        order[:] = range(count)
        with torch.inference_mode():
            for images, _ in loader:
                yield self.network(images)

    def _loader(self, pictures: Path, batch: int) -> tuple[list[int], Any]:
        """A loader, and the list of the pictures that its next pass takes."""
        from torch.utils.data import DataLoader
        from torchvision.datasets import ImageFolder

        key = (pictures, batch)
        if key not in self._loaders:
            order: list[int] = []
            data = ImageFolder(str(pictures), self.preprocess)
            loader = DataLoader(
                data, batch, sampler=order, num_workers=self.workers, persistent_workers=self.workers > 0
            )
            self._loaders[key] = order, loader
        return self._loaders[key]


def _network(library: str, name: str) -> Any:
    if library == "timm":
        import timm

        return timm.create_model(name)
    import torchvision

    return torchvision.models.get_model(name, weights=None)


def _sources(pictures: Path, count: int | None = None) -> list[Any]:
    from convatlas.engine.predict.inputs import expand_paths

    return expand_paths([str(pictures)])[:count]


def answer(loop: Loop, command: dict[str, Any]) -> Any:
    """What `main` answers to a command."""
    if "pictures" not in command:
        return None
    pictures = Path(command["pictures"])
    if "memory" in command:
        assert isinstance(loop, Ours)
        return _held(loop.predictor, pictures, command["memory"])
    work = pictures, command["count"], command["batch"]
    if "logits" in command:
        logits = loop.logits(*work)  # less their mean, for ours come from probabilities, which do not tell it
        return (logits - logits.mean(axis=1, keepdims=True)).round(6).tolist()
    if "alone" in command:
        assert isinstance(loop, Ours)
        return loop.alone(*work[:2])
    started = time.perf_counter()
    best = loop.best(*work)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "best": best, "peak": peak_memory() if is_told() else None}


def _held(predictor: Any, pictures: Path, after: list[int]) -> list[int] | None:
    if not is_told():
        return None
    answers = predictor.iterate(_sources(pictures), top=1)
    held, done = [], 0
    for count in after:
        for _ in itertools.islice(answers, count - done):
            pass
        done = count
        held.append(held_memory())
    return held


def main(kind: str, folder: Path, threads: int) -> None:
    """kind: one of OURS or THEIRS."""
    loop: Loop = (Ours if kind in OURS else Theirs)(kind, folder, threads)
    serve(lambda command: answer(loop, command))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
