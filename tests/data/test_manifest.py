from collections.abc import Callable
from pathlib import Path

import pytest

from convatlas.data.manifest import list_manifest
from convatlas.errors import DataError

Put = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, put: Put) -> Callable[..., Path]:
    put("1.png")

    def write_text(text: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / "list.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_one_label(write: Callable[..., Path], encoding: str, newline: str) -> None:
    path = write(newline.join(["path,label", "1.png,dög", '"a, b.png",cat', "", "../up/x.png, cat "]), encoding)
    pictures, given = list_manifest(path).to_pictures()
    assert given is None
    assert pictures.classes == ("cat", "dög")
    assert pictures.names == ("1.png", "a, b.png", "../up/x.png")
    assert pictures.targets.tolist() == [1, 0, 0]
    assert pictures.read(0).shape == (10, 12, 3)


def test_several_labels_or_none(write: Callable[..., Path]) -> None:
    path = write("labels,path\nsofa; cat,1.png\n,2.png\ncat;cat,3.png\n")
    pictures, _ = list_manifest(path).to_pictures()
    assert pictures.multilabel
    assert pictures.classes == ("cat", "sofa")
    assert pictures.targets.tolist() == [[1, 1], [0, 0], [1, 0]]


def test_parts_in_any_order_with_columns_of_no_concern(write: Callable[..., Path]) -> None:
    path = write("width,Split,path,label\n1,train,1.png,a\n1,validation,2.png,b\n1,TEST,3.png,a\n1,train,4.png,b\n")
    _, given = list_manifest(path).to_pictures()
    assert given == ("train", "val", "test", "train")


def test_absolute_paths(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write(f"path,label\n{tmp_path / '1.png'},a\n./1.png,b\n")
    pictures, _ = list_manifest(path).to_pictures()
    assert pictures.names == (str(tmp_path / "1.png"), "1.png")
    assert pictures.read(0).shape == pictures.read(1).shape == (10, 12, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: expected a header `path,label`.*got: nothing"),
        ("1.png,cat\n2.png,dog\n", "line 1: expected a header"),
        ("path;label\n1.png;cat\n", "separated by commas, got: path;label"),
        ("path,label,labels\n", "line 1: expected a header"),
        ("path,label,path\n", '"path" stands twice'),
        ("path,label,splits\n", 'unknown column "splits".*Did you mean "split"'),
        ("path,label\n", "names no picture"),
        ("path,label\n1.png,a\n2.png\n", "line 3: has 1 cells; 2 are needed"),
        ("path,label\n1.png,a\n,b\n", "line 3: the path is empty"),
        ("path,label\n1.png,a\n2.png,\n", "line 3: the label is empty"),
        ("path,label\n1.png,a\n2.png,b\n1.png,b\n", "line 4: 1.png stands already in line 2"),
        ("path,label,split\n1.png,a,train\n2.png,b,dev\n", 'line 3: the split is "dev"; expected train, val or test'),
        ("path,label,split\n1.png,a,train\n2.png,b,\n", 'line 3: the split is ""'),
        ("path,label,split\n1.png,a,val\n2.png,b,test\n", 'never says "train"'),
        ("path,label\n1.png,a\n2.png,a\n", 'one class only, "a"'),
        ("path,labels\n1.png,\n", "names no class"),
        ("path,label\nx/1.png,a\nx/2.png,b\n", r"x.1\.png does not exist, nor do the next; paths are relative"),
        ('path,label\n1.png,"a\n', "line 2: is not CSV"),
        ("path,label\na\0b.png,a\n1.png,b\nno.png,", "line 4: the label is empty"),
    ],
)
def test_faults_name_file_and_line(write: Callable[..., Path], text: str, words: str) -> None:
    path = write(text)
    with pytest.raises(DataError, match=words) as caught:
        list_manifest(path).to_pictures()
    assert str(caught.value).startswith(str(path))


def test_text_in_another_encoding(write: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="is not UTF-8 text"):
        list_manifest(write("path,label\n1.png,dög\n", "latin-1"))


def test_all_faults_are_listed_at_once(write: Callable[..., Path]) -> None:
    listing = list_manifest(write("path,label\n1.png,a\n,b\n2.png,\n3.png,b\n"))
    assert [fault.split(", ")[1].split(":")[0] for fault in listing.faults] == ["line 3", "line 4"]
    assert len(listing.names) == 2


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        list_manifest(tmp_path / "none.csv")
