"""Name what is on pictures, in one call. Without torch where the bundle is exported."""

from collections.abc import Sequence
from pathlib import Path

from convatlas.engine.predict.inputs import expand_paths
from convatlas.engine.predict.predictor import EngineName, Predictor
from convatlas.types import Classification, Failure


def predict(
    path: str | Path,
    pictures: str | Path | Sequence[str | Path],
    *,
    top: int = 5,
    threshold: float | None = None,
    engine: EngineName = "auto",
    threads: int | None = None,
) -> list[Classification | Failure]:
    """Load a bundle (or a run's) and answer files, folders and globs, one record for each picture.

    Keep a `Predictor` instead when more pictures will follow: loading is the slow part. Its arguments are described
    there. Raises UsageError when a path leads to no picture, BundleError for a bundle that is altered.
    """
    named = [pictures] if isinstance(pictures, str | Path) else pictures
    sources = expand_paths([str(each) for each in named])
    return Predictor(path, engine=engine, threads=threads)(sources, top=top, threshold=threshold)
