"""The page of pictures with their objects: told to those who cannot see it, and safe whatever files call things."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from convatlas.data.detection.object_set import ObjectSet
from convatlas.data.detection.sheet import draw_some
from convatlas.data.picture_set import ArrayReader
from convatlas.report.objects_page import objects_page
from convatlas.types import Sample

pytestmark = pytest.mark.row("C-10")


class Elements(HTMLParser):
    """All elements of a page with their attributes, and which of them were left open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for each, attributes in self.found if each == tag]


@pytest.fixture
def page() -> str:
    """Three pictures, one of whose names is hostile; of two classes, one of which is."""
    names = ("a.png", "<script>x</script>.png", "c.png")
    samples = [
        Sample(
            name=name,
            height=40,
            width=60,
            boxes=np.array([[1, 2, 30.5, 20]], np.float32)[: index != 2],
            classes=np.array([index])[: index != 2],
        )
        for index, name in enumerate(names)
    ]
    objects = ObjectSet(
        origin="a & b",
        format="coco",
        classes=("cat", '"><img src=x>'),
        names=names,
        splits=(None, None, None),
        read=ArrayReader(np.zeros((3, 40, 60, 3), np.uint8)),
        truth=lambda index: samples[index],
        warnings=("a \x1b warning",),
    )
    return objects_page(objects, draw_some(objects))


def test_each_picture_has_a_name_of_its_own_and_its_words_stand_once(page: str) -> None:
    elements = Elements(page)
    assert [each["alt"] for each in elements.all("img")] == [
        "a.png, its objects drawn",
        "<script>x</script>.png, its objects drawn",
        "c.png, its objects drawn",
    ]
    assert page.count("1 object: cat (1)") == 1
    summaries = re.findall(r"<summary>(.*?)</summary>", page)
    assert len(summaries) == len(set(summaries)) == 2  # the third has no object
    assert "(a.png)" in summaries[0]


def test_tables_are_groups_and_no_landmarks(page: str) -> None:
    elements = Elements(page)
    scrolled = [each for each in elements.all("div") if each.get("tabindex") == "0"]
    assert [(each["role"], each["aria-label"]) for each in scrolled] == [
        ("group", "Objects of a.png"),
        ("group", "Objects of <script>x</script>.png"),
    ]
    assert [each for _, each in elements.found if each.get("role") == "region"] == []
    assert len(elements.all("main")) == 1
    assert elements.open == []


def test_nothing_of_a_name_is_markup_and_nothing_is_loaded(page: str) -> None:
    elements = Elements(page)
    assert elements.all("script") == []
    assert all(str(each["src"]).startswith("data:") for each in elements.all("img"))
    assert "\x1b" not in page
    assert "<td>1, 2, 30.5, 20</td>" in page
