"""CNN-F, CNN-M, CNN-S against Table 1 of their paper, hand arithmetic, and the network written out as functions."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from benchmarks.peers import scramble
from torch import Tensor

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.cnn_fms import CNN_F, CNN_S, Conv
from tests.models.equality import assert_equal
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-27")

SMALL_F = tuple(dataclasses.replace(row, out=out) for row, out in zip(CNN_F, (16, 32, 32, 32, 32), strict=True))
FIGURES = {
    "cnn_f": (60_834_536, 724_005_632),
    "cnn_m": (102_908_520, 1_676_172_320),
    "cnn_s": (102_908_520, 2_637_708_320),
    "cnn_m_1024": (87_250_536, 1_660_517_408),
}
# Table 1 by hand: kernels, their sizes and the side of the maps of conv1 ... conv5 at 224 x 224; units of full7. Sides:
# F: (224 - 11) / 4 + 1 = 54, pooled 27, conv2 27, pooled 13. M: (224 - 7) / 2 + 1 = 109, pooled 54,
# conv2 (54 + 2 - 5) / 2 + 1 = 26, pooled 13. S: 109, pooled by 3 to 37, conv2 37 - 4 = 33, pooled 17. All end at 6 x 6.
TABLE_1 = {
    "cnn_f": ((64, 256, 256, 256, 256), (11, 5, 3, 3, 3), (54, 27, 13, 13, 13), 4096),
    "cnn_m": ((96, 256, 512, 512, 512), (7, 5, 3, 3, 3), (109, 26, 13, 13, 13), 4096),
    "cnn_s": ((96, 256, 512, 512, 512), (7, 5, 3, 3, 3), (109, 33, 17, 17, 17), 4096),
    "cnn_m_1024": ((96, 256, 512, 512, 512), (7, 5, 3, 3, 3), (109, 26, 13, 13, 13), 1024),
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("name", FIGURES)
def test_parameters_and_macs_to_the_last_digit(name):
    with torch.device("meta"):
        network = create_model(name)
    assert (count_parameters(network), count_macs(network, (3, 224, 224))) == FIGURES[name]


@pytest.mark.parametrize("name", FIGURES)
def test_the_figures_follow_from_table_1_by_hand(name):
    kernels, sizes, sides, full7 = TABLE_1[name]
    parameters, macs, channels = 0, 0, 3
    for out, size, side in zip(kernels, sizes, sides, strict=True):
        parameters += size * size * channels * out + out
        macs += size * size * channels * out * side * side
        channels = out
    for inputs, outputs in ((6 * 6 * channels, 4096), (4096, full7), (full7, 1000)):
        parameters += inputs * outputs + outputs
        macs += inputs * outputs
    assert (parameters, macs) == FIGURES[name]


def test_cnn_m_1024_with_fast_rcnn_s_outputs_has_its_parameters():
    """Model M of Fast R-CNN, VGG_CNN_M_1024: 21 classes and 84 coordinates in the place of 1000 classes."""
    with torch.device("meta"):
        assert count_parameters(create_model("cnn_m_1024", num_classes=21 + 84)) == 86_333_161


@pytest.mark.parametrize(
    ("name", "shapes", "strides"),
    [
        ("cnn_f", [(64, 27, 27), (256, 13, 13), (256, 6, 6)], [8, 16, 32]),
        ("cnn_m", [(96, 54, 54), (256, 13, 13), (512, 6, 6)], [4, 16, 32]),
        ("cnn_s", [(96, 37, 37), (256, 17, 17), (512, 6, 6)], [6, 12, 36]),
        ("cnn_m_1024", [(96, 54, 54), (256, 13, 13), (512, 6, 6)], [4, 16, 32]),
    ],
)
def test_features_are_the_pooled_maps(name, shapes, strides):
    with torch.device("meta"):
        network = create_model(name)
        maps = network.features(torch.empty(1, 3, 224, 224))
    assert [tuple(each.shape[1:]) for each in maps] == shapes
    assert [info.stride for info in network.feature_info] == strides
    assert [info.name for info in network.feature_info] == ["pool1", "pool2", "pool5"]


def response_norm(x: Tensor) -> Tensor:
    """Section 3.3 of AlexNet's paper: k = 2, n = 5, alpha = 1e-4, beta = 0.75."""
    squares = F.pad(x.square(), (0, 0, 0, 0, 2, 2))
    return x / (2 + 1e-4 * sum(squares[:, shift : shift + x.shape[1]] for shift in range(5))) ** 0.75


def max_pool(x: Tensor, window: int, stride: int) -> Tensor:
    """Windows that start inside count, the last ones cut short: with so much of -inf below and right."""
    below, right = (-(side - window) % stride for side in x.shape[2:])
    return F.max_pool2d(F.pad(x, (0, right, 0, below), value=float("-inf")), window, stride)


def written_out(name: str, w: dict[str, Tensor], x: Tensor) -> Tensor:
    """The released networks of the authors, line by line."""

    def conv(number: int, x: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
        key = f"stages.{(0, 1, 2, 2, 2)[number - 1]}.conv{number}"
        return F.conv2d(x, w[f"{key}.weight"], w[f"{key}.bias"], stride, padding).clamp(min=0)

    if name == "cnn_f":
        x = max_pool(response_norm(conv(1, x, stride=4)), 3, 2)
        x = max_pool(response_norm(conv(2, x, padding=2)), 3, 2)
    elif name == "cnn_s":
        x = max_pool(response_norm(conv(1, x, stride=2)), 3, 3)
        x = max_pool(conv(2, x), 2, 2)
    else:
        x = max_pool(response_norm(conv(1, x, stride=2)), 3, 2)
        x = max_pool(response_norm(conv(2, x, stride=2, padding=1)), 3, 2)
    for number in (3, 4, 5):
        x = conv(number, x, padding=1)
    x = max_pool(x, 3, 3) if name == "cnn_s" else max_pool(x, 3, 2)
    assert x.shape[2:] == (6, 6)
    x = x.flatten(1)
    for number in (6, 7):
        x = F.linear(x, w[f"head.fc{number}.weight"], w[f"head.fc{number}.bias"]).clamp(min=0)
    return F.linear(x, w["head.fc8.weight"], w["head.fc8.bias"])


@pytest.mark.parametrize("name", FIGURES)
def test_answers_as_the_network_written_out_does(name):
    rows = model_config(name).convs
    outs = (6, 12, 8, 10, 12)
    narrow = tuple(dataclasses.replace(row, out=out) for row, out in zip(rows, outs, strict=True))
    network = scramble(create_model(name, convs=narrow, full6=9, full7=8, num_classes=5))
    x = 100 * torch.randn(1, 3, 224, 224, dtype=torch.float64)  # large, so that the normalisation matters
    with torch.no_grad():
        got, wanted = network(x), written_out(name, network.state_dict(), x)
    assert_equal(got, wanted)


def test_the_first_weights_are_normal_and_the_biases_zero():
    network = create_model("cnn_f", full6=512, full7=512)
    for weight in (network.stages[2].conv3.weight, network.head.fc6.weight):
        assert weight.std().item() == pytest.approx(0.01, rel=0.01)
    assert not any(value.any() for name, value in network.named_parameters() if name.endswith("bias"))


def test_it_learns_64_digits_by_heart(digits: PictureSet):
    # The deviation of 0.01 is for thousands of inputs a unit; with a hundred it starves the upper layers.
    changes = {"convs": SMALL_F, "full6": 64, "full7": 64, "dropout": 0.0, "init_std": 0.1}
    network = create_model("cnn_f", in_channels=1, num_classes=10, **changes)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    assert mistakes_after(60, network, *sixty_four(digits, 51), optimizer) == 0


@pytest.mark.parametrize(("name", "smallest"), [("cnn_f", 39), ("cnn_m", 41), ("cnn_s", 31)])
def test_the_smallest_picture_leaves_one_pixel_and_less_is_refused(name, smallest):
    with torch.device("meta"):
        network = create_model(name)
        assert network.features(torch.empty(1, 3, smallest, smallest))[-1].shape[2:] == (1, 1)
        with pytest.raises(UsageError, match=rf"needs images of at least {smallest}x{smallest}, got {smallest - 1}x80"):
            network(torch.empty(1, 3, smallest - 1, 80))
        network.smallest = 1  # without the check, torch itself cannot go lower
        with pytest.raises(RuntimeError):
            network(torch.empty(1, 3, smallest - 1, 80))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("convs", ()),
        ("convs", ((64, 11, 4),)),
        ("full6", 0),
        ("full7", 0),
        ("dropout", 1.0),
        ("init_std", -0.1),
        ("in_channels", 0),
        ("num_classes", 2.5),
    ],
)
def test_an_impossible_config_names_its_field(field, value):
    with pytest.raises(UsageError, match=rf"CNNConfig\.{field} must be"):
        model_config("cnn_m", **{field: value})


def test_a_last_convolution_without_pooling_is_refused():
    with pytest.raises(UsageError, match=r"CNNConfig\.convs must end with a pooling"):
        model_config("cnn_s", convs=CNN_S[:3])


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"out": 0, "kernel": 3}, r"Conv\.out must be a whole number >= 1"),
        ({"out": 8, "kernel": 3, "padding": -1}, r"Conv\.padding must be a whole number >= 0"),
        ({"out": 8, "kernel": 3, "pool": 2, "pool_stride": 3}, r"Conv\.pool_stride must be at most pool=2, not 3"),
    ],
)
def test_an_impossible_convolution_names_its_field(row, problem):
    with pytest.raises(UsageError, match=problem):
        Conv(**row)
