"""The notes' comparisons: their figures to the last digit, and that ratios hold for other numbers."""

import json
import re
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import convatlas
from convatlas import arithmetic
from convatlas.arithmetic import COMPARISONS, compare_costs
from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.errors import UsageError
from convatlas.models import create_model

pytestmark = pytest.mark.row("A-06")

COUNTS = {
    # name: dearer, cheaper; the notes' figures where they print one
    "two-3x3": (25, 18),
    "three-3x3": (49, 27),
    "separable": (1152, 200),
    "depthwise": (9_216, 288),
    "grouped": (614_400, 307_200),
    "mobilenet": (462_422_016, 52_283_392),  # 462 M and 52.3 M in the paper's Table 3, then 29.6 M and 15.1 M
    "width-multiplier": (52_283_392, 29_578_752),
    "resolution-multiplier": (29_578_752, 15_091_200),
    "one-by-one": (120_422_400, 12_443_648),
    "same-filter": (705_600, 900),
    "shared-weights": (37_748_736, 900),
    "sparse-connections": (37_748_736, 921_600),
    "bottleneck": (1_179_648, 69_632),
    "inverted-residual": (1_114_112, 52_608),  # 1.1M and 52k
    "inverted-residual-macs": (269_746_176, 10_311_168),
    "fire": (110_592, 11_776),
    "vgg-head": (123_642_856, 20_024_384),
    "average-pooling-head": (123_642_856, 513_000),
    "alexnet-connections": (665_784_864, 58_621_952),
    "alexnet-weights": (58_621_952, 2_332_704),
    "sliding-window": (1_766_400, 1_459_200),
}


def test_every_comparison_has_its_figures() -> None:
    assert {each.name: (each.dearer.value, each.cheaper.value) for each in compare_costs()} == COUNTS
    assert list(COMPARISONS) == list(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_a_formula_comes_to_its_number(name: str) -> None:
    (each,) = compare_costs(name)
    assert each.ratio == COUNTS[name][0] / COUNTS[name][1] > 1
    assert each.title
    assert each.said
    for side in (each.dearer, each.cheaper):
        left, _, right = side.formula.rpartition(" = ")
        assert int(right.replace(",", "")) == side.value
        assert eval(re.sub(r"[^\d+*]", "", left.replace("·", "*"))) == side.value


def weights(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def conv(*arguments: int, **setting: int) -> nn.Conv2d:
    return nn.Conv2d(*arguments, bias=False, **setting)


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from((1, 3, 5)), st.integers(1, 3))
def test_filters_against_torchs_modules(channels: int, maps: int, kernel: int, multiplier: int) -> None:
    with torch.device("meta"):
        full, same = conv(channels, maps, kernel), conv(channels, channels, kernel)
        deep = conv(channels, channels * multiplier, kernel, groups=channels)
        separable = weights(deep, conv(channels * multiplier, maps, 1))
        depthwise = weights(conv(channels, channels, kernel, groups=channels))
        small, middle, large = (weights(conv(channels, channels, side)) for side in (3, 5, 7))
        grouped = weights(conv(2 * channels, 2 * maps, kernel, groups=2))
    one = arithmetic.separable_or_full(channels, maps, kernel, multiplier=multiplier)
    assert (one.dearer.value, one.cheaper.value) == (weights(full), separable)
    one = arithmetic.depthwise_or_full(channels, kernel)
    assert (one.dearer.value, one.cheaper.value) == (weights(same), depthwise)
    one = arithmetic.two_3x3_or_5x5(channels)
    assert (one.dearer.value, one.cheaper.value) == (middle, 2 * small)
    one = arithmetic.three_3x3_or_7x7(channels)
    assert (one.dearer.value, one.cheaper.value) == (large, 3 * small)
    assert arithmetic.grouped_or_full(2 * channels, 2 * maps, kernel).cheaper.value == grouped


@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 20), st.integers(1, 7))
def test_mobilenets_formula_is_one_over_n_and_one_over_k_squared(m: int, n: int, size: int, kernel: int) -> None:
    one = arithmetic.mobilenet_layer(m, n, size, kernel)
    assert one.cheaper.value / one.dearer.value == pytest.approx(1 / n + 1 / kernel**2)


def test_blocks_against_the_atlas_networks() -> None:
    with torch.device("meta"):
        mobilenet, vgg, alexnet = create_model("mobilenet_v2"), create_model("vgg19"), create_model("alexnet_paper")
        squeezenet = create_model("squeezenet1_0")
    names = [name for name, module in mobilenet.named_modules() if isinstance(module, nn.Conv2d)]
    shapes = {name: mobilenet.get_submodule(name).weight.shape for name in names}
    # One of the inverted residuals 64-384-64: its three convolutions follow each other.
    found = [
        sum(shapes[name].numel() for name in names[i : i + 3])
        for i in range(len(names) - 2)
        if [tuple(shapes[name][:2]) for name in names[i : i + 3]] == [(384, 64), (384, 1), (64, 384)]
    ]
    assert found
    assert set(found) == {arithmetic.inverted_or_bottleneck().cheaper.value}
    head = [module for module in vgg.modules() if isinstance(module, nn.Linear)]
    one = arithmetic.vgg_head_or_body()
    assert one.dearer.value == weights(*head)
    assert one.dearer.value + one.cheaper.value == count_parameters(vgg)
    both = compare_costs("alexnet-connections")[0]
    assert both.dearer.value + both.cheaper.value == count_macs(alexnet, (3, 227, 227))
    fire = [module.weight.numel() for module in squeezenet.modules() if isinstance(module, nn.Conv2d)][1:4]
    assert sum(fire) == arithmetic.fire_or_3x3().cheaper.value


def test_average_pooling_and_one_dense_layer_in_torch() -> None:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))
    assert arithmetic.dense_head_or_average().cheaper.value == count_parameters(head)


@pytest.mark.parametrize(
    ("picture", "window"), [(14, 14), (15, 14), (16, 14), (28, 14), (6, 6), (9, 6), (16, 8), (23, 10), (31, 20)]
)
def test_the_sliding_window_against_the_network_itself(picture: int, window: int) -> None:
    kernel = (window - 4) // 2  # what the convolution and the pooling leave of a window
    network = nn.Sequential(
        nn.Conv2d(3, 16, 5), nn.MaxPool2d(2), nn.Conv2d(16, 400, kernel), nn.Conv2d(400, 400, 1), nn.Conv2d(400, 4, 1)
    )
    one = arithmetic.crops_or_one_pass(picture, window)
    assert one.cheaper.value == count_macs(network, (3, picture, picture))
    windows = network(torch.zeros(1, 3, picture, picture)).shape[2:].numel()
    starts = range(0, picture - window + 1, 2)  # every crop that fits, two pixels apart
    assert windows == len(starts) ** 2
    assert one.dearer.value == windows * count_macs(network, (3, window, window))
    assert one.title.startswith(f"One pass over {picture} x {picture} pixels instead of {windows} crops")


@pytest.mark.parametrize("size", [4, 7])
def test_an_inverted_residuals_macs_in_torch(size: int) -> None:
    block = nn.Sequential(nn.Conv2d(8, 48, 1), nn.Conv2d(48, 48, 3, padding=1, groups=48), nn.Conv2d(48, 16, 1))
    one = arithmetic.inverted_residual_macs(size, 8, 16)
    assert one.cheaper.value == count_macs(block, (8, size, size))
    assert one.cheaper.value == size * size * 8 * 6 * (8 + 9 + 16)  # h w t d (d + k² + d')


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: arithmetic.two_3x3_or_5x5(0), "channels must be"),
        (lambda: arithmetic.separable_or_full(kernel=0), "kernel must be"),
        (lambda: arithmetic.separable_or_full(multiplier=0), "multiplier must be"),
        (lambda: arithmetic.grouped_or_full(groups=5), "groups 5 must divide in_channels 96"),
        (lambda: arithmetic.mobilenet_layer(size=0), "size must be"),
        (lambda: arithmetic.width_multiplier(1.5), "width must be above 0 and at most 1"),
        (lambda: arithmetic.resolution_multiplier(0), "resolution must be above 0"),
        (lambda: arithmetic.resolution_multiplier("0.5"), "resolution must be above 0"),
        (lambda: arithmetic.resolution_multiplier(channels=0), "channels must be"),
        (lambda: arithmetic.resolution_multiplier(size=1.5), "size must be"),
        (lambda: arithmetic.width_multiplier(channels=-1), "channels must be"),
        (lambda: arithmetic.width_multiplier(channels=1.5), "channels must be"),
        (lambda: arithmetic.two_3x3_or_5x5(True), "channels must be"),
        (lambda: arithmetic.dense_or_convolution(count="neurons"), 'count must be "weights" or "connections"'),
        (lambda: arithmetic.bottleneck_or_basic(reduced=0), "reduced must be"),
        (lambda: arithmetic.crops_or_one_pass(10, 14), "window 14 must not be larger than picture 10"),
        (lambda: arithmetic.crops_or_one_pass(14, 3), "window must be"),
        (lambda: arithmetic.crops_or_one_pass(16, 15), "window must be even, as 2x2 pooling halves"),
        (lambda: arithmetic.vgg_head_or_body("vgg18"), 'not "vgg18"'),
        (lambda: compare_costs("bottelneck"), 'no comparison is named "bottelneck". Did you mean "bottleneck"?'),
    ],
)
def test_refusals_name_the_field(call, message) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        call()


def test_to_dict_is_plain_json() -> None:
    (each,) = compare_costs("fire")
    assert json.loads(json.dumps(each.to_dict()))["cheaper"] == {
        "name": "fire module",
        "value": 11_776,
        "formula": "96·16 + 16·64 + 3·3·16·64 = 11,776",
    }


# --- The room's public names


@pytest.mark.parametrize("name", arithmetic.__all__)
def test_every_public_name_of_the_room_is_there_and_documented(name: str) -> None:
    value = getattr(arithmetic, name)
    assert name.isupper() or (value.__doc__ or "").strip()


COUNTED = ("macs", "field.theoretical", "field.effective")  # these run a network, so they need torch


def test_the_closed_forms_need_neither_torch_nor_numpy() -> None:
    homes = {home.removeprefix("convatlas.arithmetic."): home for home in arithmetic._HOMES.values()}
    assert set(COUNTED) < set(homes)
    closed = [home for name, home in homes.items() if name not in COUNTED and name != "field.visits"]
    code = (
        "import importlib, sys\n"
        "for room in sys.argv[1:]: importlib.import_module(room)\n"
        "from convatlas.arithmetic import compare_costs; compare_costs()\n"
        "print(*sys.modules)"
    )

    def loaded(*rooms: str) -> set[str]:
        command = [sys.executable, "-c", code, *rooms]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        return {"torch", "numpy", "matplotlib"} & set(run.stdout.split())

    assert loaded(*closed) == set()
    assert loaded(homes["field.visits"]) == {"numpy"}  # maps of numbers
    with pytest.raises(AttributeError, match="no attribute 'convolutoin'"):
        arithmetic.convolutoin  # noqa: B018


def test_the_verb_is_a_function_as_well() -> None:
    assert convatlas.costs("two-3x3")[0].ratio == 25 / 18
    assert len(convatlas.costs()) == len(COUNTS)
