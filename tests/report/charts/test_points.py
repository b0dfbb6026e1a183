"""What the charts show is their data: every mark read back from the drawing, and every row of the tables."""

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.patches import FancyBboxPatch, PathPatch

from convatlas.catalog import Card, Published, list_cards
from convatlas.catalog.detection import COCO, VOC
from convatlas.catalog.latency import measured_latency
from convatlas.errors import UsageError
from convatlas.report.charts import detection, efficiency, family_tree, initialisation, kinds, timeline
from convatlas.report.charts.initialisation import Initialisation, Signal, measure
from tests.report.charts.reading import drawn, marks, point, words

SIZES = ("wide", "narrow")


@pytest.mark.row("I-01")
@pytest.mark.parametrize("size", SIZES)
def test_the_timeline_has_every_family_with_its_novelty(size: str) -> None:
    data = kinds.chart_data("timeline")
    assert isinstance(data, timeline.Timeline)
    assert {each.family for each in data.milestones} == {card.family for card in list_cards()}
    assert {(each.family, each.year) for each in data.milestones} == {(c.family, c.year) for c in list_cards()}
    (panel,) = timeline.panels(data)
    figure = drawn(panel, size)
    assert set(marks(figure)) == {each.network for each in data.milestones}
    read = [text.get_text() for text, _ in words(figure)]
    assert [read.count(str(year)) for year in sorted({each.year for each in data.milestones})] == [1] * 11
    for each in data.milestones:
        assert read.count(each.label) == 1
        assert each.novelty in panel.description
    assert " ".join(read).count("bottlenecks") == 2  # GoogLeNet's and MobileNetV2's


@pytest.mark.row("I-01")
@pytest.mark.parametrize("size", SIZES)
def test_words_of_the_timeline_stand_under_their_year(size: str) -> None:
    data = kinds.chart_data("timeline")
    assert isinstance(data, timeline.Timeline)
    figure = drawn(timeline.panels(data)[0], size)
    boxes = {text.get_text(): box for text, box in words(figure)}
    for each in data.milestones:
        year, name = boxes[str(each.year)], boxes[each.label]
        assert name.y0 < year.y1
        later = [boxes[str(other)] for other in sorted({m.year for m in data.milestones}) if other > each.year]
        below = [box for box in later if size == "narrow" or abs(box.x0 - year.x0) < 1]
        assert all(box.y0 < name.y0 for box in below)


@pytest.mark.row("I-02")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("number", "cost"), [(0, "macs"), (1, "params"), (2, "milliseconds")])
def test_every_network_is_drawn_at_its_cost_and_accuracy(number: int, cost: str, size: str) -> None:
    data = kinds.chart_data("efficiency")
    assert isinstance(data, efficiency.Efficiency)
    figure = drawn(efficiency.panels(data)[number], size)
    dots = marks(figure)
    assert len(data.points) > 80
    assert set(dots) == {each.network for each in data.points}
    for each in data.points:
        assert point(dots[each.network]) == (getattr(each, cost), each.top1)
        assert (dots[each.network].get_markerfacecolor() == "none") != each.filled
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    assert all(low < getattr(each, cost) < high for each in data.points)
    big, small = dots["vgg19"].get_markersize(), dots["resnet18"].get_markersize()
    assert (big / small) ** 2 == pytest.approx(143667240 / 11689512)


@pytest.mark.row("I-02")
def test_the_figure_of_a_network_is_chosen_by_the_rule() -> None:
    data = kinds.chart_data("efficiency")
    assert isinstance(data, efficiency.Efficiency)
    by_name = {each.network: each for each in data.points}
    assert by_name["vgg16"].top1 == 71.592  # one crop, not the paper's dense evaluation
    assert by_name["resnet50_paper"].top1 == pytest.approx(75.3)  # one crop, not ten
    assert by_name["inception_v3"].top1 == 77.294  # all pictures, not 48,238
    assert by_name["squeezenet1_0"].top1 == 57.5  # the paper's before torchvision's
    assert by_name["resnext101_64x4d"].top1 == pytest.approx(79.6)  # not a later recipe's
    assert by_name["senet154"].top1 == pytest.approx(81.32)  # at 224, of which the card counts the cost
    assert by_name["vit_b_16"].top1 == 81.8  # 224, ImageNet-1k
    assert by_name["alexnet_paper"].views == "several" and not by_name["alexnet_paper"].filled
    assert data.left_out["vit_h_14"] == "only figures after more training data"
    assert data.left_out["vit_b_32"] == "only figures of larger pictures"
    assert "nin_imagenet" in data.left_out and "nin_cifar10" not in data.left_out
    for each in data.points:
        card = next(card for card in list_cards() if card.name == each.network)
        printed = {
            (round(p.value if p.measure == "accuracy" else 100 - p.value, 6), p.protocol) for p in card.published
        }
        assert (each.top1, each.protocol) in printed
        assert each.source in {p.source for p in card.published}
        assert each.milliseconds == pytest.approx(measured_latency().seconds[each.network] * 1000)


@pytest.mark.row("I-03")
def test_the_tree_is_that_of_the_cards_and_points_forward() -> None:
    tree = kinds.chart_data("family-tree")
    assert isinstance(tree, family_tree.FamilyTree)
    cards = {card.name: card for card in list_cards()}
    expected = {
        (cards[parent].family, card.family)
        for card in cards.values()
        for parent in card.parents
        if cards[parent].family != card.family
    }
    assert set(tree.edges) == expected
    assert len(tree.edges) == len(expected) > 40
    order = [family.name for family in tree.families]
    year = {family.name: family.year for family in tree.families}
    assert set(order) == {card.family for card in cards.values()}
    for parent, child in tree.edges:
        assert year[parent] <= year[child]
        assert order.index(parent) < order.index(child)


@pytest.mark.row("I-03")
@pytest.mark.parametrize("size", SIZES)
def test_every_family_and_edge_of_the_tree_is_drawn_and_goes_down(size: str) -> None:
    tree = kinds.chart_data("family-tree")
    assert isinstance(tree, family_tree.FamilyTree)
    figure = drawn(family_tree.panels(tree)[0], size)
    curves = {patch.get_gid(): patch for patch in figure.findobj(PathPatch) if patch.get_gid()}
    assert set(curves) == {f"{parent} to {child}" for parent, child in tree.edges}
    for each in curves.values():
        vertices = each.get_path().vertices
        assert vertices[0][1] > vertices[-1][1]
    if size == "wide":
        boxes = {patch.get_gid(): patch.get_window_extent() for patch in figure.findobj(FancyBboxPatch)}
        assert set(boxes) == {family.name for family in tree.families}
        for text, box in words(figure):
            if text.get_text() in boxes:
                around = boxes[text.get_text()]
                assert around.x0 < box.x0 and box.x1 < around.x1
        height = {family.name: boxes[family.name].y0 for family in tree.families}
    else:
        height = {name: point(line)[1] for name, line in marks(figure).items()}
        assert set(height) == {family.name for family in tree.families}
    assert all(height[parent] > height[child] for parent, child in tree.edges)


@pytest.mark.row("I-03")
def test_without_graphviz_the_tree_is_drawn_as_on_a_phone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family_tree, "_graphviz", lambda: False)
    tree = kinds.chart_data("family-tree")
    assert isinstance(tree, family_tree.FamilyTree)
    figure = drawn(family_tree.panels(tree)[0], "wide")
    assert set(marks(figure)) == {family.name for family in tree.families}
    assert not figure.findobj(FancyBboxPatch)


@pytest.mark.row("I-03")
def test_parents_that_go_round_are_told() -> None:
    one, two = (card for card in list_cards() if card.name in ("vgg16", "cnn_f"))
    fields = {name: getattr(one, name) for name in one.__dataclass_fields__}
    other = {name: getattr(two, name) for name in two.__dataclass_fields__}
    pair = (Card(**fields | {"parents": (two.name,)}), Card(**other | {"parents": (one.name,)}))
    with pytest.raises(ValueError, match="go round"):
        family_tree.family_tree(pair)


@pytest.mark.row("I-05")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("number", range(4))
def test_every_figure_of_a_detector_is_drawn_where_it_belongs(number: int, size: str) -> None:
    history = kinds.chart_data("detection")
    assert isinstance(history, detection.DetectionHistory)
    wanted = COCO if number in (0, 2) else (VOC,)
    figures = [each for each in history.figures if each.on in wanted and (number < 2 or each.rate)]
    figure = drawn(detection.panels(history)[number], size)
    dots = marks(figure)
    assert set(dots) == {f"{each.detector} on {each.on}" for each in figures}
    for each in figures:
        dot = dots[f"{each.detector} on {each.on}"]
        assert point(dot) == (pytest.approx(each.year if number < 2 else each.rate), each.value)
        if number >= 2:
            assert dot.get_marker() == detection._SHAPES.get(detection.hardware_class(each), "X")
    read = {text.get_text() for text, _ in words(figure)}
    for label in {each.label for each in figures if each.lead and number < 2 and size == "wide"}:
        assert label in read, label


@pytest.mark.row("I-05")
def test_speeds_without_proposals_and_on_different_hardware_are_told_apart() -> None:
    history = kinds.chart_data("detection")
    assert isinstance(history, detection.DetectionHistory)
    header, *table = kinds.rows("detection", history)
    fast = next(row for row in table if row[0] == "Fast R-CNN, VGG-16" and row[3] == VOC)
    assert (fast[header.index("hardware")], fast[header.index("time without")]) == ("K40", "proposals")
    assert fast[header.index("pictures a second")] == "3.12"
    timed = {each.label: each for each in history.figures if each.rate and each.on == VOC}
    assert detection.hardware_class(timed["R-FCN"]) != detection.hardware_class(timed["YOLO"])
    assert detection.hardware_class(timed["SSD300"]) == detection.hardware_class(timed["YOLO"])
    assert "“Fastest DPM”" in timed and "not DPM v5" in timed["“Fastest DPM”"].detector
    panel = detection.panels(history)[3]
    assert "speeds on different hardware do not compare" in panel.description
    assert "Fast R-CNN 66.9 at 3.12 a second on K40, without proposals" in panel.description
    assert "without proposals" in {text.get_text() for text, _ in words(drawn(panel, "narrow"))}


def of(data: Initialisation, scheme: str, activation: str = "ReLU") -> Signal:
    return next(each for each in data.signals if (each.scheme, each.activation) == (scheme, activation))


@pytest.mark.row("F-07")
def test_sizes_through_depth_follow_the_theory() -> None:
    n, depth = 512, 12
    data = measure(depth=depth, width=n, seed=1)
    for scheme, variance in (("N(0, 0.01)", 1e-4), ("LeCun", 1 / n), ("Xavier", 1 / n), ("He", 2 / n)):
        factor = math.sqrt(n * variance / 2)
        size = np.array(of(data, scheme).size)
        # The first layer has no ReLU before it but its own after it: the same factor.
        mean = (size[-1] / size[0]) ** (1 / depth)
        assert mean == pytest.approx(factor, rel=0.03), scheme
    assert math.sqrt(n * 1e-4 / 2) == pytest.approx(0.16)
    assert 0.7 < of(data, "He").size[-1] < 1.4
    assert 0.7 < of(data, "orthogonal").size[-1] < 1.4
    assert set(of(data, "zeros").size[1:]) == {0.0} and set(of(data, "zeros").dead) == {1.0}
    first = of(data, "N(0, 0.01)", "tanh").size
    assert first[2] / first[1] == pytest.approx(math.sqrt(n) * 0.01, rel=0.05)  # tanh is linear near 0
    assert of(data, "He", "tanh").size[-1] > of(data, "LeCun", "tanh").size[-1]
    assert set(of(data, "He", "tanh").dead) == {0.0}


@pytest.mark.row("F-07")
def test_sizes_whose_squares_would_vanish_are_measured_too() -> None:
    data = measure(depth=150, width=64)
    last = of(data, "N(0, 0.01)", "tanh")
    assert math.log10(last.size[-1]) == pytest.approx(150 * math.log10(math.sqrt(64) * 0.01), rel=0.03)
    assert 0 < last.spread[-1] < 2 * last.size[-1]


@pytest.mark.row("F-07")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", [(1, 8), (200, 8), (200, 64)], ids=str)
def test_names_beside_the_lines_stay_in_the_drawing_and_apart(shape: tuple[int, int], size: str) -> None:
    for panel in initialisation.panels(measure(depth=shape[0], width=shape[1])):
        figure = drawn(panel, size)
        width, height = figure.get_size_inches() * 72
        read = words(figure)
        for text, box in read:
            assert box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height, text.get_text()
        for (one, first), (other, second) in itertools.combinations(read, 2):
            across = min(first.x1, second.x1) - max(first.x0, second.x0)
            down = min(first.y1, second.y1) - max(first.y0, second.y0)
            assert across <= 0.5 or down <= 2.0, (one.get_text(), other.get_text())


@pytest.mark.row("F-07")
def test_a_unit_is_dead_when_no_input_wakes_it() -> None:
    data = measure(depth=20, width=64, seed=3)
    for scheme in ("LeCun", "He", "N(0, 0.01)"):
        dead = of(data, scheme).dead
        assert len(dead) == 20 and dead[0] == 0.0 and 0 < dead[-1] < 1
        spread, size = np.array(of(data, scheme).spread), np.array(of(data, scheme).size)
        assert spread[-1] / size[-1] < 0.6 * spread[1] / size[1]  # inputs become alike with depth


@pytest.mark.row("F-07")
@pytest.mark.parametrize("size", SIZES)
def test_the_lines_of_initialisation_are_what_was_measured(size: str) -> None:
    data = measure(depth=6, width=32, seed=0)
    for number, activation in enumerate(("ReLU", "tanh", "ReLU")):
        figure = drawn(initialisation.panels(data)[number], size)
        lines = marks(figure)
        assert set(lines) == set(initialisation.SCHEMES)
        for scheme, line in lines.items():
            signal = of(data, scheme, activation)
            wanted = signal.dead if number == 2 else signal.size
            floor = 0.0 if number == 2 else figure.axes[0].get_ylim()[0]
            assert list(line.get_ydata()) == [max(value, floor) for value in wanted]
            assert list(line.get_xdata()) == list(range(1 if number == 2 else 0, 7))


@pytest.mark.row("F-07")
def test_the_measurement_is_seeded_and_its_sizes_are_checked() -> None:
    assert measure(depth=3, width=16, seed=5) == measure(depth=3, width=16, seed=5)
    assert measure(depth=3, width=16, seed=5) != measure(depth=3, width=16, seed=6)
    for wrong, words_ in (({"depth": 0}, "depth"), ({"width": 4}, "width"), ({"seed": -1}, "seed")):
        with pytest.raises(UsageError, match=f"{words_}: expected"):
            measure(**wrong)
    one = measure(depth=1, width=8)
    for panel in initialisation.panels(one):
        assert len(words(drawn(panel, "narrow"))) > 6


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_the_table_has_a_row_for_every_entry_and_a_page_gets_two_drawings_of_each_panel(kind: str) -> None:
    data = kinds.chart_data(kind)
    header, *table = kinds.rows(kind, data)
    assert table and all(len(row) == len(header) for row in table)
    assert all(cell == cell.strip() for row in table for cell in row)
    page = kinds.inline_chart(kind, "here", data)
    figures = page.count('<figure class="chart">')
    assert page.count("<svg") == 2 * figures == page.count('role="img"')
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids)) and all(each.startswith("here-") for each in ids)
    assert not re.search(r"#0[1-7]0[1-7]0[1-7]", page), "a role's colour was not replaced by the page's variable"
    for panel in kinds.panels(kind, data):
        assert panel.description.endswith(".")


def test_a_protocol_of_another_size_or_more_data_is_not_drawn() -> None:
    card = next(card for card in list_cards() if card.name == "resnet50")

    def figure(protocol: str) -> Published:
        return Published(measure="accuracy", value=80.0, on="ImageNet val", protocol=protocol, source="paper")

    def chosen(*protocols: str) -> tuple[str, ...]:
        fields = {name: getattr(card, name) for name in card.__dataclass_fields__}
        changed = Card(**fields | {"published": tuple(map(figure, protocols))})
        return tuple(p.protocol for p in efficiency.efficiency([changed], measured_latency()).points)

    assert chosen("1-crop 320") == chosen("384 x 384, pre-trained on ImageNet-21k") == ()
    assert chosen("1-crop 320", "10-crop") == ("10-crop",)
    assert chosen("10-crop", "1-crop") == ("1-crop",)
    assert chosen("1-crop 224, 48238 of the 50000 pictures", "224 x 224") == ("224 x 224",)


def test_a_broken_kind_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='no chart is named "time-line"'):
        kinds.rows("time-line")
