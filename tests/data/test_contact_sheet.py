from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convatlas.data.contact_sheet import contact_sheet
from convatlas.data.picture_set import ArrayReader, PictureSet
from convatlas.data.source import open_pictures
from convatlas.errors import UsageError


def a_set(counts: list[int], side: int = 8) -> PictureSet:
    """All pictures of class k are of the grey value 40 * (k + 1)."""
    targets = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    pixels = np.broadcast_to((40 * (targets + 1)).astype(np.uint8)[:, None, None], (len(targets), side, side))
    return PictureSet(
        origin="here",
        classes=tuple(f"class {i}" for i in range(len(counts))),
        names=tuple(str(i) for i in range(len(targets))),
        targets=targets,
        read=ArrayReader(np.ascontiguousarray(pixels)),
    )


def middles(sheet: Any, rows: int, columns: int, size: int) -> list[int]:
    """The grey value in the middle of each cell, in reading order."""
    high = (sheet.height - 10) // rows
    return [
        sheet.getpixel((10 + column * (size + 10) + size // 2, 10 + row * high + size // 2))[0]
        for row in range(rows)
        for column in range(columns)
    ]


def test_classes_share_the_sheet_evenly_and_in_order() -> None:
    sheet = contact_sheet(a_set([100, 2, 100]), count=8, columns=4, size=32)
    assert middles(sheet, 2, 4, 32) == [40, 40, 40, 80, 80, 120, 120, 120]
    assert sheet.width == 4 * 42 + 10


def test_fewer_pictures_than_asked_for() -> None:
    sheet = contact_sheet(a_set([1, 1]), count=64, columns=8, size=32)
    assert middles(sheet, 1, 2, 32) == [40, 80]
    assert sheet.width == 2 * 42 + 10


def test_the_seed_draws() -> None:
    chance = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    pictures = PictureSet(
        origin="here",
        classes=("a",),
        names=tuple(str(i) for i in range(40)),
        targets=np.zeros(40, np.int64),
        read=ArrayReader(chance),
    )
    first, again, other = (contact_sheet(pictures, count=4, seed=seed) for seed in (0, 0, 1))
    assert first.tobytes() == again.tobytes() != other.tobytes()


def test_pictures_keep_their_shape() -> None:
    wide = ArrayReader(np.zeros((1, 10, 40), np.uint8))
    pictures = PictureSet(origin="x", classes=("a",), names=("n",), targets=np.zeros(1, np.int64), read=wide)
    sheet = contact_sheet(pictures, count=1, size=40)
    cell = np.asarray(sheet)[10:50, 10:50, 0]
    assert (cell == 0).sum() == 10 * 40


def test_an_unreadable_picture_is_a_crossed_box(put: Callable[..., Path], tmp_path: Path) -> None:
    put("photos/a/1.png")
    put("photos/b/1.png")
    (tmp_path / "photos" / "b" / "1.png").write_bytes(b"damaged")
    sheet = contact_sheet(open_pictures(tmp_path / "photos"), size=48)
    middle = sheet.getpixel((10 + 58 + 24, 10 + 24))
    assert isinstance(middle, tuple)
    red, green, _ = middle
    assert red > 150
    assert green < 60


def test_long_strange_and_missing_names(tmp_path: Path) -> None:
    targets = np.array([[1, 1], [0, 0]], np.uint8)
    pictures = PictureSet(
        origin="x",
        classes=("a\nb " * 40, "猫"),
        names=("n", "m"),
        targets=targets,
        read=ArrayReader(np.zeros((2, 4, 4), np.uint8)),
    )
    assert contact_sheet(pictures, size=32).size == (2 * 42 + 10, contact_sheet(a_set([1, 1]), size=32).height)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"count": 0}, "count"),
        ({"columns": 0}, "columns"),
        ({"size": 8}, "size"),
        ({"count": 5000, "columns": 1}, "count"),
    ],
)
def test_impossible_sheets_name_their_field(options: dict[str, int], field: str) -> None:
    with pytest.raises(UsageError, match=f"^{field}"):
        contact_sheet(a_set([3000, 3000]), **options)


def test_no_picture_at_all() -> None:
    with pytest.raises(UsageError, match="no picture to show"):
        contact_sheet(a_set([1]).take([]))
