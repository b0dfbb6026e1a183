"""A small site with all of the words, and its pages as a parser reads them."""

import functools
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

from convatlas.api.atlas import build_atlas

NETWORKS = ("lenet5", "googlenet", "resnet50")
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
# What a browser fetches by itself, beside what a reader follows.
FETCHING = {"src", "srcset", "data", "poster", "action", "formaction", "background", "xlink:href"}


def small_site(factory: pytest.TempPathFactory) -> Path:
    """Three networks and every concept, question and list; in two processes."""
    folder = factory.mktemp("atlas") / "site"
    build_atlas(folder, networks=NETWORKS, workers=2)
    return folder


@dataclass
class Element:
    """A tag with its attributes, and the tags that it is within."""

    tag: str
    attributes: dict[str, str]
    within: tuple[str, ...]
    line: int


@dataclass
class Page(HTMLParser):
    """What stands on a page. wrong: tags that are not closed as they were opened, and attributes given twice."""

    text: str
    elements: list[Element] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[str] = []
        self.feed(self.text)
        self.close()
        self.wrong += [f"<{tag}> is never closed" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._seen(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._seen(tag, attrs)
        if tag not in VOID and "svg" not in self._open and tag != "svg":
            self.wrong.append(f"line {self.getpos()[0]}: <{tag}/> does not close itself in HTML")

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            self.wrong.append(f"line {self.getpos()[0]}: </{tag}> where {self._open[-1:]} is open")
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def _seen(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(set(names)) < len(names):
            self.wrong.append(f"line {self.getpos()[0]}: <{tag}> has an attribute twice")
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append(Element(tag, attributes, tuple(self._open), self.getpos()[0]))

    def all(self, *tags: str) -> list[Element]:
        """The elements of these tags."""
        return [each for each in self.elements if each.tag in tags]

    def ids(self) -> list[str]:
        """In order."""
        return [each.attributes["id"] for each in self.elements if "id" in each.attributes]


def pages(folder: Path) -> dict[str, Page]:
    """Address -> page, of every page of a site."""
    return {path.relative_to(folder).as_posix(): read(path) for path in sorted(folder.rglob("*.html"))}


@functools.cache
def read(path: Path) -> Page:
    """A page."""
    return Page(path.read_text(encoding="utf-8"))


def without_pictures(text: str) -> str:
    """The page's text without its SVG."""
    return re.sub(r"<svg\b.*?</svg>", "", text, flags=re.DOTALL)


def pictures(text: str) -> list[str]:
    """The SVG elements of a page."""
    return re.findall(r"<svg\b.*?</svg>", text, flags=re.DOTALL)
