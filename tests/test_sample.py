"""A sample refuses what no network could learn from, and says which object and field it is."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from convatlas.errors import UsageError
from convatlas.types import Rle, Sample

pytestmark = pytest.mark.row("C-10")


@pytest.fixture
def sample() -> Sample:
    return Sample(
        name="a.jpg",
        height=20,
        width=30,
        boxes=np.array([[0, 0, 30, 20], [1.5, 2, 3, 4.25]], np.float32),
        classes=np.array([2, 0]),
        masks=(Rle.from_mask(np.eye(20, 30)), None),
        keypoints=np.zeros((2, 3, 3), np.float32),
    )


def test_what_is_left_out_is_filled_in(sample: Sample) -> None:
    assert len(sample) == 2
    assert sample.iscrowd.tolist() == sample.difficult.tolist() == [False, False]
    assert sample.areas.tolist() == [20, 3.375]  # of the mask, and of the box
    assert not sample.has_masks


def test_a_picture_without_objects() -> None:
    empty = Sample(name="b", height=2, width=2, boxes=np.zeros((0, 4), np.float32), classes=np.zeros(0, np.int64))
    assert len(empty) == 0
    assert empty.masks == ()
    assert empty.keypoints.shape == (0, 0, 3)
    assert not empty.has_masks


def test_arrays_are_read_only(sample: Sample) -> None:
    for name in ("boxes", "classes", "keypoints", "iscrowd", "difficult", "areas"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(sample, name)[0] = 1


WRONG: dict[str, tuple[Callable[[Sample], dict[str, object]], str]] = {
    "boxes of another type": (lambda s: {"boxes": s.boxes.astype(np.float64)}, "boxes: expected float32 2 x 4"),
    "a list of boxes": (lambda s: {"boxes": s.boxes.tolist()}, "boxes: expected an array, got list"),
    "boxes of another shape": (lambda s: {"boxes": s.boxes.reshape(-1)}, "boxes: expected float32 8 x 4"),
    "a reversed box": (lambda s: {"boxes": s.boxes[:, [2, 1, 0, 3]].copy()}, r"boxes\[0\]: expected x1 < x2"),
    "a box without area": (lambda s: {"boxes": s.boxes * [1, 1, 1, 0]}, "boxes"),
    "a box outside": (lambda s: {"boxes": s.boxes + np.float32(1)}, r"boxes\[0\]: expected it inside of 30 x 20"),
    "a negative box": (lambda s: {"boxes": s.boxes - np.float32(1)}, r"boxes\[0\]: expected it inside"),
    "not a number": (lambda s: {"boxes": np.full((2, 4), np.nan, np.float32)}, r"boxes\[0\]: expected finite"),
    "one class too few": (lambda s: {"classes": s.classes[:1]}, "classes: expected int64 2, got int64 1"),
    "a class below 0": (lambda s: {"classes": s.classes - 1}, r"classes\[1\]: expected 0 or more, got -1"),
    "a mask of another picture": (
        lambda s: {"masks": (None, Rle.from_mask(np.eye(3)))},
        r"masks\[1\]: expected 20 x 30 pixels, got 3 x 3",
    ),
    "one mask too many": (lambda s: {"masks": (None,) * 3}, "masks: expected 2"),
    "a visibility of 3": (lambda s: {"keypoints": np.full((2, 1, 3), 3, np.float32)}, r"keypoints\[0\].*0, 1 or 2"),
    "a negative area": (lambda s: {"areas": -s.areas}, r"areas\[0\]: expected 0 or more"),
    "no pixels": (lambda s: {"height": 0}, "size"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused(sample: Sample, name: str) -> None:
    change, words = WRONG[name]
    with pytest.raises(UsageError, match=words) as caught:
        replace(sample, **change(sample))
    assert str(caught.value).startswith("a.jpg: ")
