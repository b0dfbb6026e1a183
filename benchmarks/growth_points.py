"""One point of `benchmarks.growth` in a process of its own, whose memory is that of the point alone.

python -m benchmarks.growth_points KIND WORDS prints a line of JSON: the seconds of single passes and the most bytes
that the process held meanwhile, null where the system does not tell.
"""

import gc
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.memory import forget_peak, peak_memory

NETWORK = "resnet18"
THREADS = 2
TRAINING_SIDE = 112
FEWEST, MOST = 3, 30  # passes
SECONDS = 1.0  # of passes, where that is more than the fewest
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def predict_batch(folder: str, pictures: str) -> dict[str, object]:
    """An exported bundle on ONNX Runtime, that many pictures at once."""
    import numpy as np

    from convatlas.engine.predict.predictor import Predictor

    predictor = Predictor(folder, engine="onnx", threads=THREADS)
    pixels = np.zeros((int(pictures), *predictor.bundle.preprocess.shape), np.uint8)
    return _passes(lambda: predictor.engine(pixels))


def predict_side(folder: str, side: str) -> dict[str, object]:
    """The same network on torch, one picture of that side: a graph has one size, the network has any."""
    import numpy as np

    from convatlas.engine.predict.torch_engine import TorchEngine

    engine = TorchEngine(Path(folder), THREADS)
    pixels = np.zeros((1, 3, int(side), int(side)), np.uint8)
    return _passes(lambda: engine(pixels))


def train_batch(pictures: str) -> dict[str, object]:
    """A step of training: to the losses, back, and the optimiser."""
    import torch

    from convatlas.engine.optimizer import make_optimizer
    from convatlas.engine.parts import parts
    from convatlas.engine.step import TrainStep
    from convatlas.layers.normalize import Normalize
    from convatlas.models import create_model
    from convatlas.recipes.recipe import Recipe
    from convatlas.tasks.make import make_task

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    recipe = Recipe(optimizer="sgd", lr=0.01, channels_last=True)
    classes = tuple(map(str, range(1000)))
    network = create_model(NETWORK).train().to(memory_format=torch.channels_last)
    step = TrainStep(Normalize(MEAN, STD), network, make_task("classify", NETWORK, classes), recipe)
    optimizer = make_optimizer(network, parts(network), recipe, torch.device("cpu"))
    pixels = torch.zeros((int(pictures), 3, TRAINING_SIDE, TRAINING_SIDE), dtype=torch.uint8)
    labels = torch.arange(int(pictures)) % len(classes)

    def pass_once() -> None:
        losses = step(pixels, labels)
        loss: torch.Tensor = torch.stack([value.mean() for value in losses.values()]).sum()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        optimizer.step()
        optimizer.zero_grad()

    return _passes(pass_once)


def list_ours(folder: str) -> dict[str, object]:
    """`open_pictures`: the names, classes and targets of all pictures, in a process that is to train."""
    from convatlas.data.source import open_pictures

    _import_torch()
    return _once(lambda: open_pictures(folder))


def split_ours(folder: str) -> dict[str, object]:
    """`open_data`: the same, in parts in which byte-equal pictures stay together; no torch, as in `convatlas data`."""
    from convatlas.data.source import open_data

    return _once(lambda: open_data(folder))


def list_theirs(folder: str) -> dict[str, object]:
    """torchvision's `ImageFolder`: paths, classes and targets."""
    from torchvision.datasets import ImageFolder

    _import_torch()
    return _once(lambda: ImageFolder(folder))


KINDS: dict[str, Callable[..., dict[str, object]]] = {
    "predict_batch": predict_batch,
    "predict_side": predict_side,
    "train_batch": train_batch,
    "list_ours": list_ours,
    "split_ours": split_ours,
    "list_theirs": list_theirs,
}


def _passes(pass_once: Callable[[], object]) -> dict[str, object]:
    """Passes after one that does not count, for it allocates; memory from that one on."""
    known = forget_peak()
    pass_once()
    seconds: list[float] = []
    while len(seconds) < FEWEST or (sum(seconds) < SECONDS and len(seconds) < MOST):
        started = time.perf_counter()
        pass_once()
        seconds.append(round(time.perf_counter() - started, 6))
    return {"seconds": seconds, "bytes": peak_memory() if known else None}


def _once(work: Callable[[], object]) -> dict[str, object]:
    """One pass and no more. bytes: the most that the process held; work: how much of it beyond its imports."""
    gc.collect()
    forget_peak()  # that of the imports may lie above what is held now
    before = _held()
    started = time.perf_counter()
    kept = work()
    seconds = round(time.perf_counter() - started, 4)
    most = _held()
    del kept
    return {"seconds": [seconds], "bytes": most, "work": None if most is None or before is None else most - before}


def _import_torch() -> None:
    """Both sides hold torch and torchvision: one who keeps enough objects pays for a collection over all of them."""
    for package in ("torch", "torchvision"):
        importlib.import_module(package)


def _held() -> int | None:
    """The most bytes that the process has held until now."""
    try:
        return peak_memory()
    except OSError:
        return None


if __name__ == "__main__":
    print(json.dumps(KINDS[sys.argv[1]](*sys.argv[2:])), flush=True)
