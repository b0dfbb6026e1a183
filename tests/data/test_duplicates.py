import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from convatlas.data.duplicates import exact_duplicates
from convatlas.data.picture_set import ArrayReader, FileReader, PictureSet, Reader


def as_set(read: Reader, count: int) -> PictureSet:
    names = tuple(str(i) for i in range(count))
    return PictureSet(origin="here", classes=("a",), names=names, targets=np.zeros(count, np.int64), read=read)


def reader_of(*paths: Path) -> FileReader:
    return FileReader(tuple(map(str, paths)))


def test_equal_files_are_found_whatever_their_names(put: Callable[..., Path], tmp_path: Path) -> None:
    first, other = put("a/1.png", seed=1), put("b/2.png", seed=2)
    copy, third = tmp_path / "copy.png", tmp_path / "third.png"
    shutil.copy(first, copy)
    shutil.copy(other, third)
    reader = reader_of(first, other, put("c/3.png", seed=3), copy, third)
    assert exact_duplicates(as_set(reader, 5)) == [[0, 3], [1, 4]]


def test_files_of_equal_size_and_head_that_differ_at_the_end(tmp_path: Path) -> None:
    paths = tuple(tmp_path / f"{i}.bmp" for i in range(3))
    for path, end in zip(paths, (b"x", b"y", b"x"), strict=True):
        path.write_bytes(bytes(10_000) + end)
    assert exact_duplicates(as_set(reader_of(*paths), 3)) == [[0, 2]]


def test_empty_and_missing_files_equal_nothing(tmp_path: Path) -> None:
    paths = (tmp_path / "1.png", tmp_path / "2.png", tmp_path / "gone.png", tmp_path / "gone.png")
    paths[0].touch()
    paths[1].touch()
    assert exact_duplicates(as_set(reader_of(*paths), 4)) == []


def test_rows_of_an_array_also_through_a_selection() -> None:
    array = np.zeros((5, 2, 2), np.uint8)
    array[1], array[3] = 1, 2
    pictures = as_set(ArrayReader(array), 5)
    assert exact_duplicates(pictures) == [[0, 2, 4]]
    assert exact_duplicates(pictures.take([3, 4, 1, 0])) == [[1, 3]]


class Constant:
    def __call__(self, index: int) -> np.ndarray:
        return np.full((1, 1, 1), index // 2, np.uint8)


def test_an_unknown_reader_is_compared_by_its_pixels() -> None:
    assert exact_duplicates(as_set(Constant(), 5)) == [[0, 1], [2, 3]]
