"""Each slip of the notes: what is right, computed."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from convatlas.arithmetic import (
    ERRATA,
    alexnet_layers,
    batch_norm,
    compare_costs,
    convolution,
    convolution_size,
    dense,
    googlenet_stem,
    notes,
    pooling,
    pooling_size,
    vgg_head_or_body,
    vgg_layers,
)
from convatlas.arithmetic.costs.filters import three_3x3_or_7x7
from convatlas.arithmetic.macs import count_parameters
from convatlas.catalog import card
from convatlas.models import create_model

pytestmark = pytest.mark.row("A-01", "A-03", "A-06")


def modules(name: str, kind: type) -> list[nn.Module]:
    with torch.device("meta"):
        return [module for module in create_model(name).modules() if isinstance(module, kind)]


def parameters(name: str) -> int:
    with torch.device("meta"):
        return count_parameters(create_model(name))


def arrows(size: int) -> str:
    return " → ".join(map(str, [size, *(side for _, side in googlenet_stem(size))]))


def resnet_side(size: int) -> int:
    """After ResNet18's first convolution, pooling and downsampling."""
    first = pooling_size(convolution_size(size, kernel=7, stride=2, padding=3), kernel=3, stride=2, padding=1)
    return convolution_size(first, kernel=1, stride=2)


def weighty(layers) -> int:
    return sum(layer.kind in ("convolution", "dense") for layer in layers)


def anchor_cells() -> str:
    strides = {level: 2**level for level in range(2, 7)}  # of P2 to P6
    cells = {32 * 2 ** (level - 2) // stride for level, stride in strides.items()}  # anchors of 32 to 512 pixels
    (each,) = cells
    return f"{each} x {each} cells"


def mobilenet_v2_layers() -> str:
    assert len(modules("mobilenet_v2", nn.Conv2d)) == 52
    assert len(modules("mobilenet_v2", nn.Linear)) == 1
    return f"{52 + 1} with its conv2d layers"


def inverted_residual() -> str:
    value = compare_costs("inverted-residual-macs")[0].cheaper.value
    assert value == 14 * 14 * 6 * 64 * (64 + 9 + 64) == 10_311_168
    return "h·w·t·d·(d + k² + d')"


def squeezenet_pooling() -> str:
    pools = modules("squeezenet1_0", nn.MaxPool2d)
    assert len(pools) == 3
    (setting,) = {(pool.kernel_size, pool.stride) for pool in pools}
    return f"{setting[0]} x {setting[0]}, stride {setting[1]}"


def fc6() -> str:
    layer = dense(7 * 7 * 512, 4096)
    assert (layer.weights, layer.parameters) == (102_760_448, 102_764_544)
    return f"7·7·512·4096 + 4096 = {layer.parameters:,}"


def alexnet_connections() -> str:
    layers = alexnet_layers()
    assert sum(layer.macs for layer in layers if layer.kind == "convolution") == 665_784_864
    return f"{sum(layer.macs for layer in layers):,} without biases"


def googlenet_depthwise() -> str:
    assert {module.groups for name in ("googlenet", "googlenet_paper") for module in modules(name, nn.Conv2d)} == {1}
    return "1x1 convolutions do"


def pooled_depth() -> str:
    assert pooling((8, 8), channels=5, kernel=2).outputs == (5, 4, 4)
    return "((W2-F)/S+1) x ((H2-F)/S+1) x K"


def shared_bias() -> str:
    assert convolution((32, 32), in_channels=3, out_channels=1, kernel=5).biases == 1
    return "one number for each filter"


def one_channel() -> str:
    assert convolution((8, 8), in_channels=3, out_channels=1, kernel=3, bias=False).weights == 27
    return "on all channels"


def two_shortcuts() -> str:
    shortcut = convolution((56, 56), in_channels=64, out_channels=128, kernel=1, stride=2, bias=False)
    assert (shortcut.weights, shortcut.outputs) == (8_192, (128, 28, 28))
    return "one or the other"


def batch_norm_names() -> str:
    assert batch_norm(64).parameters == 2 * 64
    return "gamma and beta"


def resnet_parameters() -> str:
    assert parameters("resnet50") - dense(2048, 1000).parameters == 23_508_032
    return f"{parameters('resnet50'):,}"


def googlenet_parameters() -> str:
    assert parameters("googlenet") == 6_624_904
    return f"{parameters('googlenet_paper'):,}"


def channels() -> str:
    one = three_3x3_or_7x7(channels=10)
    assert (one.cheaper.value, one.dearer.value) == (27 * 10**2, 49 * 10**2)
    return "27C² and 49C²"


def unlike_ends() -> str:
    (one,) = compare_costs("inverted-residual")
    assert 1024 // 64 == 16
    return f"{one.dearer.value:,} and {one.cheaper.value:,}"


def same_head() -> str:
    alexnet = sum(layer.parameters for layer in alexnet_layers() if layer.kind == "dense")
    return f"{vgg_head_or_body().dearer.value:,} parameters, not {alexnet:,}"


RIGHT: dict[str, Callable[[], str]] = {
    "edge-of-32": lambda: "{0}, and {0} x {0} x 1".format(convolution_size(32, kernel=5)),
    "vgg-layers": lambda: f"{weighty(vgg_layers('vgg16'))} or {weighty(vgg_layers('vgg19'))} layers",
    "shared-bias": shared_bias,
    "pooled-depth": pooled_depth,
    "basic-block": lambda: f"{compare_costs('bottleneck')[0].dearer.value:,}",
    "sixteen-times": lambda: f"{compare_costs('bottleneck')[0].ratio:.1f} times",
    "channels-once": channels,
    "anchor-cells": anchor_cells,
    "picture-of-244": lambda: arrows(224),
    "resnet-from-244": lambda: f"{resnet_side(224)} x {resnet_side(224)}",
    "two-shortcuts": two_shortcuts,
    "fc6-bias": fc6,
    "alexnet-connections": alexnet_connections,
    "googlenet-parameters": googlenet_parameters,
    "googlenet-depthwise": googlenet_depthwise,
    "inception-v4-address": lambda: card("inception_v4").url,
    "resnet-parameters": resnet_parameters,
    "mobilenet-v2-year": lambda: str(card("mobilenet_v2").year),
    "mobilenet-v2-layers": mobilenet_v2_layers,
    "mobilenet-v2-cost": inverted_residual,
    "batch-norm-names": batch_norm_names,
    "one-channel-filters": one_channel,
    "squeezenet-pooling": squeezenet_pooling,
    "search-time": lambda: f"{500 * 4:,}",
    "unlike-ends": unlike_ends,
    "same-head": same_head,
}


@pytest.mark.parametrize("erratum", ERRATA, ids=lambda erratum: erratum.name)
def test_what_is_right_is_computed(erratum) -> None:
    assert RIGHT[erratum.name]() == erratum.right != erratum.printed


def test_what_is_printed_follows_from_the_slip() -> None:
    """A picture of 244 leads to the notes' 30 and 31."""
    printed = {erratum.name: erratum.printed for erratum in ERRATA}
    assert arrows(244) == printed["picture-of-244"]
    assert resnet_side(244) == 31


def test_the_table_is_whole() -> None:
    names = [erratum.name for erratum in ERRATA]
    assert sorted(names) == sorted(RIGHT)
    assert len(set(names)) == len(names)
    known = {value for name, value in vars(notes).items() if name.isupper()}
    assert {erratum.note for erratum in ERRATA} <= known
