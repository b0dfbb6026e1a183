"""What a folder or a manifest names, with its faults, before any picture is opened.

Reading for training stops at the first fault; `data check` wants them all. So listing never stops, and `to_pictures`
does.
"""

from dataclasses import dataclass

import numpy as np

from convatlas.data.picture_set import FileReader, PictureSet
from convatlas.errors import DataError
from convatlas.types import Split

# How people name the parts of a data set.
SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


@dataclass(frozen=True, kw_only=True)
class Listing:
    """All N pictures of a source, in columns: a million of them are a few strings and no objects of ours.

    classes: in the order of the network's outputs; also those without a picture.
    names: stable ones. files: where each lies, after `prefix`; most are the names themselves.
    labels: the classes of each. given: the part of each, empty where the source gives no parts.
    faults: why the source cannot be used as it stands; each says what to do. notes: what is odd, but can be used.
    splits: the parts that the source itself gives, empty if it gives none.
    ignored: how many files were passed over since their names are not those of pictures.
    """

    origin: str
    classes: tuple[str, ...]
    names: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    labels: tuple[tuple[str, ...], ...] = ()
    given: tuple[Split, ...] = ()
    prefix: str = ""
    multilabel: bool = False
    splits: tuple[Split, ...] = ()
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    ignored: int = 0

    def to_pictures(self) -> tuple[PictureSet, tuple[Split, ...] | None]:
        """The pictures, and the part of each where the source gives parts; raises DataError with the first fault."""
        if self.faults:
            more = len(self.faults) - 1
            rest = f" ({more} more: `convatlas data check {self.origin}` lists all)" if more else ""
            raise DataError(self.faults[0] + rest)
        return self.pictures(), self.given if self.splits else None

    def pictures(self) -> PictureSet:
        """The pictures, whatever the faults; at least one class is needed."""
        index = {name: i for i, name in enumerate(self.classes)}
        if self.multilabel:
            targets = np.zeros((len(self.labels), len(self.classes)), np.uint8)
            for row, labels in enumerate(self.labels):
                targets[row, [index[label] for label in labels]] = 1
        else:
            targets = np.fromiter((index[label] for (label,) in self.labels), np.int64, len(self.labels))
        return PictureSet(
            origin=self.origin,
            classes=self.classes,
            names=self.names,
            targets=targets,
            read=FileReader(self.files, self.prefix),
        )


def quoted(names: "tuple[str, ...] | list[str]", limit: int = 5) -> str:
    """The first names in quotes, and how many more: `"a", "b" and 3 more`."""
    shown = ", ".join(f'"{name}"' for name in names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown
