"""Small data sets on disk, in the very shapes that the tools write, and proof that nothing of them was changed."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from convatlas.data.detection.faults import Fault


def put_picture(path: Path, width: int = 100, height: int = 80) -> Path:
    """A picture of noise, another one for each name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(list(path.name.encode() + path.parent.name.encode()))
    Image.fromarray(chance.integers(0, 256, (height, width, 3), np.uint8)).save(path)
    return path


def put_json(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def put_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def told(faults: Iterable[Fault]) -> list[tuple[str, str]]:
    """Kind and words of each fault."""
    return [(fault.kind, str(fault)) for fault in faults]


def fingerprint(folder: Path) -> dict[str, tuple[int, str]]:
    """When each file was last written, and what it holds."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
