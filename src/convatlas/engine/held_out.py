"""Which pictures a bundle is compared on, and which it is calibrated on: those of its run, or others. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convatlas.data.picture_set import DataSplits, FileReader, PictureSet
from convatlas.data.pictures import printable
from convatlas.data.source import EMBEDDED, absolute_source, open_data, open_parts, open_pictures, read_splits
from convatlas.engine.bundle import Bundle
from convatlas.engine.predict.inputs import expand_paths
from convatlas.engine.run import read_membership, run_around
from convatlas.errors import DataError, UsageError
from convatlas.types import Split


@dataclass(frozen=True, kw_only=True)
class TwoParts:
    """Pictures to calibrate on and others to measure on, and what to call them in a record."""

    calibration: PictureSet
    calibration_name: str
    judged: PictureSet
    judged_name: str


def own_held_out(folder: Path, bundle: Bundle) -> tuple[PictureSet, str]:
    """The held-out pictures that the run around the bundle recorded; without a run, those of an embedded set."""
    return _most_unseen(*_own_splits(folder, bundle))


def held_out(source: str | Path) -> tuple[PictureSet, str]:
    """The test part, else the validation part, else all pictures of a source too small to split; and its name."""
    try:
        return _most_unseen(open_data(source), source)
    except DataError:
        return open_pictures(source), Path(source).name


def two_parts(folder: Path, bundle: Bundle, data: str | Path | None, seed: int) -> TwoParts:
    """Training pictures to calibrate on, and the test pictures, else the validation pictures, to measure on.

    data: anything that `open_data` takes, or a folder of pictures without classes; by default, and where it is the
    data of the run around the bundle, the run's own parts. A source without a training part, or without another one,
    is cut in two halves by `seed`.
    Raises UsageError when there is no telling which pictures, DataError when they are gone.
    """
    run = run_around(folder)
    if data is None or (run is not None and absolute_source(data) == run.read()["plan"]["data"]):
        splits, source = _own_splits(folder, bundle)
        judged, name = _most_unseen(splits, source)
        return _named(splits.train, judged, source, judged_as=name)
    given, pictures = _parts_or_all(data)
    judged_part: Split = "test" if "test" in given else "val"
    if "train" in given and judged_part in given:
        return _named(given["train"], given[judged_part], data, judged_as=f"{Path(data).name} {judged_part}")
    order = np.random.default_rng(seed).permutation(len(pictures))
    half = len(order) // 2
    halves = pictures.take(np.sort(order[:half])), pictures.take(np.sort(order[half:]))
    name = f"half of {Path(data).name}"
    return TwoParts(
        calibration=halves[0], calibration_name=name, judged=halves[1], judged_name=f"the other {name}"
    )  # fmt: skip


def _named(train: PictureSet, judged: PictureSet, source: str | Path, *, judged_as: str) -> TwoParts:
    name = f"{Path(source).name} train"
    return TwoParts(calibration=train, calibration_name=name, judged=judged, judged_name=judged_as)


def _own_splits(folder: Path, bundle: Bundle) -> tuple[DataSplits, str]:
    run = run_around(folder)
    if run is not None:
        source = run.read()["plan"]["data"]
        return read_splits(source, read_membership(run)), source
    recorded = bundle.provenance.get("data")
    if recorded in EMBEDDED:
        return open_data(str(recorded)), str(recorded)
    raise UsageError(f"{folder}: a bundle without its run does not know its pictures; name some with --data")


def _most_unseen(splits: DataSplits, source: str | Path) -> tuple[PictureSet, str]:
    name = Path(source).name
    return (splits.val, f"{name} val") if splits.test is None else (splits.test, f"{name} test")


def _parts_or_all(data: str | Path) -> tuple[Mapping[Split, PictureSet], PictureSet]:
    """The parts that a source gives, if any, and all its pictures, be they without classes.

    A folder with folders inside has classes: what is wrong with them is to be said, not passed over.
    """
    try:
        return open_parts(data) or {}, open_pictures(data)
    except DataError:
        folder = Path(data)
        if not folder.is_dir() or any(each.is_dir() for each in folder.iterdir()):
            raise
        return {}, _unlabelled(folder)


def _unlabelled(folder: Path) -> PictureSet:
    """All pictures below a folder, as of one class that no network has."""
    try:
        sources = expand_paths([str(folder)])
    except UsageError as error:
        raise DataError(str(error)) from error
    return PictureSet(
        origin=printable(folder),
        classes=("unlabelled",),
        names=tuple(source.name for source in sources),
        targets=np.zeros(len(sources), np.int64),
        read=FileReader(tuple(str(source.picture) for source in sources)),
    )
