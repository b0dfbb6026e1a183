"""From what a user names to pictures in parts: the one entrance to the data room."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from convatlas.data.digits import read_digits
from convatlas.data.folder import list_folder
from convatlas.data.idx import has_idx_files, read_idx_folder
from convatlas.data.listing import quoted
from convatlas.data.manifest import list_manifest
from convatlas.data.picture_set import DataSplits, PictureSet
from convatlas.data.pictures import printable
from convatlas.data.split import check_fractions, stratified_split
from convatlas.errors import DataError, UsageError, did_you_mean
from convatlas.types import SPLITS, Split

EMBEDDED = ("digits",)
Kind = Literal["digits", "folder", "idx", "manifest"]


def open_data(source: str | Path, *, seed: int = 0, val: float = 0.15, test: float = 0.15) -> DataSplits:
    """Open a data set in its parts.

    source: "digits" (a str: the embedded set; a folder of that name is "./digits" or a Path), a folder of class
    folders, a folder of such folders named train, val (valid, validation), test, a folder with IDX files, or a .csv
    manifest.
    seed, val, test: how a source without parts is split (see `split.stratified_split`). Where the source gives parts
    they stay as they are: a missing val is taken from train by `seed` and `val`; a missing test stays missing.

    Raises DataError for data that cannot be used, UsageError for impossible fractions, MissingExtra for the embedded
    digits when they are not installed.
    """
    check_fractions(val=val, test=test)
    pictures, given = _read(source)
    if given is None:
        return stratified_split(pictures, seed=seed, val=val, test=test)
    parts = _by_part(pictures, given)
    train = parts["train"]
    _check_all_trained(train)
    if "val" in parts:
        how = " and ".join(part for part in SPLITS if part in parts)
        return DataSplits(train=train, val=parts["val"], test=parts.get("test"), how=f"{how} as the source gives them")
    carved = stratified_split(train, seed=seed, val=val)
    has_test = " and test" if "test" in parts else ""
    how = f"train{has_test} as the source gives them; val is {val:.0%} of train, stratified, by seed {seed}"
    return DataSplits(train=carved.train, val=carved.val, test=parts.get("test"), how=how)


def open_pictures(source: str | Path) -> PictureSet:
    """All pictures of a source in one set, whatever parts it has. Takes and raises what `open_data` does."""
    return _read(source)[0]


def open_parts(source: str | Path) -> dict[Split, PictureSet] | None:
    """The parts that a source itself gives, or None when it gives none. Takes and raises what `open_data` does."""
    pictures, given = _read(source)
    return None if given is None else _by_part(pictures, given)


def read_splits(source: str | Path, membership: Mapping[str, str]) -> DataSplits:
    """The pictures of a source in the parts that were recorded for them: name of the picture -> train, val or test.

    Pictures that are not in the record are left out. Raises DataError when recorded ones are gone.
    """
    pictures = open_pictures(source)
    known = set(pictures.names)
    gone = [name for name in membership if name not in known]
    if gone:
        raise DataError(f"{pictures.origin}: {len(gone)} pictures of the recorded split are gone: {quoted(gone)}")
    for name, part in membership.items():
        if part not in SPLITS:
            raise DataError(f'the recorded split of {name} is "{part}"; expected one of {", ".join(SPLITS)}')
    parts: dict[str, PictureSet] = {
        part: pictures.take([i for i, name in enumerate(pictures.names) if membership.get(name) == part])
        for part in SPLITS
    }
    for part in ("train", "val"):
        if not len(parts[part]):
            raise DataError(f"{pictures.origin}: the recorded split has no {part} pictures")
    test = parts["test"] if len(parts["test"]) else None
    return DataSplits(train=parts["train"], val=parts["val"], test=test, how="as recorded by the run")


def recognise(source: str | Path) -> Kind:
    """What kind of source this is; raises DataError, or UsageError for an empty name, when it is none."""
    if isinstance(source, str):
        if source in EMBEDDED:
            return "digits"
        if not source:
            raise UsageError("source: is empty; name a folder, a .csv manifest, or digits")
    path = Path(source)
    name = printable(path)
    if not path.exists():
        raise DataError(f"{name}: there is no such file or folder.{did_you_mean(name, EMBEDDED)}")
    if path.is_dir():
        return "idx" if has_idx_files(path) else "folder"
    if path.suffix.lower() == ".csv":
        return "manifest"
    raise DataError(
        f"{name}: is a file; expected a folder of class folders, a folder with IDX files, a .csv manifest, or digits"
    )


def _read(source: str | Path) -> tuple[PictureSet, tuple[Split, ...] | None]:
    """All pictures, and the part of each where the source gives parts."""
    match recognise(source):
        case "digits":
            return read_digits()
        case "idx":
            return read_idx_folder(Path(source))
        case "manifest":
            return list_manifest(Path(source)).to_pictures()
        case "folder":
            return list_folder(Path(source)).to_pictures()


def _by_part(pictures: PictureSet, given: tuple[Split, ...]) -> dict[Split, PictureSet]:
    part_of = np.array(given)
    return {part: pictures.take(np.flatnonzero(part_of == part)) for part in SPLITS if part in given}


def _check_all_trained(train: PictureSet) -> None:
    untrained = [name for name, count in zip(train.classes, train.counts(), strict=True) if not count]
    if untrained:
        raise DataError(f"{train.origin}: no training picture of {quoted(untrained)}; each class needs some in train")
