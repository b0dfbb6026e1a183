import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convatlas.data.check import DataReport, check_data
from convatlas.errors import DataError
from tests.data.test_idx import write_part

Put = Callable[..., Path]


@pytest.fixture
def photos(put: Put, tmp_path: Path) -> Path:
    for label in ("cat", "dog"):
        for number in range(10):
            put(f"photos/{label}/{number}.png")
    return tmp_path / "photos"


def found(report: DataReport, severity: str) -> list[str]:
    return [finding.text for finding in report.findings if finding.severity == severity]


def cases(report: DataReport, words: str) -> tuple[str, ...]:
    (finding,) = [finding for finding in report.findings if words in finding.text]
    return finding.cases


def test_a_sound_folder(photos: Path, put: Put) -> None:
    put("photos/dog/10.png", size=(40, 6))
    (photos / "notes.txt").touch()
    told = []
    report = check_data(photos, progress=lambda done, total: told.append((done, total)))
    assert report.usable
    assert report.findings == ()
    assert report.classes == ("cat", "dog")
    assert report.counts == {"all": {"cat": 10, "dog": 11}}
    assert (report.pictures, report.readable, report.ignored) == (21, 21, 1)
    assert report.width is not None
    assert report.height is not None
    assert (report.width.smallest, report.width.median, report.width.largest) == (12, 12, 40)
    assert (report.height.smallest, report.height.median, report.height.largest) == (6, 10, 10)
    assert report.modes == {"RGB": 21}
    assert report.formats == {"PNG": 21}
    assert told == [(number, 21) for number in range(1, 22)]
    assert json.loads(json.dumps(report.to_dict()))["usable"] is True


def test_unreadable_pictures_are_warned_of_with_their_reasons(photos: Path) -> None:
    (photos / "cat" / "empty.png").touch()
    (photos / "cat" / "text.jpg").write_text("no picture")
    whole = (photos / "dog" / "1.png").read_bytes()
    (photos / "dog" / "half.png").write_bytes(whole[: len(whole) // 2])
    report = check_data(photos)
    assert report.usable
    assert (report.pictures, report.readable) == (23, 20)
    reasons = cases(report, "cannot be read")
    assert [case.split(":")[0] for case in reasons] == ["cat/empty.png", "cat/text.jpg", "dog/half.png"]
    assert "is empty" in reasons[0]
    assert "is not a picture" in reasons[1]


def test_wrong_suffix_and_animation(photos: Path) -> None:
    shutil.move(photos / "cat" / "1.png", photos / "cat" / "1.jpeg")
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "lime")]
    frames[0].save(photos / "dog" / "moving.gif", save_all=True, append_images=frames[1:])
    report = check_data(photos)
    assert report.usable
    assert cases(report, "does not fit the content") == ("cat/1.jpeg: is PNG",)
    assert cases(report, "more than one frame") == ("dog/moving.gif",)


def test_duplicates_within_a_class_warn_and_between_classes_err(photos: Path) -> None:
    shutil.copy(photos / "cat" / "1.png", photos / "cat" / "again.png")
    report = check_data(photos)
    assert report.usable
    assert cases(report, "more than once in a class") == ("cat/1.png = cat/again.png",)
    shutil.copy(photos / "cat" / "2.png", photos / "dog" / "not_a_dog.png")
    report = check_data(photos)
    assert not report.usable
    assert cases(report, "under different classes") == ("cat/2.png = dog/not_a_dog.png",)


def test_unreadable_copies_are_no_duplicates(photos: Path) -> None:
    for label in ("cat", "dog"):
        (photos / label / "broken.png").write_bytes(b"the same damage")
    assert check_data(photos).usable


def test_the_same_picture_in_two_parts_is_an_error(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "data" / "train")
    for label in ("cat", "dog"):
        (tmp_path / "data" / "test" / label).mkdir(parents=True)
        shutil.copy(photos / label / "3.png", tmp_path / "data" / "test" / label / "other_name.png")
    report = check_data(tmp_path / "data")
    assert not report.usable
    assert report.counts == {"train": {"cat": 10, "dog": 10}, "test": {"cat": 1, "dog": 1}}
    assert cases(report, "in two parts") == (
        "train/cat/3.png = test/cat/other_name.png",
        "train/dog/3.png = test/dog/other_name.png",
    )


def test_too_few_pictures(photos: Path, put: Put) -> None:
    put("photos/cow/1.png")
    (photos / "cow" / "2.png").touch()
    for number in range(3):
        put(f"photos/fox/{number}.png")
    report = check_data(photos)
    assert not report.usable
    assert cases(report, "fewer than 2") == ("cow: 1 of 2",)
    assert cases(report, "fewer than 10") == ("fox: 3 of 3",)


def test_copies_do_not_make_a_class_larger(photos: Path, put: Put) -> None:
    put("photos/cow/1.png", seed=1)
    put("photos/cow/2.png", seed=1)
    assert cases(check_data(photos), "fewer than 2") == ("cow: 1 of 2",)


def test_imbalance(photos: Path, put: Put) -> None:
    for number in range(111):
        put(f"photos/fox/{number}.png", size=(3, 2))
    texts = found(check_data(photos), "warning")
    assert texts == ["classes of very different size: fox 111, cat 10; weight the classes"]


def test_a_val_class_that_cannot_be_read(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "data" / "train")
    for label in ("cat", "dog"):
        (tmp_path / "data" / "val" / label).mkdir(parents=True)
    Image.new("RGB", (5, 5)).save(tmp_path / "data" / "val" / "cat" / "v.png")
    (tmp_path / "data" / "val" / "dog" / "v.png").touch()
    assert found(check_data(tmp_path / "data"), "error") == ['no readable picture in val of "dog"']


def test_all_faults_in_one_pass_even_where_training_would_stop_at_the_first(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "data" / "train")
    data = tmp_path / "data"
    (data / "train" / "empty").mkdir()
    (data / "val" / "cat").mkdir(parents=True)
    shutil.copy(photos / "cat" / "1.png", data / "val" / "cat" / "1.png")
    (data / "val" / "cat" / "2.png").write_bytes(b"damaged")
    report = check_data(data)
    errors = found(report, "error")
    assert any("empty: the class folder holds no picture" in text for text in errors)
    assert any('val: has no folder for "dog", "empty"' in text for text in errors)
    assert any("in two parts" in text for text in errors)
    assert cases(report, "cannot be read")[0].startswith("val/cat/2.png: ")
    order = [finding.severity for finding in report.findings]
    assert order == sorted(order)


@pytest.mark.parametrize("name", ["only/1.png", "1.png"])
def test_one_class_or_none(put: Put, tmp_path: Path, name: str) -> None:
    put(f"photos/{name}")
    report = check_data(tmp_path / "photos")
    assert not report.usable
    json.dumps(report.to_dict())


def test_an_empty_folder(tmp_path: Path) -> None:
    report = check_data(tmp_path)
    assert not report.usable
    assert report.pictures == 0
    with pytest.raises(DataError, match="there is no such"):
        check_data(tmp_path / "none")


def test_a_manifest_with_bad_lines_and_missing_files(photos: Path) -> None:
    path = photos.parent / "list.csv"
    rows = [f"photos/{label}/{number}.png,{label}" for label in ("cat", "dog") for number in range(10)]
    path.write_text("path,label\n" + "\n".join([*rows, "gone.png,cat", ",dog", "photos/cat/1.png,dog"]))
    report = check_data(path)
    assert [text.split(": ")[0].split(", ")[1] for text in found(report, "error")] == ["line 23", "line 24"]
    assert cases(report, "cannot be read") == ("gone.png: there is no such file",)


def test_a_manifest_with_several_labels(photos: Path) -> None:
    path = photos.parent / "list.csv"
    rows = [f"photos/{label}/{n}.png,{label if n else ''}" for label in ("cat", "dog") for n in range(10)]
    path.write_text("path,labels\n" + "\n".join(rows))
    report = check_data(path)
    assert report.usable
    assert report.counts == {"all": {"cat": 9, "dog": 9}}


def test_a_class_that_train_lacks(photos: Path) -> None:
    path = photos.parent / "list.csv"
    rows = [
        f"photos/{label}/{n}.png,{label},{'train' if label == 'cat' else 'val'}"
        for label in ("cat", "dog")
        for n in range(10)
    ]
    path.write_text("path,label,split\n" + "\n".join(rows))
    assert 'no readable picture in train of "dog"' in found(check_data(path), "error")


def test_idx_files(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (24, 5, 4), np.uint8)
    write_part(tmp_path, "train", pictures, [0, 1] * 12)
    write_part(tmp_path, "t10k", pictures[:2], [0, 0])
    report = check_data(tmp_path)
    assert not report.usable
    assert cases(report, "in two parts") == ("train[0] = t10k[0]", "train[1] = t10k[1]")
    assert cases(report, "under different classes") == ("train[1] = t10k[1]",)
    assert report.modes == {"L": 24 + 2}


def test_the_digits_are_sound() -> None:
    report = check_data("digits")
    assert report.usable
    assert report.findings == ()
    assert report.counts["test"]["7"] == 100
