"""From what a user names to pictures in parts: the one entrance to the data room."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from convatlas.data.digits import read_digits
from convatlas.data.duplicates import exact_duplicates
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
    they stay as they are: a missing val is taken from train by `seed` and `val`; a missing test stays missing. Equal
    files in more than one such part are a warning of the result, for a score would flatter.

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
    how = " and ".join(parts) + " as the source gives them"
    if "val" in parts:
        held_out = parts["val"]
    else:
        carved = stratified_split(train, seed=seed, val=val)
        train, held_out = carved.train, carved.val
        how += f"; val is {val:.0%} of train, stratified, by seed {seed}"
    return DataSplits(
        train=train,
        val=held_out,
        test=parts.get("test"),
        how=how,
        given=tuple(parts),
        warnings=_leaks(pictures, given, source),
    )


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


def absolute_source(source: str | Path) -> str:
    """What to record of a source so that it is found again from anywhere: an absolute path, or "digits".

    Only the str "digits" is the embedded set; Path("digits") becomes the path of that folder.
    """
    if isinstance(source, str) and (source in EMBEDDED or not source):  # an empty name stays a fault
        return source
    return str(Path(source).resolve())


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
        hint = did_you_mean(name, EMBEDDED)
        raise DataError(f"{name}: there is no such file or folder" + (f".{hint}" if hint else ""))
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


def _leaks(pictures: PictureSet, given: tuple[Split, ...], source: str | Path) -> tuple[str, ...]:
    """A warning when byte-equal pictures lie in more than one part."""
    groups = [group for group in exact_duplicates(pictures) if len({given[index] for index in group}) > 1]
    if not groups:
        return ()
    cases = [" = ".join(pictures.names[index] for index in group) for group in groups[:3]]
    more = [f"{len(groups) - 3} more"] if len(groups) > 3 else []
    number = "1 picture is" if len(groups) == 1 else f"{len(groups)} pictures are"
    return (
        f"{number} in more than one part ({', '.join(cases + more)}): the score will flatter; "
        f"`convatlas data check {printable(source)}` lists them",
    )
