import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convatlas.data.picture_set import ArrayReader, DataSplits, FileReader, PictureSet
from convatlas.errors import PictureError

PIXELS = np.arange(4 * 2 * 3, dtype=np.uint8).reshape(4, 2, 3)


def a_set(**changes: Any) -> PictureSet:
    fields: dict[str, Any] = {
        "origin": "here",
        "classes": ("cat", "dog"),
        "names": ("a", "b", "c", "d"),
        "targets": np.array([0, 1, 1, 1], np.int64),
        "read": ArrayReader(PIXELS),
    }
    return PictureSet(**{**fields, **changes})


def test_take_keeps_pixels_names_and_targets_together() -> None:
    taken = a_set().take([3, 0, 2]).take([2, 0])
    assert taken.names == ("c", "d")
    assert taken.targets.tolist() == [1, 1]
    np.testing.assert_array_equal(taken.read(0), PIXELS[2][:, :, None])
    np.testing.assert_array_equal(taken.read(1), PIXELS[3][:, :, None])
    assert len(taken.take([])) == 0


def test_counts() -> None:
    assert a_set().counts().tolist() == [1, 3]
    assert a_set().take([1]).counts().tolist() == [0, 1]
    targets = np.array([[0, 0], [1, 1], [0, 1], [0, 1]], np.uint8)
    tagged = a_set(targets=targets)
    assert tagged.multilabel
    assert tagged.counts().tolist() == [1, 3]


@pytest.mark.parametrize("indices", [[4], [-1], [0, 9]])
def test_take_refuses_indices_outside(indices: list[int]) -> None:
    with pytest.raises(IndexError, match=r"expected indices 0\.\.3"):
        a_set().take(indices)


def test_take_refuses_a_mask() -> None:
    with pytest.raises(ValueError, match="bool"):
        a_set().take(np.array([True, False, True, False]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": ("cat", "cat")}, "distinct class names"),
        ({"classes": ()}, "at least one"),
        ({"names": ("a", "a", "b", "c")}, "named twice"),
        ({"names": ("a",)}, "expected targets"),
        ({"targets": np.array([0, 1, 1, 2], np.int64)}, r"outside of 0\.\.1"),
        ({"targets": np.array([0, 1, 1, -1], np.int64)}, r"outside of 0\.\.1"),
        ({"targets": np.array([0, 1, 1, 1], np.int32)}, "int64"),
        ({"targets": np.zeros((4, 3), np.uint8)}, "uint8"),
        ({"targets": np.full((4, 2), 2, np.uint8)}, r"outside of 0\.\.1"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        a_set(**changes)


def test_readers_travel_to_worker_processes(tmp_path: Path) -> None:
    taken = pickle.loads(pickle.dumps(a_set().take([2])))
    np.testing.assert_array_equal(taken.read(0), PIXELS[2][:, :, None])
    reader = pickle.loads(pickle.dumps(FileReader(("none.png",), f"{tmp_path}/")))
    with pytest.raises(PictureError, match=r"none\.png: there is no such file"):
        reader(0)


def test_array_reader_refuses_other_arrays() -> None:
    with pytest.raises(ValueError, match="uint8"):
        ArrayReader(np.zeros((2, 3, 4, 2), np.uint8))


def test_parts_must_agree_on_classes() -> None:
    with pytest.raises(ValueError, match="same classes"):
        DataSplits(train=a_set(), val=a_set(classes=("dog", "cat")), test=None, how="")
    assert DataSplits(train=a_set(), val=a_set(), test=None, how="").classes == ("cat", "dog")


def test_labels_and_the_first_class_of_a_picture() -> None:
    single = a_set()
    for index, target in enumerate(single.targets.tolist()):
        assert single.first_class(index) == target
        assert single.labels(index) == (single.classes[target],)
    several = PictureSet(
        origin="x",
        classes=("cat", "dog"),
        names=("0", "1", "2"),
        targets=np.array([[1, 1], [0, 1], [0, 0]], np.uint8),
        read=ArrayReader(np.zeros((3, 4, 4), np.uint8)),
    )
    assert [several.labels(i) for i in range(3)] == [("cat", "dog"), ("dog",), ()]
    assert [several.first_class(i) for i in range(3)] == [0, 1, 2], "a picture without a class is not of class 0"
