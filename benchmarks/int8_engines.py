"""One engine of `benchmarks.int8` in its own process: python -m benchmarks.int8_engines ENGINE BUNDLE THREADS.

The command {"seconds": S} is answered with the seconds of single passes over one picture, made for about S seconds
after some that do not count, and {} with what answers: the engine's name.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.competitor import serve
from benchmarks.warm_engines import timed


def main(kind: str, bundle: Path, threads: int) -> None:
    from convatlas.engine.predict.predictor import Predictor

    predictor = Predictor(bundle, engine=kind, threads=threads)  # type: ignore[arg-type]  # one of its names
    shape = predictor.bundle.preprocess.shape
    picture = np.random.default_rng(0).integers(0, 256, (1, *shape), dtype=np.uint8)

    def answer(command: dict[str, Any]) -> Any:
        if "seconds" in command:
            return timed(lambda: predictor.engine(picture), command["seconds"])
        return predictor.engine.name

    serve(answer)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
