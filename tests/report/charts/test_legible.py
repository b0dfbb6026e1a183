"""Every drawing of every chart at both sizes: no word on another or beyond the edge, none too small, no dot hidden."""

import functools
import itertools
import math
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from matplotlib.lines import Line2D

from convatlas.report.charts import detection, kinds, picture
from convatlas.report.charts.canvas import DARK, LIGHT, NARROW, TEXT, Box, Panel, beeswarm, own_style
from convatlas.report.charts.labels import Spot, place_labels
from convatlas.report.charts.picture import compose
from tests.report.charts.reading import drawn, marks, words

pytestmark = pytest.mark.row("I-01", "I-02", "I-03", "I-05", "F-07")

NAMES = [
    "timeline/timeline",
    "efficiency/macs",
    "efficiency/parameters",
    "efficiency/latency",
    "family-tree/family-tree",
    "detection/coco",
    "detection/voc",
    "detection/coco-speed",
    "detection/voc-speed",
    "initialisation/relu",
    "initialisation/tanh",
    "initialisation/dead",
]
SIZES = ("wide", "narrow")


@functools.cache
def panels() -> dict[str, Panel]:
    return {f"{kind}/{each.name}": each for kind in kinds.KINDS for each in kinds.panels(kind)}


def test_all_drawings_are_looked_at() -> None:
    assert list(panels()) == NAMES


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_no_word_lies_on_another_or_leaves_the_drawing(name: str, size: str) -> None:
    figure = drawn(panels()[name], size)
    width, height = figure.get_size_inches() * 72
    read = words(figure)
    assert len(read) >= 8
    for text, box in read:
        assert box.x0 >= -0.5 and box.x1 <= width + 0.5, text.get_text()
        assert box.y0 >= -0.5 and box.y1 <= height + 0.5, text.get_text()
        assert text.get_fontsize() >= 11
    for (one, first), (other, second) in itertools.combinations(read, 2):
        across = min(first.x1, second.x1) - max(first.x0, second.x0)
        down = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert across <= 0.5 or down <= 2.0, (one.get_text(), other.get_text())  # the boxes have room for accents


@pytest.mark.parametrize("name", NAMES)
def test_a_phone_shows_it_at_its_own_size(name: str) -> None:
    assert panels()[name].narrow[0] <= NARROW  # 390 pixels less the page's margins: text of 11.5 stays 11.5
    assert TEXT >= 11
    assert panels()[name].wide[0] <= 1040


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["detection/coco", "detection/voc"])
def test_no_dot_lies_on_another_by_year(name: str, size: str) -> None:
    figure = drawn(panels()[name], size)
    places = {key: line.get_transform().transform(line.get_xydata())[0] for key, line in marks(figure).items()}
    assert len(places) >= 20
    for (one, first), (other, second) in itertools.combinations(places.items(), 2):
        assert math.dist(first, second) >= 2 * detection._RADIUS, (one, other)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith(("detection", "efficiency"))])
def test_leaders_cross_no_word(name: str, size: str) -> None:
    figure = drawn(panels()[name], size)
    boxes = [(text.get_text(), box) for text, box in words(figure)]
    leaders = [line for line in figure.lines if isinstance(line, Line2D) and len(line.get_xdata()) == 2]
    for leader in leaders:
        (x0, y0), (x1, y1) = leader.get_transform().transform(leader.get_xydata())
        for step in range(1, 20):  # its end stands at its own label
            x, y = x0 + (x1 - x0) * step / 21, y0 + (y1 - y0) * step / 21
            inside = [label for label, box in boxes if box.x0 + 1 < x < box.x1 - 1 and box.y0 + 3 < y < box.y1 - 3]
            assert not inside, inside


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_nothing_is_cut_off_or_overlaps_in_a_file(kind: str) -> None:
    own = [panel for name, panel in panels().items() if name.startswith(f"{kind}/")]
    with own_style():
        figure = compose(own, LIGHT)
    width, height = figure.get_size_inches() * 72
    read = words(figure)
    for panel in own:
        assert panel.title in [text.get_text().replace("\n", " ") for text, _ in read]
    for text, box in read:
        assert box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height, text.get_text()


def test_colours_of_a_file_are_those_of_the_pages() -> None:
    css = (Path(picture.__file__).parents[1] / "templates" / "palette.css").read_text(encoding="utf-8")
    themes = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)
    for own, page in zip((LIGHT, DARK), themes, strict=True):
        values = dict(re.findall(r"--(\w+): (#\w+);", page))
        assert asdict(own) == {role: values[role] for role in asdict(own)}


def crowd(count: int) -> list[Spot]:
    return [
        Spot(x=60 + 20.0 * i, y=100 + 3.0 * (i % 2), radius=5, label=f"dot {i}", weight=float(i)) for i in range(count)
    ]


def test_labels_stand_beside_their_own_dot_and_on_nothing() -> None:
    spots, area = crowd(6), Box(left=0, top=0, right=300, bottom=200)
    placed = place_labels(spots, area)
    assert {label.spot.label for label in placed} == {f"dot {i}" for i in range(6)}
    for one, other in itertools.combinations(placed, 2):
        assert not one.box.meets(other.box)
    for label in placed:
        assert label.box.within(area)
        away = [math.dist(label.box.nearest(spot.x, spot.y), (spot.x, spot.y)) for spot in spots]
        assert min(away) >= 5
        if label.leader is None:
            assert min(away) == away[spots.index(label.spot)]


def test_the_weightier_label_has_the_first_choice_and_what_finds_no_room_is_left_out() -> None:
    narrow = Box(left=0, top=80, right=120, bottom=120)
    placed = place_labels(crowd(12), narrow)
    assert 0 < len(placed) < 12
    far = Box(left=0, top=500, right=100, bottom=600)
    assert place_labels(crowd(3), far) == ()
    taken = [Box(left=0, top=0, right=300, bottom=200)]
    assert place_labels(crowd(3), Box(left=0, top=0, right=300, bottom=200), taken) == ()


def test_dots_of_one_place_move_to_the_side_by_little_and_the_same_each_time() -> None:
    places = [(100.0, 50.0), (100.0, 50.0), (100.0, 55.0), (100.0, 90.0)]
    moves = beeswarm(places, 10)
    assert moves == beeswarm(places, 10)
    assert moves[3] == 0
    moved = [(x + move, y) for (x, y), move in zip(places, moves, strict=True)]
    assert all(math.dist(one, other) >= 10 for one, other in itertools.combinations(moved, 2))
    assert max(map(abs, moves)) <= 20
