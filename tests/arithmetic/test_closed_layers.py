"""Neurons, weights, connections and multiply-accumulates, of single layers and of networks worked by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convatlas.arithmetic import (
    alexnet_layers,
    batch_norm,
    convolution,
    dense,
    global_average_pooling,
    lenet5_layers,
    locally_connected,
    partial_convolution,
    pooling,
    separable_convolution,
    subsampling,
    transposed_convolution,
    vgg_layers,
)
from convatlas.arithmetic.macs import count_parameters
from convatlas.arithmetic.worked import LENET5_C3, VGG_DEPTHS
from convatlas.catalog import card
from convatlas.errors import UsageError
from convatlas.models import create_model
from convatlas.models.classify.lenet5 import C3_SEES
from convatlas.models.classify.vgg import CONFIGS

pytestmark = pytest.mark.row("A-03", "A-04")


def flops(module: nn.Module, *shape: int) -> int:
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        module.to("meta")(torch.empty(1, *shape, device="meta"))
    return counter.get_total_flops()


@settings(max_examples=300, derandomize=True)
@given(st.data())
def test_convolutions_against_torchs_module_and_its_counter(data: st.DataObject) -> None:
    axes, groups = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4))
    channels, maps = (groups * data.draw(st.integers(1, 4)) for _ in range(2))
    kernel, stride, dilation = (data.draw(st.tuples(*[st.integers(1, 3)] * axes)) for _ in range(3))
    padding = data.draw(st.tuples(*[st.integers(0, 2)] * axes))
    size = data.draw(st.tuples(*[st.integers(7, 12)] * axes))
    bias = data.draw(st.booleans())
    setting = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "bias": bias}
    kinds = {
        convolution: (nn.Conv1d, nn.Conv2d, nn.Conv3d),
        transposed_convolution: (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    }
    for closed, modules in kinds.items():
        module = modules[axes - 1](channels, maps, kernel, device="meta", **setting)
        layer = closed(size, in_channels=channels, out_channels=maps, kernel=kernel, **setting)
        assert layer.outputs == tuple(module(torch.empty(1, channels, *size, device="meta")).shape[1:])
        assert layer.parameters == count_parameters(module)
        assert 2 * layer.macs == flops(module, channels, *size)
        assert layer.connections == layer.macs + bias * layer.neurons
        assert layer.parameters_formula.endswith(f"{layer.parameters:,}")


@pytest.mark.parametrize(("bias", "size"), [(True, 1), (False, 7)])
def test_dense_and_batch_norm_against_torch(bias: bool, size: int) -> None:
    assert dense(48, 10 * size, bias=bias).parameters == count_parameters(nn.Linear(48, 10 * size, bias=bias))
    assert 2 * dense(48, 10 * size, bias=bias).macs == flops(nn.Linear(48, 10 * size, bias=bias), 48)
    assert batch_norm(64, (size, size)).parameters == count_parameters(nn.BatchNorm2d(64)) == 2 * 64


# --- The notes' table: W, H, C, M, K


@settings(max_examples=200, derandomize=True)
@given(*[st.integers(1, 9)] * 4, st.sampled_from((1, 3, 5)))
def test_the_notes_table(width: int, height: int, channels: int, maps: int, kernel: int) -> None:
    full = dense(width * height * channels, width * height * maps, bias=False)
    assert full.neurons == width * height * maps
    assert full.weights == full.connections == width**2 * height**2 * channels * maps
    layer = convolution(
        (height, width), in_channels=channels, out_channels=maps, kernel=kernel, padding=kernel // 2, bias=False
    )
    assert layer.neurons == width * height * maps
    assert layer.weights == kernel**2 * channels * maps
    assert layer.connections == width * height * kernel**2 * channels * maps


# --- LeNet-5

LENET5 = [
    # layer, parameters, connections: Section II.B of the paper
    ("C1", 156, 122_304),
    ("S2", 12, 5_880),
    ("C3", 1_516, 151_600),
    ("S4", 32, 2_000),
    ("C5", 48_120, 48_120),
    ("F6", 10_164, 10_164),
    ("output", 0, 840),
]


def test_lenet5_layer_by_layer_and_in_all() -> None:
    layers = lenet5_layers()
    assert [(layer.name, layer.parameters, layer.connections) for layer in layers] == LENET5
    assert sum(layer.parameters for layer in layers) == 60_000
    assert sum(layer.connections for layer in layers) == 340_908
    assert [layer.outputs for layer in layers][:5] == [
        (6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120, 1, 1)
    ]  # fmt: skip
    assert layers[2].parameters_formula == "25·60 + 16 = 1,516"
    assert layers[1].connections_formula == "196·6·5 = 5,880"


def test_lenet5s_table_of_connections_is_the_networks() -> None:
    assert {frozenset(seen) for seen in LENET5_C3} == {frozenset(seen) for seen in C3_SEES}
    assert len(LENET5_C3) == 16


# --- VGG and AlexNet

VGG16 = {
    "conv1_1": "9·3·64 + 64 = 1,792",
    "conv1_2": "9·64·64 + 64 = 36,928",
    "pool1": "0",
    "conv2_1": "9·64·128 + 128 = 73,856",
    "conv2_2": "9·128·128 + 128 = 147,584",
    "pool2": "0",
    "conv3_1": "9·128·256 + 256 = 295,168",
    "conv3_2": "9·256·256 + 256 = 590,080",
    "conv3_3": "9·256·256 + 256 = 590,080",
    "pool3": "0",
    "conv4_1": "9·256·512 + 512 = 1,180,160",
    "conv4_2": "9·512·512 + 512 = 2,359,808",
    "conv4_3": "9·512·512 + 512 = 2,359,808",
    "pool4": "0",
    "conv5_1": "9·512·512 + 512 = 2,359,808",
    "conv5_2": "9·512·512 + 512 = 2,359,808",
    "conv5_3": "9·512·512 + 512 = 2,359,808",
    "pool5": "0",
    "fc6": "25088·4096 + 4096 = 102,764,544",
    "fc7": "4096·4096 + 4096 = 16,781,312",
    "fc8": "4096·1000 + 1000 = 4,097,000",
}


def test_vgg16s_table() -> None:
    layers = vgg_layers("vgg16")
    assert {layer.name: layer.parameters_formula for layer in layers} == VGG16
    assert sum(layer.parameters for layer in layers) == 138_357_544
    assert sum(layer.macs for layer in layers) == 15_470_264_320


@pytest.mark.parametrize("name", ["vgg11", "vgg13", "vgg16", "vgg19"])
@pytest.mark.parametrize("batch_norms", [False, True])
def test_every_vgg_has_the_parameters_of_the_network(name: str, batch_norms: bool) -> None:
    with torch.device("meta"):
        network = create_model(f"{name}_bn" if batch_norms else name)
    layers = vgg_layers(name, batch_norms=batch_norms)
    assert sum(layer.parameters for layer in layers) == count_parameters(network)


def test_the_vggs_worked_by_hand_are_those_of_the_catalog_and_of_the_networks() -> None:
    """This room imports no networks, so its depths stand there once more."""
    assert {name: config.depths for name, config in CONFIGS.items() if not config.batch_norm} == VGG_DEPTHS
    for name in VGG_DEPTHS:
        layers, known = vgg_layers(name), card(name)
        counts = (sum(layer.parameters for layer in layers), sum(layer.macs for layer in layers))
        assert counts == (known.params, known.macs)


def test_alexnet_has_60_million_parameters_and_650_000_neurons() -> None:
    layers = alexnet_layers()
    assert sum(layer.parameters for layer in layers) == 60_965_224
    assert sum(layer.macs for layer in layers) == 724_406_816
    assert [layer.outputs[1] for layer in layers if len(layer.outputs) == 3] == [55, 27, 27, 13, 13, 13, 13, 6]
    neurons = sum(layer.neurons for layer in layers if layer.kind != "max pooling")
    assert round(neurons, -4) == 660_000  # the paper: "650,000 neurons"


# --- Single cases of the notes


def test_the_notes_single_layers() -> None:
    eight_filters = convolution((32, 32), in_channels=3, out_channels=8, kernel=3)
    assert (eight_filters.weights, eight_filters.outputs) == (3 * 3 * 3 * 8, (8, 30, 30))
    assert convolution((30, 30), in_channels=8, out_channels=16, kernel=5).weights == 8 * 5 * 5 * 16
    assert convolution((32, 32), in_channels=3, out_channels=1, kernel=5, bias=False).weights == 75
    depthwise = convolution((8, 8), in_channels=32, out_channels=32, kernel=3, groups=32, bias=False)
    assert depthwise.parameters == 3 * 3 * 32
    parts = separable_convolution((8, 8), in_channels=8, out_channels=16, kernel=3, padding=1, bias=False)
    assert [part.weights for part in parts] == [72, 128]
    assert parts[1].outputs == (16, 8, 8)
    twice = separable_convolution((8, 8), in_channels=8, out_channels=16, kernel=3, multiplier=2, bias=False)
    assert [part.weights for part in twice] == [144, 256]
    summary = convolution((32, 32), in_channels=3, out_channels=10, kernel=5)  # F·F·D·K + K
    assert summary.parameters == 5 * 5 * 3 * 10 + 10


def test_what_trains_nothing_and_what_shares_nothing() -> None:
    pool = pooling((28, 28), channels=6, kernel=2)
    assert (pool.parameters, pool.macs, pool.connections) == (0, 0, 6 * 14 * 14 * 4)
    average = global_average_pooling(512, (7, 7))
    assert (average.parameters, average.outputs) == (0, (512, 1, 1))
    local = locally_connected((6, 7), in_channels=2, out_channels=3, kernel=3)
    assert local.weights == math.prod((4, 5, 3, 3, 2, 3))
    assert local.biases == local.neurons == 4 * 5 * 3
    assert local.macs == local.weights


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: convolution(8, in_channels=6, out_channels=4, kernel=3, groups=4),
            "groups 4 must divide in_channels 6",
        ),
        (
            lambda: convolution(8, in_channels=4, out_channels=6, kernel=3, groups=4),
            "groups 4 must divide out_channels 6",
        ),
        (lambda: convolution(8, in_channels=4, out_channels=6, kernel=3, groups=0), "groups must be"),
        (lambda: convolution(8, in_channels=0, out_channels=6, kernel=3), "in_channels must be"),
        (lambda: convolution(8, in_channels=1, out_channels=-1, kernel=3), "out_channels must be"),
        (lambda: convolution(8, in_channels=1, out_channels=1, kernel=3, stride=0), "stride must be"),
        (lambda: dense(0, 10), "in_features must be"),
        (lambda: dense(10, 2.5), "out_features must be"),
        (lambda: batch_norm(0), "channels must be"),
        (lambda: subsampling(8, channels=0), "channels must be"),
        (lambda: pooling(8, channels=1, kernel=2, padding=2), "padding of a pooling"),
        (lambda: separable_convolution(8, in_channels=2, out_channels=2, kernel=3, multiplier=0), "multiplier must be"),
        (lambda: locally_connected(8, in_channels=2, out_channels=0, kernel=3), "out_channels must be"),
        (lambda: partial_convolution(8, sees=((0,), ()), in_channels=2, kernel=3), "sees: map 1 must read"),
        (lambda: partial_convolution(8, sees=((0, 2),), in_channels=2, kernel=3), "sees: map 0 must read"),
        (lambda: partial_convolution(8, sees=(), in_channels=2, kernel=3), "sees must name"),
        (lambda: vgg_layers(num_classes=0), "num_classes must be"),
        (lambda: alexnet_layers(num_classes=1.5), "num_classes must be"),
        (lambda: vgg_layers("vgg17"), 'name must be one of .*not "vgg17".*Did you mean'),
        (lambda: vgg_layers(size=31), "size 1"),
    ],
)
def test_refusals_name_the_field(call, message) -> None:
    with pytest.raises(UsageError, match=message):
        call()
