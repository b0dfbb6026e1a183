"""Folders of many files and of odd ones: the same pictures as a slow walk finds, in little memory."""

import os
import pickle
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convatlas.data.folder import list_folder
from convatlas.data.picture_set import FileReader
from convatlas.data.pictures import PICTURE_SUFFIXES, printable
from convatlas.data.source import open_data, open_pictures

CLASSES, OF_EACH = 20, 1000


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20,000 empty files with names as long as ImageNet's."""
    root = tmp_path_factory.mktemp("many")
    for label in range(CLASSES):
        folder = root / f"n{label:08}"
        folder.mkdir()
        for number in range(OF_EACH):
            os.close(os.open(f"{folder}/{folder.name}_{number}.JPEG", os.O_CREAT | os.O_WRONLY))
    return root


def walked(root: Path) -> Iterator[tuple[Path, str]]:
    """Every picture and its class, by the slow way: pathlib's own walk, each name asked for by itself."""
    for path in root.rglob("*"):
        parts = path.relative_to(root).parts
        passed_over = any(part.startswith(".") or part.lower() in ("thumbs.db", "__macosx") for part in parts)
        if len(parts) > 1 and not passed_over and path.suffix.lower() in PICTURE_SUFFIXES and not path.is_dir():
            yield path, parts[0]


def in_order(root: Path, path: Path) -> tuple[tuple[bool, str], ...]:
    """Within a folder its pictures stand before its folders, both by name."""
    *folders, file = path.relative_to(root).parts
    return (*((True, name) for name in folders), (False, file))


def check_against_walk(root: Path) -> None:
    expected = sorted(walked(root), key=lambda found: in_order(root, found[0]))
    listing = list_folder(root)
    assert listing.names == tuple(printable(path.relative_to(root).as_posix()) for path, _ in expected)
    assert [label for (label,) in listing.labels] == [printable(label) for _, label in expected]
    assert list(listing.classes) == sorted(printable(each.name) for each in root.iterdir() if shown_folder(each))
    pictures = listing.pictures()
    assert [pictures.classes[target] for target in pictures.targets] == [printable(label) for _, label in expected]
    assert isinstance(pictures.read, FileReader)
    assert [pictures.read.path(index) for index in range(len(pictures))] == [path for path, _ in expected]


def shown_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".") and path.name.lower() != "__macosx"


NAMES = ("a", "B", "10", "2", "é", "x.png", ".h", "__MACOSX", "sp ace", "a-b")
FILES = ("1.png", "10.PNG", "2.JpEg", "z.tar.gif", ".png", "no", "png", "é.webp", "t.tiff.txt", "Thumbs.db", "..bmp")
paths = st.tuples(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=2), st.sampled_from(FILES))


@given(found=st.lists(paths, max_size=25, unique_by=str), empty=st.lists(st.sampled_from(NAMES), max_size=2))
@settings(max_examples=40, deadline=None)
def test_any_tree_is_listed_as_a_slow_walk_finds_it(
    tmp_path_factory: pytest.TempPathFactory, found: list[tuple[str, list[str], str]], empty: list[str]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    for name in ("keep", *empty):  # at least one class: without, nothing can be read
        (root / name).mkdir(exist_ok=True)
    for label, inner, file in found:
        folder = root.joinpath(label, *inner)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    check_against_walk(root)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse names that are not text")
def test_names_in_another_encoding_are_listed_and_found_again(tmp_path: Path) -> None:
    for name in (b"caf\xe9/1.png", b"tea/\xff.png", b"tea/2.png"):
        path = tmp_path / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    check_against_walk(tmp_path)
    pictures = open_pictures(tmp_path)
    assert pictures.names == ("caf\\udce9/1.png", "tea/2.png", "tea/\\udcff.png")
    assert isinstance(pictures.read, FileReader)
    assert all(pictures.read.path(index).exists() for index in range(3))


def test_links_to_files_to_folders_to_nothing_and_in_circles(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("cat/1.png", "cat/in/2.png", "dog/3.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "4.png").touch()
    (root / "cow").symlink_to(outside, target_is_directory=True)
    (root / "dog" / "linked.jpg").symlink_to(root / "cat" / "1.png")
    (root / "dog" / "gone.jpg").symlink_to(tmp_path / "nothing")
    (root / "dog" / "loop.gif").symlink_to(root / "dog" / "loop.gif")
    (root / "cat" / "in" / "up").symlink_to(root, target_is_directory=True)
    (root / "cat" / "in" / "here").symlink_to(root / "cat" / "in", target_is_directory=True)
    (root / "cat" / "beside").symlink_to(root / "dog", target_is_directory=True)
    # A folder that is reached twice, but in no circle, is listed twice.
    twice = ("gone.jpg", "linked.jpg", "loop.gif", "3.png")
    assert list_folder(root).names == (
        "cat/1.png",
        *(f"cat/beside/{name}" for name in sorted(twice)),
        "cat/in/2.png",
        "cow/deep/4.png",
        *(f"dog/{name}" for name in sorted(twice)),
    )


def test_a_file_of_many_takes_little_memory(many: Path) -> None:
    open_data(many)  # what is imported and cached once
    tracemalloc.start()
    try:
        data = open_data(many)
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    count = CLASSES * OF_EACH
    assert len(data.train) + len(data.val) + len(data.test or ()) == count
    # Its name is 76 bytes; the rest are references and numbers of 8. A Path a file, or a list, would pass a bound.
    assert kept / count < 130
    assert most / count < 350


def test_a_worker_is_sent_each_name_once(many: Path) -> None:
    train = open_data(many).train
    sent = pickle.dumps(train.read, protocol=pickle.HIGHEST_PROTOCOL)
    assert len(sent) < CLASSES * OF_EACH * 45 + 8 * len(train)  # a name has 26 or so letters
    together = pickle.dumps((train.read, train.names), protocol=pickle.HIGHEST_PROTOCOL)
    assert len(together) < len(sent) + 6 * len(train), "the names are those of the files, not copies"
    again = pickle.loads(sent)
    for index in (0, 99):
        assert again.reader.path(again.indices[index]) == many / train.names[index]
