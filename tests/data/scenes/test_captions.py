"""What captions say is so: read again by a parser of their words and held against masks by brute force."""

import re
from collections import Counter

import numpy as np
import pytest

from convatlas.data.scenes.captions import captions
from convatlas.data.scenes.scene import CLASSES, Scene, SceneConfig, compose

pytestmark = pytest.mark.row("C-10")

DIGIT = r"an? (\d)"
RELATION = "above|below|to the left of|to the right of|in the same place as"
NUMBERS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9}


def middle(scene: Scene, row: int) -> tuple[float, float]:
    """Of the pixels that are seen: half way between the first and the last, across and down."""
    rows, columns = np.nonzero(scene.instances == row + 1)
    return (columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2


def holds(words: str, one: tuple[float, float], other: tuple[float, float]) -> bool:
    across, down = one[0] - other[0], one[1] - other[1]
    return {
        "to the left of": across < 0 and abs(across) > abs(down),
        "to the right of": across > 0 and abs(across) > abs(down),
        "above": down < 0 and abs(down) >= abs(across),
        "below": down > 0 and abs(down) >= abs(across),
        "in the same place as": across == down == 0,
    }[words]


def counted(inventory: str) -> Counter[str]:
    """`a 1, two 4s and a 7` as counts."""
    counts: Counter[str] = Counter()
    for part in re.split(r", | and ", inventory):
        word, digit = part.split(" ")
        assert digit[0] in CLASSES and (digit.endswith("s") == (word not in ("a", "an")))
        counts[digit[0]] += 1 if word in ("a", "an") else NUMBERS.get(word) or int(word)
    return counts


def test_captions_of_scenes_are_true() -> None:
    said: Counter[str] = Counter()
    for index in range(150):
        scene = compose(index, config=SceneConfig(count=(1, 6), overlap=0.5))
        labels = [CLASSES[label] for label in scene.sample.classes]
        first, second, inventory = scene.captions
        assert counted(inventory) == Counter(labels)
        if len(labels) == 1:
            x, y = middle(scene, 0)
            place = re.fullmatch(rf"{DIGIT} (.*)", first)
            assert place is not None and place[1] == labels[0]
            assert second == f"{place[2]} there is {first.split(' at ')[0].split(' in ')[0]}"
            words = set(place[2].split()[2:])
            assert ("left" in words) == (x < 128 / 3) and ("right" in words) == (x >= 256 / 3)
            assert ("top" in words) == (y < 128 / 3) and ("bottom" in words) == (y >= 256 / 3)
            assert (place[2] == "in the middle") == (words == {"middle"})
            said["one"] += 1
            continue
        areas = [np.ptp(np.nonzero(scene.instances == row + 1), axis=1) + 1 for row in range(len(labels))]
        largest = sorted(range(len(labels)), key=lambda row: -int(areas[row].prod()))[:2]
        for caption, (one, other) in ((first, largest), (second, largest[::-1])):
            found = re.fullmatch(rf"{DIGIT} ({RELATION}) {DIGIT}", caption)
            assert found is not None, caption
            assert (found[1], found[3]) == (labels[one], labels[other])
            assert holds(found[2], middle(scene, one), middle(scene, other)), caption
            said[found[2]] += 1
    assert min(said[words] for words in ("one", "above", "below", "to the left of", "to the right of")) > 10


@pytest.mark.parametrize(
    ("classes", "boxes", "expected"),
    [
        ("37", [(10, 0, 30, 20), (8, 60, 28, 80)], ("a 3 above a 7", "a 7 below a 3", "a 3 and a 7")),
        (
            "37",
            [(70, 0, 90, 20), (8, 10, 28, 20)],
            ("a 3 to the right of a 7", "a 7 to the left of a 3", "a 3 and a 7"),
        ),
        (
            "18",
            [(20, 20, 40, 40), (10, 10, 50, 50)],
            ("an 8 in the same place as a 1", "a 1 in the same place as an 8", "a 1 and an 8"),
        ),
        ("8", [(40, 40, 60, 60)], ("an 8 in the middle", "in the middle there is an 8", "an 8")),
        ("8", [(0, 0, 20, 20)], ("an 8 at the top left", "at the top left there is an 8", "an 8")),
        ("4", [(40, 80, 60, 100)], ("a 4 at the bottom", "at the bottom there is a 4", "a 4")),
        ("4", [(90, 40, 100, 60)], ("a 4 at the right", "at the right there is a 4", "a 4")),
        (
            "47414",
            [(0, 0, 9, 9), (50, 0, 60, 10), (0, 90, 10, 100), (20, 20, 21, 21), (60, 60, 61, 61)],
            ("a 7 above a 4", "a 4 below a 7", "a 1, three 4s and a 7"),
        ),
    ],
)
def test_captions_by_hand(classes: str, boxes: list[tuple[float, ...]], expected: tuple[str, ...]) -> None:
    assert captions(classes, boxes, 100, 100) == expected  # type: ignore[arg-type]  # boxes of four each


def test_many_of_a_kind_are_counted_in_figures() -> None:
    assert captions("2" * 12, [(0.0, 0.0, 9.0, 9.0)] * 12, 50, 50)[2] == "12 2s"
