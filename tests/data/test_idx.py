import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from convatlas.data.idx import has_idx_files, read_idx, read_idx_folder
from convatlas.errors import DataError

PICTURES = np.arange(6 * 3 * 2, dtype=np.uint8).reshape(6, 3, 2)


def idx(array: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_part(folder: Path, stem: str, pictures: NDArray[np.uint8], labels: list[int], *, dot: bool = False) -> None:
    mark = "." if dot else "-"
    (folder / f"{stem}-images{mark}idx3-ubyte").write_bytes(idx(pictures))
    (folder / f"{stem}-labels{mark}idx1-ubyte").write_bytes(idx(np.array(labels, np.uint8)))


def test_one_file_as_the_format_says(tmp_path: Path) -> None:
    # By hand: zero, zero, type 8, 2 dimensions, 2 x 3, six values.
    (tmp_path / "x").write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255]))
    assert read_idx(tmp_path / "x").tolist() == [[1, 2, 3], [4, 5, 255]]


@pytest.mark.parametrize("dot", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_the_four_files_of_mnist(tmp_path: Path, dot: bool, zipped: bool) -> None:
    write_part(tmp_path, "train", PICTURES, [3, 1, 3, 1, 9, 9], dot=dot)
    write_part(tmp_path, "t10k", PICTURES[:2], [9, 1], dot=dot)
    if zipped:
        for path in list(tmp_path.iterdir()):
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    assert has_idx_files(tmp_path)
    pictures, given = read_idx_folder(tmp_path)
    assert pictures.classes == ("1", "3", "9")
    assert pictures.targets.tolist() == [1, 0, 1, 0, 2, 2, 2, 0]
    assert pictures.names[0] == "train[0]"
    assert pictures.names[7] == "t10k[1]"
    assert given == ("train",) * 6 + ("test",) * 2
    np.testing.assert_array_equal(pictures.read(7)[:, :, 0], PICTURES[1])


def test_train_alone_is_enough(tmp_path: Path) -> None:
    write_part(tmp_path, "train", PICTURES, [0, 1, 0, 1, 0, 1])
    assert read_idx_folder(tmp_path)[1] == ("train",) * 6


def test_a_gz_file_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(gzip.compress(idx(PICTURES)))
    np.testing.assert_array_equal(read_idx(tmp_path / "x"), PICTURES)


WHOLE = idx(PICTURES)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not an IDX file"),
        (b"\x89PNG....", "is not an IDX file"),
        (WHOLE[:10], "truncated within its header"),
        (WHOLE[:-1], "is truncated: its header promises 6 x 3 x 2 = 36 bytes, it holds 35"),
        (WHOLE + b"x", "is too long"),
        (b"\0\0\x0d\x01\0\0\0\x01" + bytes(4), "type 0x0d"),
        (b"\0\0\x08\x03" + b"\xff" * 12 + bytes(9), "cannot hold them"),  # claims 2 to the 96 bytes
        (b"\0\0\x08\xff" + b"\xff" * 1020 + bytes(9), "is not an IDX file"),  # 255 dimensions
        (gzip.compress(WHOLE)[:-12], "is truncated"),
        (gzip.compress(WHOLE)[:30] + b"\xff" * 20, "cannot be read|truncated"),
        (gzip.compress(b"\0\0\x08\x03" + b"\x7f\xff\xff\xff" * 3), "cannot hold them"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # a gzip stream holds the time
)
def test_damaged_files_are_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_idx(path)
    assert str(caught.value).startswith(str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none: cannot be read"):
        read_idx(tmp_path / "none")


def test_pairs_that_do_not_match(tmp_path: Path) -> None:
    write_part(tmp_path, "train", PICTURES, [0, 1, 0, 1, 0])
    with pytest.raises(DataError, match="labels-idx1-ubyte: holds 5 labels, but train-images-idx3-ubyte 6 pictures"):
        read_idx_folder(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte \(or .*\.gz\) is missing"):
        read_idx_folder(tmp_path)


def test_labels_and_pictures_of_the_wrong_shape(tmp_path: Path) -> None:
    write_part(tmp_path, "train", PICTURES, [0, 1, 0, 1, 0, 1])
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(PICTURES))
    with pytest.raises(DataError, match="expected one dimension of labels, got 3"):
        read_idx_folder(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(PICTURES[0]))
    with pytest.raises(DataError, match="expected pictures x height x width"):
        read_idx_folder(tmp_path)


def test_a_test_label_that_was_never_trained(tmp_path: Path) -> None:
    write_part(tmp_path, "train", PICTURES, [0, 1, 0, 1, 0, 1])
    write_part(tmp_path, "t10k", PICTURES[:2], [1, 7])
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte: label 7 at position 1"):
        read_idx_folder(tmp_path)


def test_test_pictures_of_another_size(tmp_path: Path) -> None:
    write_part(tmp_path, "train", PICTURES, [0, 1, 0, 1, 0, 1])
    write_part(tmp_path, "t10k", PICTURES[:2].reshape(2, 2, 3), [1, 0])
    with pytest.raises(DataError, match="differ in size"):
        read_idx_folder(tmp_path)


def test_one_class_is_too_few(tmp_path: Path) -> None:
    write_part(tmp_path, "train", PICTURES, [4] * 6)
    with pytest.raises(DataError, match="all labels are 4"):
        read_idx_folder(tmp_path)
    assert not has_idx_files(tmp_path / "none")
