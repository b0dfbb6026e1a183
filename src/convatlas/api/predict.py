"""Name what is on pictures, in one call. Without torch where the bundle is exported."""

from collections.abc import Sequence
from pathlib import Path

from convatlas.engine.predict.engines import EngineName
from convatlas.engine.predict.inputs import expand_paths
from convatlas.engine.predict.predictor import Predictor, workers_for
from convatlas.types import Classification, Failure


def predict(
    path: str | Path,
    pictures: str | Path | Sequence[str | Path],
    *,
    top: int = 5,
    threshold: float | None = None,
    engine: EngineName | None = None,
    threads: int | None = None,
    workers: int | None = None,
    exact: bool = False,
    offline: bool | None = None,
) -> list[Classification | Failure]:
    """Load a bundle (or a run's, or a network by name) and answer files, folders and globs, one record a picture.

    predict("efficientnet_lite0", "cat.jpg")[0].top
    predict("runs/digits", "scans/*.png")

    Keep a `Predictor` instead when more pictures will follow: loading is the slow part. Its arguments are described
    there. Raises UsageError when a path leads to no picture, and what `Predictor` raises.
    """
    named = [pictures] if isinstance(pictures, str | Path) else pictures
    sources = expand_paths([str(each) for each in named])
    workers = workers_for(len(sources), threads) if workers is None else workers
    predictor = Predictor(path, engine=engine, threads=threads, workers=workers, exact=exact, offline=offline)
    return predictor(sources, top=top, threshold=threshold)
