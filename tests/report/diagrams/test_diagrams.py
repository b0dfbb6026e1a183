"""Diagrams read back from their SVG: parts, arrows, shapes and numbers are those of the network's own trace."""

import math
import os
import re
import subprocess
import sys
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from convatlas import card, draw, list_models, trace
from convatlas.api.target import find_network
from convatlas.arithmetic.tracing.trace import Trace, TraceError
from convatlas.errors import MissingExtra, UsageError
from convatlas.report.diagrams import Diagram, diagram
from convatlas.report.diagrams.lettering import width
from convatlas.report.diagrams.words import humanised
from tests.report.diagrams.read_back import TIMES, check, check_places, read

pytest.importorskip("pygraphviz")
pytestmark = pytest.mark.row("I-04")

KNOWN = [
    *("lenet5", "vgg16", "googlenet", "resnet18", "densenet121", "mobilenet_v2", "nasnet_mobile", "vit_b_16"),
    *("shufflenet_v2_x1_0", "efficientnet_b0"),
]


@cache
def traced(name: str) -> Trace:
    found = find_network(name, {})
    assert found.picture is not None
    return trace(found.network, torch.empty(1, *found.picture, device="meta"))


@cache
def drawn(name: str, slide: bool = False) -> Diagram:
    return diagram(traced(name), title=name, part_names=card(name).part_names, slide=slide)


def run(network: nn.Module, *shape: int) -> Trace:
    return trace(network.eval(), torch.empty(1, *shape, device="meta"))


def check_network(name: str) -> None:
    picture = drawn(name)
    found = check(picture.svg, traced(name))
    check_places(found)
    assert found.title == name
    assert found.description.startswith(f"The parts of {name} in order")
    assert found.width <= 390
    inline = read(picture.inline("x"))
    assert inline.width <= 358  # what a page leaves of a phone's 390
    sizes = [float(each) for each in re.findall(r"font(?:-size)?: (\d+)px", picture.svg)]
    assert sizes
    assert min(sizes) >= 11
    check_parameters(picture, traced(name))


def check_parameters(picture: Diagram, network: Trace) -> None:
    """Each parameter belongs to one box, to that of an operation that takes it."""
    named = [name for box in picture.boxes for name in box.parameters]
    assert len(named) == len(set(named))
    states = {state.name: state for state in network.states if state.kind == "parameter"}
    assert set(named) == set(states)
    counted = sum(math.prod(states[name].ref.shape) for name in named)
    assert counted == sum(math.prod(state.ref.shape) for state in states.values())
    box_of = {op: box for box in picture.boxes for op in box.ops}
    used: set[str] = set()
    for index, op in enumerate(network.ops):
        for ref in op.inputs:
            name = network.parameters.get(ref.id)
            if index in box_of and name in states and name not in used:
                used.add(name)
                assert name in box_of[index].parameters


@pytest.mark.parametrize("name", KNOWN)
def test_the_drawing_is_the_network(name: str) -> None:
    check_network(name)


@pytest.mark.every_variant
@pytest.mark.parametrize("name", list_models())
def test_every_drawing_is_its_network(name: str) -> None:
    check_network(name)
    found = check(drawn(name, slide=True).svg, traced(name))
    check_places(found, across=True)
    assert found.width / found.height == pytest.approx(16 / 9, abs=1e-3)
    drawn.cache_clear()
    traced.cache_clear()


@pytest.mark.parametrize("name", ["lenet5", "resnet50", "googlenet", "nasnet_mobile"])
def test_a_slide_is_16_to_9_with_legible_text(name: str) -> None:
    found = check(drawn(name, slide=True).svg, traced(name))
    check_places(found, across=True)
    assert found.width / found.height == pytest.approx(16 / 9, abs=1e-3)
    assert 12 / found.height > 0.016


def without(svg: str, link: int) -> str:
    groups = re.findall(r'<g class="link".*?</g>', svg)
    return svg.replace(groups[link], "", 1)


@pytest.mark.parametrize("link", [0, 4, 9])
def test_the_check_sees_a_missing_arrow(link: int) -> None:
    with pytest.raises(AssertionError):
        check(without(drawn("resnet18").svg, link), traced("resnet18"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('data-shape="64x56x56"', 'data-shape="64x56x57"'),
        ('data-to="3"', 'data-to="5"'),
        ('data-times="2"', 'data-times="3"'),
        (f">7{TIMES}7, 64, /2", f">7{TIMES}7, 64"),
    ],
)
def test_the_check_sees_what_is_wrong(old: str, new: str) -> None:
    svg = drawn("resnet18").svg
    assert old in svg
    with pytest.raises(AssertionError):
        check(svg.replace(old, new, 1), traced("resnet18"))


def test_the_check_of_places_sees_a_wrong_label_and_a_shifted_arrow() -> None:
    svg = drawn("lenet5").svg
    label = f">6{TIMES}28{TIMES}28<"
    assert label in svg
    for altered in (svg.replace(label, f">6{TIMES}28{TIMES}27<"), re.sub(r'd="M\d+', 'd="M1', svg, count=1)):
        with pytest.raises(AssertionError):
            check_places(read(altered))


def test_parts_have_the_papers_names() -> None:
    names = {"stages.0": "conv2_x", "stem.conv": "conv1"}
    picture = diagram(traced("resnet18"), title="ResNet-18", part_names=names)
    assert "conv2_x" in [frame.title for frame in picture.frames]
    assert "conv1" in [box.name for box in picture.boxes]
    assert ">conv2_x<" in picture.svg
    assert "conv1, 7" in picture.description


def test_a_network_of_the_atlas_brings_its_papers_names() -> None:
    assert {"conv2_x", "conv5_x"} <= {frame.title for frame in draw("resnet50").frames}
    assert [box.name for box in draw("lenet5").boxes[1:-1]] == ["C1", "S2", "C3", "S4", "C5", "F6", "OUTPUT"]
    # Its first one is alone in a Sequential.
    assert [box.name for box in draw("overfeat_fast").boxes if box.role == "convolution"][:2] == ["layer 1", "layer 2"]


def test_a_frame_has_a_name_of_the_code_only_where_the_paper_names_nothing_in_it() -> None:
    assert [frame.title for frame in drawn("googlenet").frames] == ["inception (3a)"]
    plain = diagram(traced("googlenet"), title="googlenet")
    assert [frame.path for frame in plain.frames] == ["stages.0", "stages.0.a", "stages.1", "stages.2"]
    assert [box.ops for box in plain.boxes] == [box.ops for box in drawn("googlenet").boxes]


def test_a_closed_block_says_what_is_in_it() -> None:
    told = {
        text for name in ("resnet18", "googlenet", "nasnet_mobile") for box in drawn(name).boxes for text in box.texts
    }
    three = f"3{TIMES}3"
    assert f"2 {TIMES} {three} + shortcut" in told
    assert "4 branches" in told
    assert f"2 {TIMES} 5{TIMES}5 separable + 2 {TIMES} 7{TIMES}7 separable" in told


def test_a_network_that_stopped_is_refused() -> None:
    with pytest.raises(TraceError) as stopped:
        run(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(3, 3)), 3, 8, 8)
    with pytest.raises(UsageError, match="stopped half-way"):
        diagram(stopped.value.partial, title="half")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("SqueezeExcitation", "squeeze excitation"),
        ("MBConv", "MBConv"),
        ("LPPool2d", "LPPool2d"),
        ("殘差Block", "殘差 block"),
    ],
)
def test_classes_are_named_in_words(kind: str, words: str) -> None:
    assert humanised(kind) == words


def test_a_class_may_have_a_chinese_name() -> None:
    named = type("殘差塊", (Odd,), {})()
    network = run(nn.Sequential(named, nn.Conv2d(6, 4, 1)), 4, 8, 8)
    picture = diagram(network, title="殘差")
    check_places(check(picture.svg, network))
    assert ">殘差塊<" in picture.svg
    assert width("殘差塊", 12) == 36


def test_what_is_folded_is_counted_and_its_dense_links_are_told() -> None:
    dense = next(frame for frame in drawn("densenet121").frames if frame.run == 5)
    assert dense.note == "each gets all the maps before it"
    cells = [box for box in drawn("nasnet_mobile").boxes if box.run == 3]
    assert cells
    assert all("each gets the maps of the two before it" in box.texts for box in cells)
    blocks = [box for box in drawn("resnet18").boxes if box.role == "block"]
    assert blocks
    assert max(box.times for box in diagram(traced("resnet34"), title="").boxes) == 5


def test_norm_and_activation_are_in_their_convolutions_box() -> None:
    first = drawn("resnet18").boxes[1]
    assert first.texts == (f"7{TIMES}7, 64, /2", "BN", "ReLU")


class Odd(nn.Module):
    """What no network of the atlas has."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(4, 6, 2, stride=2)
        self.six = nn.ReLU6()
        self.cut = nn.Hardtanh(-1, 2)
        self.conv = nn.Conv2d(6, 6, 3, padding=1)
        self.finer = nn.Upsample(scale_factor=2)
        self.reduce = nn.Conv2d(6, 6, 3, stride=2, padding=2, dilation=2, groups=3)
        self.unused = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.six(self.up(x))
        y = self.cut(self.conv(x))
        y += x  # in place
        first, second = self.finer(y).chunk(2, dim=1)
        first.mul_(2)  # of a view
        out: Tensor = self.reduce(torch.cat([second, first], 1))
        return out


def test_a_network_of_ones_own() -> None:
    network = run(Odd(), 4, 8, 8)
    picture = diagram(network, title="odd")
    found = check(picture.svg, network)
    check_places(found)
    texts = [text for box in picture.boxes for text in box.texts]
    assert f"2{TIMES}2 transposed, 6, {TIMES}2" in texts
    assert "ReLU6" in texts
    assert "hardtanh(-1, 2)" in texts
    assert f"nearest upsampling {TIMES}2" in texts
    assert f"3{TIMES}3, 6, 3 groups, dilation 2, /2" in texts
    assert "unused.weight" not in [name for box in picture.boxes for name in box.parameters]


def test_a_module_that_runs_twice_is_there_twice_with_its_parameters_once() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3, padding=1)
            self.other = nn.Conv2d(4, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.conv(self.other(self.conv(x)))
            return out

    network = run(Shared(), 4, 8, 8)
    picture = diagram(network, title="shared")
    check_places(check(picture.svg, network))
    check_parameters(picture, network)
    assert [box.paths for box in picture.boxes[1:-1]] == [("conv",), ("other",), ("conv",)]


def test_several_inputs_and_outputs() -> None:
    class Two(nn.Module):
        def forward(self, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
            return one + other, one.relu()

    network = trace(Two(), torch.empty(1, 3, device="meta"), torch.empty(1, 3, device="meta"))
    found = check(diagram(network, title="two").svg, network)
    check_places(found)
    assert [box.texts[0][0] for box in found.boxes] == ["input 1", "input 2", "add", "ReLU", "output"]


class Constant(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros(1, 3, device=x.device)


@pytest.mark.parametrize(("network", "links"), [(nn.Identity(), 1), (nn.Flatten(), 2), (Constant(), 0)])
def test_what_does_next_to_nothing(network: nn.Module, links: int) -> None:
    seen = run(network, 3, 4)
    found = check(diagram(seen, title="little").svg, seen)
    check_places(found)
    assert len(found.links) == links
    check_places(check(diagram(seen, title="little", slide=True).svg, seen), across=True)


def test_repeated_layers_that_others_read_are_not_folded() -> None:
    class Skipping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convs = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            one = self.convs[0](x)
            two = self.convs[1](one)
            return torch.cat([one, self.convs[2](two)], 1)

    network = run(Skipping(), 4, 8, 8)
    picture = diagram(network, title="skipping")
    check(picture.svg, network)
    assert [box.run for box in picture.boxes if box.role == "convolution"] == [1, 2]


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 99])
def test_depth_opens_as_much_as_it_says(depth: int) -> None:
    network = traced("resnet18")
    picture = diagram(network, title="resnet18", depth=depth)
    check_places(check(picture.svg, network))
    check_parameters(picture, network)
    depths = {call.path: call.depth for call in network.calls}
    assert max(depths[path] for box in picture.boxes for path in box.paths) == min(depth, max(depths.values()))
    if depth == 0:
        assert len(picture.boxes) == 3
    if depth == 99:
        assert all(box.role != "block" for box in picture.boxes)


def test_a_negative_depth_is_refused() -> None:
    with pytest.raises(UsageError, match="depth: expected a whole number of at least 0, got -1"):
        diagram(traced("lenet5"), title="lenet5", depth=-1)


def test_a_missing_package_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    with pytest.raises(MissingExtra, match=r"convatlas\[atlas\]"):
        diagram(traced("lenet5"), title="lenet5")


def test_the_same_bytes_each_time_and_in_another_process() -> None:
    again = diagram(traced("googlenet"), title="googlenet", part_names=card("googlenet").part_names)
    assert again.svg == drawn("googlenet").svg
    code = (
        "import sys, convatlas; sys.stdout.reconfigure(encoding='utf-8', newline='\\n');"
        "sys.stdout.write(convatlas.draw('googlenet').svg)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment)
    assert other.stdout.decode() == again.svg


def test_in_a_page_it_takes_the_pages_colours_and_ids_of_its_own() -> None:
    inline = drawn("lenet5").inline("net-1")
    assert "prefers-color-scheme" not in inline
    assert "prefers-color-scheme" in drawn("lenet5").svg
    assert set(re.findall(r' id="([^"]*)"', inline)) == {"net-1", "net-1-title", "net-1-desc"}
    assert all(rule.startswith("#net-1 ") for rule in re.search(r"<style>(.*)</style>", inline, re.S)[1].splitlines())
    assert len(read(inline).boxes) == len(drawn("lenet5").boxes)


def test_kinds_differ_by_more_than_colour() -> None:
    svg = drawn("resnet18").svg
    radius = {
        role: re.search(rf'class="box {role}".*?rx="([\d.]+)" class="outline"', svg)[1]
        for role in ("convolution", "pooling", "join")
    }
    assert len(set(radius.values())) == 3
    assert re.search(r'class="box dense".*?<line[^>]*class="mark"', svg)
    assert re.search(r'class="box block".*?<rect[^>]*class="mark"', svg)
