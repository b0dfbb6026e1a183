"""Pictures as files: which are written, what they are called, and that nothing is left half done."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convatlas.data.picture_set import ArrayReader, PictureSet
from convatlas.data.samples import write_samples
from convatlas.data.source import open_pictures
from convatlas.errors import DataError, SaveError, UsageError
from tests.engine.bundles import disk_that_takes

Put = Callable[..., Path]


def a_set(targets: object, classes: tuple[str, ...], channels: int = 1) -> PictureSet:
    """Picture i is of the grey value i all over."""
    labels = np.array(targets)
    pixels = np.arange(len(labels), dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(5, 2).repeat(channels, 3)
    return PictureSet(
        origin="here",
        classes=classes,
        names=tuple(str(i) for i in range(len(labels))),
        targets=labels,
        read=ArrayReader(pixels),
    )


def value(path: Path) -> int:
    """The grey value of a written picture, which says which one it is."""
    with Image.open(path) as image:
        return int(np.asarray(image).flat[0])


def test_classes_come_in_turn_until_there_are_enough(tmp_path: Path) -> None:
    pictures = a_set([0] * 6 + [1] + [2] * 3, ("ant", "bee", "cat"))
    samples = write_samples(pictures, tmp_path / "out", count=8)
    assert [path.name for path in samples.paths] == [
        "000-ant.png",
        "001-bee.png",
        "002-cat.png",
        "003-ant.png",
        "004-cat.png",
        "005-ant.png",
        "006-cat.png",
        "007-ant.png",
    ]
    assert samples.skipped == ()
    assert sorted((tmp_path / "out").iterdir()) == list(samples.paths)
    assert len({value(path) for path in samples.paths}) == 8, "no picture twice"
    assert all(pictures.labels(value(path)) == (path.stem[4:],) for path in samples.paths)


def test_fewer_pictures_than_asked_for(tmp_path: Path) -> None:
    assert len(write_samples(a_set([0, 1], ("a", "b")), tmp_path / "out", count=99).paths) == 2


def test_the_seed_draws(tmp_path: Path) -> None:
    pictures = a_set([0] * 50, ("a",))
    drawn = [
        [value(path) for path in write_samples(pictures, tmp_path / str(i), count=5, seed=seed).paths]
        for i, seed in enumerate((0, 0, 1))
    ]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_pixels_are_kept_as_they_are(tmp_path: Path, channels: int, mode: str) -> None:
    (path,) = write_samples(a_set([0], ("a",), channels), tmp_path / "out").paths
    with Image.open(path) as image:
        assert (image.format, image.mode, image.size) == ("PNG", mode, (5, 4))


def test_labels_of_several_classes_and_pictures_without_one(tmp_path: Path) -> None:
    targets = np.array([[0, 0], [0, 0], [1, 1], [0, 1], [1, 0]], np.uint8)
    samples = write_samples(a_set(targets, ("cat", "on a sofa")), tmp_path / "out", count=3)
    # The first class is in turn first, those without any last: a picture without a label is no "cat".
    assert [path.stem[4:] for path in samples.paths][1:] == ["on_a_sofa", "none"]
    assert value(samples.paths[0]) in (2, 4)


@pytest.mark.parametrize(
    ("label", "name"), [("a/b:c*?", "a_b_c__"), ("猫", "猫"), ("x" * 300, "x" * 50), ("..", "__"), ("a\nb", "a_b")]
)
def test_class_names_become_safe_file_names(tmp_path: Path, label: str, name: str) -> None:
    (path,) = write_samples(a_set([0], (label,)), tmp_path / "out", count=1).paths
    assert path == tmp_path / "out" / f"000-{name}.png"


def test_the_next_of_a_class_stands_in_for_one_that_cannot_be_read(put: Put, tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        for number in range(6):
            put(f"photos/{label}/{number}.png")
    for number in range(5):
        (tmp_path / "photos" / "cat" / f"{number}.png").write_bytes(b"damaged")
    samples = write_samples(open_pictures(tmp_path / "photos"), tmp_path / "out", count=4)
    assert [path.name for path in samples.paths] == ["000-cat.png", "001-dog.png", "002-dog.png", "003-dog.png"]
    assert sorted(failure.source for failure in samples.skipped) == [f"cat/{number}.png" for number in range(5)]
    assert all(failure.reason for failure in samples.skipped)


def test_no_readable_picture_at_all(put: Put, tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        put(f"photos/{label}/1.png").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"not one of 2 pictures can be read \(cat/1\.png: "):
        write_samples(open_pictures(tmp_path / "photos"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_leaves_nothing_half_filled(tmp_path: Path) -> None:
    chance = np.random.default_rng(0).integers(0, 256, (3, 60, 60), np.uint8)
    pictures = PictureSet(
        origin="x", classes=("a",), names=("0", "1", "2"), targets=np.zeros(3, np.int64), read=ArrayReader(chance)
    )
    with disk_that_takes(2000), pytest.raises(SaveError, match="out: could not be written"):
        write_samples(pictures, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_places_that_are_taken(tmp_path: Path) -> None:
    pictures = a_set([0, 1], ("a", "b"))
    (tmp_path / "empty").mkdir()
    assert len(write_samples(pictures, tmp_path / "empty").paths) == 2
    with pytest.raises(UsageError, match="empty: is not empty; name a new folder with --out"):
        write_samples(pictures, tmp_path / "empty")
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(SaveError, match="file: is a file"):
        write_samples(pictures, tmp_path / "file")
    with pytest.raises(UsageError, match="count: expected at least 1, got 0"):
        write_samples(pictures, tmp_path / "new", count=0)
