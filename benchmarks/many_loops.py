"""One competitor of `benchmarks.many_pictures` in its own process: python -m benchmarks.many_loops KIND FOLDER THREADS.

FOLDER holds the prepared network. The command {} is answered as soon as the network is loaded; {"pictures": FOLDER,
"count": N} with the seconds that the first N pictures of a folder took, their best classes and the peak of memory;
{"pictures": FOLDER, "memory": [A, B]} with the memory held after A and after B of them.
"""

import itertools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.competitor import serve
from benchmarks.memory import held_memory, peak_memory

BUNDLE, WEIGHTS, PEER = "bundle", "theirs.safetensors", "peer.json"
BATCH = 32  # of theirs
Loop = Callable[[Path, int], list[int]]  # the best classes of so many pictures of a folder


def _ours(kind: str, folder: Path, threads: int) -> Any:
    from convatlas.engine.predict.predictor import Predictor

    return Predictor(folder / BUNDLE, threads=threads, workers=threads, exact=kind == "exact")


def _our_loop(predictor: Any) -> Loop:
    from convatlas.engine.predict.inputs import expand_paths

    def loop(pictures: Path, count: int) -> list[int]:
        sources = expand_paths([str(pictures)])[:count]
        return [answer.top.index for answer in predictor.iterate(sources, top=1)]

    return loop


def _their_loop(folder: Path, threads: int, workers: int) -> Loop:
    """What people write: ImageFolder, torchvision's transforms, a DataLoader, the network in eager mode."""
    import torch
    from safetensors.torch import load_file
    from torch.utils.data import DataLoader, Subset
    from torchvision import datasets, transforms

    torch.set_num_threads(threads)
    peer = json.loads((folder / PEER).read_text(encoding="utf-8"))
    network = _network(peer["library"], peer["name"])
    network.load_state_dict(load_file(folder / WEIGHTS))
    network.eval()
    preprocess = transforms.Compose(
        [
            transforms.Resize(peer["resize"], transforms.InterpolationMode(peer["interpolation"])),
            transforms.CenterCrop(peer["size"]),
            transforms.ToTensor(),
            transforms.Normalize(peer["mean"], peer["std"]),
        ]
    )

    def loop(pictures: Path, count: int) -> list[int]:
        data = Subset(datasets.ImageFolder(str(pictures), preprocess), range(count))
        best: list[int] = []
        with torch.inference_mode():
            for batch, _ in DataLoader(data, BATCH, num_workers=workers):
                best += network(batch).argmax(dim=1).tolist()
        return best

    return loop


def _network(library: str, name: str) -> Any:
    if library == "timm":
        import timm

        return timm.create_model(name)
    import torchvision

    return torchvision.models.get_model(name, weights=None)


def main(kind: str, folder: Path, threads: int) -> None:
    """kind: "reduced" or "exact" for ours, "0 workers" or "2 workers" for theirs."""
    if kind in ("reduced", "exact"):
        predictor = _ours(kind, folder, threads)
        loop = _our_loop(predictor)
    else:
        loop = _their_loop(folder, threads, int(kind.removesuffix(" workers")))

    def answer(command: dict[str, Any]) -> Any:
        if "memory" in command:
            return _held(predictor, Path(command["pictures"]), command["memory"])
        if "pictures" not in command:
            return None
        started = time.perf_counter()
        best = loop(Path(command["pictures"]), command["count"])
        return {"seconds": time.perf_counter() - started, "best": best, "peak": peak_memory()}

    serve(answer)


def _held(predictor: Any, pictures: Path, after: list[int]) -> list[int]:
    from convatlas.engine.predict.inputs import expand_paths

    answers = predictor.iterate(expand_paths([str(pictures)]), top=1)
    held, done = [], 0
    for count in after:
        for _ in itertools.islice(answers, count - done):
            pass
        done = count
        held.append(held_memory())
    return held


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
