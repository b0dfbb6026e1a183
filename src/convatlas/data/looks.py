"""Every picture of a set decoded once, and what that shows: what a check of any data set begins with."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from convatlas.data.picture_set import FileReader, PictureSet
from convatlas.data.pictures import SUFFIXES_OF_FORMAT, PictureFacts, examine
from convatlas.data.report import Finding
from convatlas.data.threads import in_order
from convatlas.errors import PictureError

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What was seen of one picture; `reason` says why nothing could be."""

    name: str
    reason: str = ""
    width: int = 0
    height: int = 0
    mode: str = ""
    facts: PictureFacts | None = None  # of a file
    suffix: str = ""


def look_at_all(pictures: PictureSet, progress: Progress | None) -> list[Look]:
    """Decode every picture; `progress` is told pictures done and pictures in all."""
    looks: list[Look] = []
    for look in in_order(lambda index: _look(pictures, index), len(pictures), min(8, os.cpu_count() or 1)):
        looks.append(look)
        if progress is not None:
            progress(len(looks), len(pictures))
    return looks


def _look(pictures: PictureSet, index: int) -> Look:
    name = pictures.names[index]
    if not isinstance(pictures.read, FileReader):
        height, width, channels = pictures.read(index).shape
        return Look(name=name, width=width, height=height, mode="L" if channels == 1 else "RGB")
    path = pictures.read.path(index)
    try:
        pixels, facts = examine(path, name)
    except PictureError as error:
        return Look(name=name, reason=error.reason)
    height, width = pixels.shape[:2]
    return Look(name=name, width=width, height=height, mode=facts.mode, facts=facts, suffix=path.suffix.lower())


def picture_findings(looks: Sequence[Look]) -> list[Finding]:
    """Faults of single pictures."""
    unreadable = tuple(f"{look.name}: {look.reason}" for look in looks if look.reason)
    files = [(look, look.facts) for look in looks if look.facts is not None]
    disguised = tuple(
        f"{look.name}: is {facts.format}"
        for look, facts in files
        if look.suffix not in SUFFIXES_OF_FORMAT.get(facts.format, ())
    )
    animated = tuple(look.name for look, facts in files if facts.animated)
    return [
        Finding(severity="warning", text=text, cases=cases)
        for text, cases in (
            ("cannot be read; training lists and skips them", unreadable),
            ("the name does not fit the content; the content is what counts", disguised),
            ("more than one frame or page; the first is used", animated),
        )
        if cases
    ]
