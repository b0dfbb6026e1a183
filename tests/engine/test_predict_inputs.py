import io
import os
from pathlib import Path

import pytest

from convatlas.engine.predict import inputs
from convatlas.engine.predict.inputs import expand_paths
from convatlas.errors import UsageError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with pictures (empty files, for nothing decodes them here) and other files."""
    for name in (
        "cat.jpg",
        "photos/scan10.PNG",
        "photos/scan2.png",
        "photos/deep/er/a.webp",
        "photos/notes.txt",
        "photos/._scan2.png",
        "photos/.thumbnails/t.png",
        "no pictures/readme.md",
        "odd[1].jpg",
        "unnamed",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*patterns: str) -> list[str]:
    return [source.name.replace(os.sep, "/") for source in expand_paths(patterns)]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("cat.jpg", ["cat.jpg"]),
        ("unnamed", ["unnamed"]),  # a file that is named is taken whatever its suffix
        ("photos", ["photos/deep/er/a.webp", "photos/scan2.png", "photos/scan10.PNG"]),
        ("photos/*", ["photos/deep/er/a.webp", "photos/scan2.png", "photos/scan10.PNG"]),
        ("photos/*.png", ["photos/scan2.png"]),
        ("**/*.webp", ["photos/deep/er/a.webp"]),
        ("scan?.png", None),
        ("photos/scan[0-9].png", ["photos/scan2.png"]),
        ("odd[1].jpg", ["odd[1].jpg"]),  # a file that is there is no glob
    ],
)
@pytest.mark.usefixtures("here")
def test_what_is_meant(pattern: str, expected: list[str] | None) -> None:
    if expected is None:
        with pytest.raises(UsageError, match="matches no picture"):
            names(pattern)
    else:
        assert names(pattern) == expected


def test_order_is_as_named_and_none_comes_twice(here: Path) -> None:
    given = ["cat.jpg", "photos/scan10.PNG", "photos", "./cat.jpg", str(here / "cat.jpg")]
    assert names(*given) == ["cat.jpg", "photos/scan10.PNG", "photos/deep/er/a.webp", "photos/scan2.png"]


def test_one_picture_from_standard_input(here: Path) -> None:
    stream = io.BytesIO(b"a picture")
    sources = expand_paths(["-", "cat.jpg", "-"], stdin=stream)
    assert [(source.name, source.picture) for source in sources] == [("-", b"a picture"), ("cat.jpg", Path("cat.jpg"))]


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ([], "name at least one picture"),
        (["dog.jpg"], r"dog\.jpg: no such file or folder"),
        (["cat.jpg", "gone/"], "gone/: no such file or folder"),
        (["no pictures"], r"no pictures: holds no picture \(\.bmp, "),
        (["*.gif"], r"\*\.gif: matches no picture"),
        (["no pictures/*"], r"no pictures/\*: matches no picture"),
    ],
)
@pytest.mark.usefixtures("here")
def test_what_cannot_be_meant_is_named(patterns: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        expand_paths(patterns)


def test_nothing_or_too_much_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="nothing came from standard input"):
        expand_paths(["-"], stdin=io.BytesIO())
    monkeypatch.setattr(inputs, "MAX_STDIN", 4)
    with pytest.raises(UsageError, match="came from standard input"):
        expand_paths(["-"], stdin=io.BytesIO(b"12345"))
