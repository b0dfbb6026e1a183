"""One competitor of `benchmarks.warm` in its own process: python -m benchmarks.warm_engines KIND FOLDER THREADS.

FOLDER holds what `benchmarks.warm` prepared. The command {"batch": N} is answered with the engine's name and the logits
of N pictures, {"batch": N, "seconds": S} with the seconds of single passes, made for about S seconds after some
that do not count.
"""

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.competitor import serve
from convatlas.engine.predict.engines import EngineKind

Array = NDArray[Any]
Pass = Callable[[], Array]  # one answer; its input is ready
Passes = Callable[[int], Pass]  # for so many pictures

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as the published weights of all six have them
BUNDLE, WEIGHTS, GRAPH, PEER, PIXELS = "bundle", "theirs.safetensors", "theirs-{batch}.onnx", "peer.txt", "pixels.npy"
FEWEST, MOST = 3, 40  # passes of a turn
WARMING = 0.05  # seconds of passes before, while the threads of the competitor before go to sleep


def normalised(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the peers take: (x / 255 - mean) / std, of (N, 3, H, W)."""
    mean, std = (np.array(each, np.float32).reshape(1, 3, 1, 1) for each in (MEAN, STD))
    return np.asarray((pictures / np.float32(255) - mean) / std, np.float32)


def pixels(folder: Path, batch: int) -> NDArray[np.uint8]:
    """The prepared pictures, over again where there are fewer."""
    prepared: NDArray[np.uint8] = np.load(folder / PIXELS)
    return np.resize(prepared, (batch, *prepared.shape[1:]))


def _ours(kind: str, folder: Path, threads: int) -> tuple[str, Passes]:
    from convatlas.engine.predict.predictor import Predictor

    engine = Predictor(folder / BUNDLE, engine=kind, threads=threads).engine  # type: ignore[arg-type]  # one of OURS

    def passes(batch: int) -> Pass:
        taken = pixels(folder, batch)
        return lambda: engine(taken)

    return engine.name, passes


def _onnxruntime(folder: Path, threads: int) -> Passes:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads

    def passes(batch: int) -> Pass:
        graph, taken = folder / GRAPH.format(batch=batch), normalised(pixels(folder, batch))
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return lambda: np.asarray(session.run(None, {"x": taken})[0])

    return passes


def _openvino(folder: Path, threads: int) -> Passes:
    import openvino

    core = openvino.Core()
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}

    def passes(batch: int) -> Pass:
        graph, taken = folder / GRAPH.format(batch=batch), normalised(pixels(folder, batch))
        request = core.compile_model(core.read_model(graph), "CPU", settings).create_infer_request()
        return lambda: np.asarray(next(iter(request.infer({"x": taken}).values())))

    return passes


def _torchvision(folder: Path, threads: int) -> Passes:
    import torch

    torch.set_num_threads(threads)
    return _torch_passes(_network(folder), folder)


def _compiled(folder: Path, threads: int) -> Passes:
    import torch

    torch.set_num_threads(threads)
    return _torch_passes(torch.compile(_network(folder)), folder)


def _network(folder: Path) -> Any:
    from safetensors.torch import load_file

    name = (folder / PEER).read_text(encoding="utf-8")
    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    network = importlib.import_module("torchvision.models").get_model(name, weights=None, **options)
    network.load_state_dict(load_file(folder / WEIGHTS))
    return network.eval()


def _torch_passes(network: Any, folder: Path) -> Passes:
    import torch

    def passes(batch: int) -> Pass:
        taken = torch.from_numpy(normalised(pixels(folder, batch)))

        def once() -> Array:
            with torch.inference_mode():
                logits: Array = network(taken).numpy()
            return logits

        return once

    return passes


OURS: tuple[EngineKind | Literal["auto"], ...] = ("auto", "onnx", "openvino", "torch")
THEIRS: dict[str, Callable[[Path, int], Passes]] = {
    "torchvision": _torchvision,
    "ONNX Runtime": _onnxruntime,
    "OpenVINO": _openvino,
    "torch.compile": _compiled,
}


def timed(once: Callable[[], object], seconds: float) -> list[float]:
    """The seconds of single passes, for about so long in all, after some that do not count."""
    began = time.perf_counter()
    while time.perf_counter() - began < WARMING:
        once()
    taken: list[float] = []
    while len(taken) < FEWEST or (len(taken) < MOST and sum(taken) < seconds):
        started = time.perf_counter()
        once()
        taken.append(time.perf_counter() - started)
    return taken


def main(kind: str, folder: Path, threads: int) -> None:
    name, passes = _ours(kind, folder, threads) if kind in OURS else (kind, THEIRS[kind](folder, threads))
    ready: dict[int, Pass] = {}

    def answer(command: dict[str, Any]) -> Any:
        batch = command["batch"]
        if batch not in ready:
            ready[batch] = passes(batch)
        if "seconds" in command:
            return timed(ready[batch], command["seconds"])
        return {"engine": name, "logits": np.asarray(ready[batch](), np.float64).tolist()}

    serve(answer)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
