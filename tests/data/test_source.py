import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from convatlas.data.source import absolute_source, open_data, open_pictures, read_splits, recognise
from convatlas.errors import DataError, UsageError
from tests.data.test_idx import write_part

Put = Callable[..., Path]


@pytest.fixture
def photos(put: Put, tmp_path: Path) -> Path:
    for label in ("cat", "dog"):
        for number in range(10):
            put(f"photos/{label}/{number}.png")
    return tmp_path / "photos"


@pytest.mark.row("C-10")
def test_a_folder_is_split_by_seed(photos: Path) -> None:
    data = open_data(photos, seed=3, val=0.2, test=0.3)
    assert data.train.counts().tolist() == [5, 5]
    assert data.val.counts().tolist() == [2, 2]
    assert data.test is not None
    assert data.test.counts().tolist() == [3, 3]
    assert open_data(str(photos), seed=3, val=0.2, test=0.3).val.names == data.val.names
    whole = open_pictures(photos)
    assert set(data.train.names) | set(data.val.names) | set(data.test.names) == set(whole.names)
    index = whole.names.index(data.val.names[1])
    np.testing.assert_array_equal(data.val.read(1), whole.read(index))


@pytest.mark.row("C-10")
def test_the_split_does_not_depend_on_where_the_folder_lies(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "moved")
    assert open_data(photos).val.names == open_data(tmp_path / "moved").val.names


@pytest.mark.row("C-10")
def test_parts_that_the_folder_gives_stay(put: Put, tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        for number in range(4):
            put(f"train/{label}/{number}.png")
        put(f"valid/{label}/x.png")
    data = open_data(tmp_path, test=0.5)
    assert data.train.counts().tolist() == [4, 4]
    assert data.val.names == ("valid/cat/x.png", "valid/dog/x.png")
    assert data.test is None
    assert data.how == "train and val as the source gives them"


@pytest.mark.row("C-10")
def test_a_missing_val_is_taken_from_train(put: Put, tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        for number in range(10):
            put(f"train/{label}/{number}.png")
        put(f"test/{label}/x.png")
    data = open_data(tmp_path, val=0.2, seed=4)
    assert data.train.counts().tolist() == [8, 8]
    assert data.val.counts().tolist() == [2, 2]
    assert data.test is not None
    assert data.test.names == ("test/cat/x.png", "test/dog/x.png")
    assert data.how == "train and test as the source gives them; val is 20% of train, stratified, by seed 4"


@pytest.mark.row("C-10")
def test_a_class_with_one_picture(photos: Path, put: Put) -> None:
    put("photos/cow/1.png")
    with pytest.raises(DataError, match='class "cow" has one picture'):
        open_data(photos)


def test_the_digits_have_a_fixed_test_part() -> None:
    first, second = open_data("digits", seed=0, val=0.1), open_data("digits", seed=1, val=0.1)
    assert first.test is not None
    assert second.test is not None
    assert first.test.names == second.test.names
    assert (len(first.train), len(first.val), len(first.test)) == (3600, 400, 1000)
    assert first.val.names != second.val.names
    assert first.val.counts().tolist() == [40] * 10


def test_a_folder_named_digits_is_reached_as_a_path(put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put("digits/one/1.png")
    monkeypatch.chdir(tmp_path)
    assert recognise("digits") == "digits"
    assert recognise("./digits") == recognise(Path("digits")) == "folder"


def test_idx_files(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (20, 5, 4), np.uint8)
    write_part(tmp_path, "train", pictures, [0, 1] * 10)
    write_part(tmp_path, "t10k", pictures[:2], [1, 0])
    data = open_data(tmp_path, val=0.2)
    assert (len(data.train), len(data.val), len(data.test or ())) == (16, 4, 2)
    assert len(open_pictures(tmp_path)) == 22


def test_a_manifest(photos: Path) -> None:
    rows = [f"photos/{label}/{number}.png,{label}" for label in ("cat", "dog") for number in range(10)]
    path = photos.parent / "list.csv"
    path.write_text("path,label\n" + "\n".join(rows), encoding="utf-8")
    assert open_data(path, val=0.2, test=0).train.counts().tolist() == [8, 8]


def test_a_manifest_whose_test_has_a_class_of_its_own(photos: Path) -> None:
    path = photos.parent / "list.csv"
    rows = ["photos/cat/1.png,a,train", "photos/cat/2.png,b,val", "photos/cat/3.png,a,val", "photos/cat/4.png,a,train"]
    path.write_text("path,label,split\n" + "\n".join(rows), encoding="utf-8")
    with pytest.raises(DataError, match='no training picture of "b"'):
        open_data(path)


def test_a_recorded_split_is_read_again(photos: Path, put: Put) -> None:
    data = open_data(photos, seed=5)
    assert data.test is not None
    membership = {
        name: part
        for part, pictures in (("train", data.train), ("val", data.val), ("test", data.test))
        for name in pictures.names
    }
    put("photos/cat/new.png")
    again = read_splits(photos, membership)
    assert again.train.names == data.train.names
    assert again.val.names == data.val.names
    assert again.test is not None
    assert again.test.names == data.test.names
    assert again.train.targets.tolist() == data.train.targets.tolist()


def test_a_recorded_picture_that_is_gone(photos: Path) -> None:
    membership = dict.fromkeys(open_pictures(photos).names, "train")
    with pytest.raises(DataError, match="has no val pictures"):
        read_splits(photos, membership)
    (photos / "cat" / "3.png").unlink()
    with pytest.raises(DataError, match=r'1 pictures of the recorded split are gone: "cat/3\.png"'):
        read_splits(photos, membership)
    with pytest.raises(DataError, match='is "holdout"; expected one of train, val, test'):
        read_splits(photos, {"cat/1.png": "holdout"})


@pytest.mark.parametrize(
    ("source", "words"),
    [("nowhere", "nowhere: there is no such file or folder$"), ("digit", 'Did you mean "digits"'), ("", "is empty")],
)
def test_what_is_not_there(source: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((DataError, UsageError), match=words):
        open_data(source)


def test_a_file_of_another_kind(put: Put) -> None:
    with pytest.raises(DataError, match="is a file; expected a folder of class folders"):
        open_pictures(put("1.png"))


def test_fractions_are_checked_before_anything_is_read() -> None:
    with pytest.raises(UsageError, match=r"^val: "):
        open_data("nowhere", val=0)


def test_what_the_source_gives_is_said(photos: Path, put: Put, tmp_path: Path) -> None:
    assert open_data(photos).given == ()
    assert open_data("digits").given == ("train", "test")
    for part in ("train", "val", "test"):
        shutil.copytree(photos, tmp_path / "parts" / part)
        for number, path in enumerate((tmp_path / "parts" / part).rglob("*.png")):
            put(path.relative_to(tmp_path).as_posix(), seed=number + 1000 * len(part))
    assert open_data(tmp_path / "parts").given == ("train", "val", "test")
    shutil.rmtree(tmp_path / "parts" / "val")
    assert open_data(tmp_path / "parts").given == ("train", "test")


@pytest.mark.row("C-10")
def test_a_picture_in_two_parts_is_warned_of(put: Put, tmp_path: Path) -> None:
    for part, seed in (("train", 0), ("test", 100)):
        for label in ("cat", "dog"):
            for number in range(5):
                put(f"photos/{part}/{label}/{number}.png", seed=seed + number + 10 * len(part) * ord(label[0]))
    root = tmp_path / "photos"
    assert open_data(root).warnings == ()
    shutil.copy(root / "train" / "cat" / "1.png", root / "train" / "cat" / "again.png")
    assert open_data(root).warnings == (), "twice in one part flatters no score"

    shutil.copy(root / "train" / "cat" / "1.png", root / "test" / "cat" / "new.png")
    (warning,) = open_data(root).warnings
    assert warning == (
        "1 picture is in more than one part (train/cat/1.png = train/cat/again.png = test/cat/new.png): the score will "
        f"flatter; `convatlas data check {root}` lists them"
    )
    for number in range(4):
        shutil.copy(root / "train" / "dog" / f"{number}.png", root / "test" / "dog" / f"leak{number}.png")
    (warning,) = open_data(root).warnings
    assert warning.startswith("5 pictures are in more than one part (")
    assert ", 2 more): the score will flatter" in warning


def test_parts_that_are_made_by_seed_share_no_picture(put: Put, tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        for number in range(12):
            put(f"photos/{label}/{number}.png", seed=number // 2 + 100 * ord(label[0]))
    assert open_data(tmp_path / "photos").warnings == ()


def test_idx_parts_are_compared_too(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (20, 5, 4), np.uint8)
    write_part(tmp_path, "train", pictures, [0, 1] * 10)
    write_part(tmp_path, "t10k", pictures[:2], [0, 1])
    (warning,) = open_data(tmp_path).warnings
    assert warning.startswith("2 pictures are in more than one part (")


def test_what_is_recorded_of_a_source_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_source("digits") == "digits"
    assert absolute_source(Path("digits")) == absolute_source("./digits") == str(tmp_path.resolve() / "digits")
    assert absolute_source("photos") == str(tmp_path.resolve() / "photos")
    assert absolute_source("") == "", "an empty name is a fault, not this folder"
