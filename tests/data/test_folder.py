from collections.abc import Callable
from pathlib import Path

import pytest

from convatlas.data.folder import list_folder
from convatlas.data.pictures import printable
from convatlas.errors import DataError

pytestmark = pytest.mark.row("C-10")
Put = Callable[..., Path]


def test_one_folder_of_class_folders(put: Put, tmp_path: Path) -> None:
    for name in ("dog/2.PNG", "cat/b.jpg", "cat/a.webp", "dog/deep/er/1.tiff"):
        put(name)
    pictures, given = list_folder(tmp_path).to_pictures()
    assert given is None
    assert pictures.classes == ("cat", "dog")
    assert pictures.names == ("cat/a.webp", "cat/b.jpg", "dog/2.PNG", "dog/deep/er/1.tiff")
    assert pictures.targets.tolist() == [0, 0, 1, 1]
    assert pictures.read(2).shape == (10, 12, 3)
    assert pictures.origin == str(tmp_path)


def test_classes_are_in_the_order_of_imagefolder(put: Put, tmp_path: Path) -> None:
    # torchvision sorts names as Python sorts strings: capitals first, 10 before 2, accents last.
    names = ["b", "A", "2", "10", "a", "é", "_x"]
    for name in names:
        put(f"{name}/1.png")
    expected = ("10", "2", "A", "_x", "a", "b", "é")
    assert list_folder(tmp_path).classes == expected == tuple(sorted(names))


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Valid"])
def test_split_folders(put: Put, tmp_path: Path, val: str) -> None:
    for part in ("train", val, "test"):
        put(f"{part}/cat/1.png")
        put(f"{part}/dog/1.png")
    pictures, given = list_folder(tmp_path).to_pictures()
    assert pictures.classes == ("cat", "dog")
    assert given == ("train", "train", "val", "val", "test", "test")
    assert pictures.names[2] == f"{val}/cat/1.png"


def test_train_alone_is_a_part_when_it_holds_class_folders(put: Put, tmp_path: Path) -> None:
    put("train/cat/1.png")
    put("train/dog/1.png")
    listing = list_folder(tmp_path)
    assert listing.splits == ("train",)
    assert listing.classes == ("cat", "dog")


def test_train_may_be_a_class(put: Put, tmp_path: Path) -> None:
    for name in ("train", "bus", "tram"):
        put(f"{name}/1.png")
    listing = list_folder(tmp_path)
    assert listing.splits == ()
    assert listing.classes == ("bus", "train", "tram")


def test_what_systems_leave_behind_is_passed_over(put: Put, tmp_path: Path) -> None:
    put("cat/1.png")
    put("dog/1.png")
    for name in ("cat/.hidden.png", ".cache/1.png", "__MACOSX/cat/1.png", "cat/.thumbs/1.png"):
        put(name)
    for name in ("Thumbs.db", "cat/.DS_Store", "dog/desktop.ini"):
        (tmp_path / name).write_bytes(b"x")
    for name in ("notes.txt", "cat/labels.json", "dog/video.mp4"):
        (tmp_path / name).write_bytes(b"x")
    listing = list_folder(tmp_path)
    assert listing.faults == listing.notes == ()
    assert listing.names == ("cat/1.png", "dog/1.png")
    assert listing.ignored == 3


def test_pictures_beside_class_folders_are_noted(put: Put, tmp_path: Path) -> None:
    for name in ("cat/1.png", "dog/1.png", "loose.png"):
        put(name)
    listing = list_folder(tmp_path)
    assert listing.faults == ()
    assert "1 pictures lie directly in" in listing.notes[0]


def test_other_folders_beside_train_are_noted(put: Put, tmp_path: Path) -> None:
    for name in ("train/cat/1.png", "train/dog/1.png", "test/cat/1.png", "test/dog/1.png", "extra/cat/1.png", "x.png"):
        put(name)
    notes = list_folder(tmp_path).notes
    assert '"extra"' in notes[0]
    assert "1 pictures lie directly in" in notes[1]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), "holds no class folder"),
        (("1.png", "2.png"), "2 pictures lie directly in it; put those of each class into a folder of its own"),
        (("cat/1.png",), 'has one class folder only, "cat"; two or more are needed$'),
        (
            ("photos/cat/1.png", "photos/dog/1.png"),
            "one class folder only.*if the classes lie inside it, name .*photos",
        ),
        (("train/1.png", "test/2.png"), "train: 1 pictures lie directly in it"),
        (("train/cat/1.png", "train/dog/1.png", "test/2.png"), "test: 1 pictures lie directly in it"),
        (("val/cat/1.png", "test/cat/1.png"), 'has "test", "val" but no folder train'),
        (
            ("train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "valid/cat/1.png", "val/dog/1.png"),
            '"val", "valid" both name the val part',
        ),
        (
            ("train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "val/cow/1.png"),
            r'train: has no folder for "cow".*\(1 more: `convatlas data check',
        ),
    ],
)
def test_faults_say_what_to_do(put: Put, tmp_path: Path, names: tuple[str, ...], words: str) -> None:
    for name in names:
        put(name)
    with pytest.raises(DataError, match=words) as caught:
        list_folder(tmp_path).to_pictures()
    assert str(caught.value).startswith(str(tmp_path))


def test_an_empty_class_folder_is_named(put: Put, tmp_path: Path) -> None:
    put("cat/1.png")
    put("dog/1.png")
    (tmp_path / "cow").mkdir()
    (tmp_path / "cow" / "readme.txt").touch()
    with pytest.raises(DataError, match="cow: the class folder holds no picture"):
        list_folder(tmp_path).to_pictures()


def test_all_faults_are_listed_at_once(put: Put, tmp_path: Path) -> None:
    put("train/cat/1.png")
    put("val/dog/1.png")
    (tmp_path / "train" / "cow").mkdir()
    assert len(list_folder(tmp_path).faults) == 3  # an empty cow, no train/dog, no val/cat and val/cow


def test_a_missing_folder_and_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none: there is no such folder"):
        list_folder(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file: is a file; expected a folder"):
        list_folder(tmp_path / "file")


def test_links_are_followed_but_never_in_circles(put: Put, tmp_path: Path) -> None:
    put("photos/cat/1.png")
    put("elsewhere/1.png")
    (tmp_path / "photos" / "dog").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "photos" / "cat" / "up").symlink_to(tmp_path / "photos", target_is_directory=True)
    (tmp_path / "photos" / "cat" / "self").symlink_to(tmp_path / "photos" / "cat", target_is_directory=True)
    assert list_folder(tmp_path / "photos").names == ("cat/1.png", "dog/1.png")


def test_names_in_another_encoding_become_valid_text() -> None:
    assert printable(Path("cat/caf\udce9.png")).encode("utf-8").endswith(b"caf\\udce9.png")
    assert printable("é") == "é"
