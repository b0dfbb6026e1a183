"""Squeeze-and-excitation networks against their paper's figures, peers, and their parents with the blocks held open."""

import pytest
import timm
import torch
import torch.nn.functional as F
from benchmarks.peers import copy_in_order, largest_difference, pool_with_a_margin, scramble
from torch import nn

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.layers.squeeze_excitation import SqueezeExcitation
from convatlas.models import create_model, model_config
from convatlas.models.classify.bn_inception import Reduction, Row
from convatlas.models.classify.mobilenet_v1 import Stage
from tests.models.equality import assert_equal, assert_equal_outputs
from tests.models.learning import mistakes_after, sixty_four
from tests.models.members import pytorchcv_pairs

pytestmark = pytest.mark.row("B-13")

ROW = Row(conv1x1=8, reduce3x3=8, conv3x3=16, reduce_double=8, double3x3=8, pool_proj=8)
HALF = Reduction(reduce3x3=8, conv3x3=16, reduce_double=8, double3x3=16)
SMALL = {
    "se_resnet18": {"depths": (1, 1, 1, 1), "width": 16},
    "se_resnet50": {"depths": (1, 1, 1, 1), "width": 8},
    "se_resnext50_32x4d": {"depths": (1, 1, 1, 1), "width": 8, "cardinality": 4, "bottleneck_width": 2},
    "senet154": {"depths": (1, 1, 1, 1), "width": 8, "cardinality": 8},
    "se_bn_inception": {"stem": (8, 8, 16), "stages": ((ROW,), (HALF, ROW), (HALF, ROW))},
    "se_inception_resnet_v2": {"width": 0.05, "depths": (1, 1, 1), "dropout": 0.0},
    "se_mobilenet_v1": {"width": 0.5, "stages": tuple(Stage(out=32 * 2**n, repeats=1, stride=2) for n in range(4))},
    "se_shufflenet_v1": {"channels": 48, "depths": (2, 1, 1)},
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def hold(network: nn.Module, answer: float) -> None:
    """Let every SE block weigh each channel by the sigmoid of `answer`: of 50 is 1, and of -1000 is 0."""
    for module in network.modules():
        if isinstance(module, SqueezeExcitation):
            nn.init.zeros_(module.excite.weight)
            nn.init.constant_(module.excite.bias, answer)


# --- The figures


def of_blocks(widths: list[int], reduction: int = 16) -> tuple[int, int]:
    """By hand: the parameters and multiply-accumulates of SE blocks on so many channels."""
    units = [(width, width // reduction) for width in widths]
    weights = sum(2 * width * squeezed for width, squeezed in units)
    return weights + sum(width + squeezed for width, squeezed in units), weights


def repeated(*stages: tuple[int, int]) -> list[int]:
    return [width for width, depth in stages for _ in range(depth)]


# The parents' figures are other libraries' or, as theirs by hand, in their own tests; the widths are those of the
# paper's Table 1 and of the parents' tables. SE-BN-Inception has no idle biases, of which BN-Inception has 10,016.
BY_HAND = [
    ("se_resnet18", 11_689_512, 1_814_073_344, repeated((64, 2), (128, 2), (256, 2), (512, 2))),
    ("se_resnet34", 21_797_672, 3_663_761_408, repeated((64, 3), (128, 4), (256, 6), (512, 3))),
    ("se_resnet50", 25_557_032, 3_857_973_248, repeated((256, 3), (512, 4), (1024, 6), (2048, 3))),
    ("se_resnet101", 44_549_160, 7_570_194_432, repeated((256, 3), (512, 4), (1024, 23), (2048, 3))),
    ("se_resnet152", 60_192_808, 11_282_415_616, repeated((256, 3), (512, 8), (1024, 36), (2048, 3))),
    ("se_resnext50_32x4d", 25_028_904, 4_230_479_872, repeated((256, 3), (512, 4), (1024, 6), (2048, 3))),
    ("se_resnext101_32x4d", 44_177_704, 7_969_996_800, repeated((256, 3), (512, 4), (1024, 23), (2048, 3))),
    ("se_bn_inception", 11_285_224, 2_032_600_064, [256, 320, 576, 576, 576, 608, 608, 1056, 1024, 1024]),
    ("se_inception_resnet_v2", 55_843_464, 13_155_794_016, repeated((320, 10), (1088, 20), (2080, 10))),
    ("se_mobilenet_v1", 4_231_976, 568_740_352, repeated((64, 1), (128, 2), (256, 2), (512, 6), (1024, 2))),
    # What a unit with stride 2 computes lacks the channels that it passes on: 24, 240 and 480.
    ("se_shufflenet_v1", 1_865_728, 137_460_672, [216, *[240] * 3, 240, *[480] * 7, 480, *[960] * 3]),
]


@pytest.mark.parametrize(("name", "parameters", "macs", "widths"), BY_HAND, ids=lambda value: str(value)[:24])
def test_an_se_network_is_its_parent_and_its_se_blocks(name, parameters, macs, widths):
    with torch.device("meta"):
        network = create_model(name)
    side = 299 if name == "se_inception_resnet_v2" else 224
    more_parameters, more_macs = of_blocks(widths)
    assert [m.squeeze.in_channels for m in network.modules() if isinstance(m, SqueezeExcitation)] == widths
    assert count_parameters(network) == parameters + more_parameters
    assert count_macs(network, (3, side, side)) == macs + more_macs


def test_senet154_by_hand():
    parameters, macs = of_blocks(repeated((256, 3), (512, 8), (1024, 36), (2048, 3)))

    def conv(kernel: int, a: int, b: int, side: int, groups: int = 1) -> None:
        nonlocal parameters, macs
        weights = kernel * kernel * a * b // groups
        parameters += weights + 2 * b  # BatchNorm's two
        macs += weights * side * side

    for a, b in ((3, 64), (64, 64), (64, 128)):
        conv(3, a, b, 112)
    channels, side = 128, 56
    for stage, depth in enumerate((3, 8, 36, 3)):
        out = 256 * 2**stage
        for block in range(depth):
            conv(1, channels, out // 2, side)
            side = side // 2 if stage > 0 and block == 0 else side
            conv(3, out // 2, out, side, groups=64)
            conv(1, out, out, side)
            if block == 0:
                conv(1 if stage == 0 else 3, channels, out, side)
            channels = out
    parameters, macs = parameters + 2048 * 1000 + 1000, macs + 2048 * 1000
    with torch.device("meta"):
        network = create_model("senet154")
    assert (parameters, macs) == (115_088_984, 20_688_363_520)  # timm's legacy_senet154
    assert (count_parameters(network), count_macs(network, (3, 224, 224))) == (parameters, macs)


@pytest.mark.parametrize(("reduction", "millions"), [(2, 45.7), (4, 35.7), (8, 30.7), (16, 28.1), (32, 26.9)])
def test_the_reduction_ratios_of_table_10(reduction, millions):
    with torch.device("meta"):
        network = create_model("se_resnet50", reduction=reduction)
    # The table's networks have no biases in the excitation, 0.02 million of ours, and its figures round both ways.
    assert count_parameters(network) / 1e6 == pytest.approx(millions, abs=0.1)


# --- Peers


@pytorchcv_pairs("se_resne", always={"seresnet18", "seresnet50"})
def test_equals_pytorchcv_with_the_same_random_weights(pair):
    """Whose stem pools with a margin."""
    assert largest_difference(pair) <= 1e-10


@pytest.mark.parametrize(
    "name",
    [
        "se_resnet50",
        *(
            pytest.param(name, marks=pytest.mark.every_variant)
            for name in ("se_resnet101", "se_resnet152", "se_resnext50_32x4d", "se_resnext101_32x4d", "senet154")
        ),
    ],
)
def test_equals_timms_form_of_the_authors_networks(name):
    """Also on odd sides, where the pooling of the stem, which does not pad, and a padded one differ most."""
    theirs = scramble(timm.create_model(f"legacy_{name.replace('_', '', 1)}"))
    ours = create_model(name).double().eval()
    assert_equal_outputs(copy_in_order(theirs, ours), theirs, (75, 75))


# --- The block and its places


@pytest.mark.parametrize("placement", ["standard", "pre", "post", "identity"])
def test_the_places_of_figure_5(placement):
    """Each as the figure draws it: f the residual, and the input is added as it is."""
    block = scramble(create_model("se_resnet18", placement=placement, width=32).stages[1][1])
    f, se = block.residual, block.se
    x = torch.randn(2, 64, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        answers = {
            "standard": (se(f(x)) + x).relu(),
            "pre": (f(se(x)) + x).relu(),
            "post": se((f(x) + x).relu()),
            "identity": (f(x) + se(x)).relu(),
        }
        got = block(x)
    assert torch.equal(got, answers.pop(placement))
    assert not any(torch.allclose(got, other) for other in answers.values())


@pytest.mark.parametrize("placement", ["standard", "pre", "post", "identity"])
def test_the_places_where_the_shortcut_projects(placement):
    block = scramble(create_model("se_resnet18", placement=placement, width=32).stages[1][0])
    assert isinstance(block.shortcut, nn.Sequential)
    x = torch.randn(2, 32, 8, 8, dtype=torch.float64)
    hold(block, -1000.0)  # what the SE block weighs is 0
    with torch.no_grad():
        f, way = block.residual, block.shortcut
        wanted = {"standard": way(x), "pre": f(0 * x) + way(x), "post": 0 * way(x), "identity": f(x)}[placement]
        assert torch.equal(block(x), wanted.relu())


@pytest.mark.parametrize(
    ("placement", "widths"),
    [
        # The channels that come into each block of ResNet-50, for "pre", and those that go out of it.
        ("pre", [64, 256, 256, 256, 512, 512, 512, 512, *[1024] * 6, 2048, 2048]),
        *((place, repeated((256, 3), (512, 4), (1024, 6), (2048, 3))) for place in ("standard", "post", "identity")),
    ],
)
def test_the_parameters_of_each_place(placement, widths):
    with torch.device("meta"):
        network = create_model("se_resnet50", placement=placement)
    assert count_parameters(network) == 25_557_032 + of_blocks(widths)[0]


@pytest.mark.parametrize("placement", ["standard", "pre", "post", "identity"])
@pytest.mark.parametrize("name", ["se_resnet18", "se_resnet50", "se_resnext50_32x4d"])
def test_every_place_trains(name, placement):
    network = create_model(name, placement=placement, reduction=2, num_classes=7, **{**SMALL[name], "width": 16})
    logits = network(torch.randn(4, 3, 64, 64))
    F.cross_entropy(logits, torch.tensor([0, 1, 2, 6])).backward()
    assert [key for key, p in network.named_parameters() if not p.grad.abs().sum() > 0] == []


PARENTS = [
    ("se_resnet18", "resnet18", {"depths": (1, 2, 1, 1)}),
    ("se_resnet50", "resnet50_paper", {"depths": (1, 2, 1, 1)}),
    ("se_resnext50_32x4d", "resnext50_32x4d", {"depths": (1, 2, 1, 1)}),
    ("se_bn_inception", "bn_inception", {}),
    ("se_inception_resnet_v2", "inception_resnet_v2", {"depths": (1, 1, 2)}),
    ("se_mobilenet_v1", "mobilenet_v1", {}),
    ("se_shufflenet_v1", "shufflenet_v1_g3", {}),
]


@pytest.mark.parametrize(("name", "parent", "changes"), PARENTS)
def test_with_its_blocks_held_open_it_is_its_parent(name, parent, changes):
    network = scramble(create_model(name, **changes))
    if name.startswith("se_resne"):
        pool_with_a_margin(network, network)
    plain = create_model(parent, **changes).double().eval()
    hold(network, 50.0)
    own = [value for key, value in network.state_dict().items() if ".squeeze." not in key and ".excite." not in key]
    keys = list(plain.state_dict())
    if name == "se_bn_inception":  # its convolutions have no biases; BN-Inception starts with zeros
        keys = [key for key in keys if not key.endswith("conv.bias")]
        keys = [key for key in keys if ".conv1.bias" not in key and ".conv2.bias" not in key]
    assert [value.shape for value in own] == [plain.state_dict()[key].shape for key in keys]
    plain.load_state_dict(dict(zip(keys, own, strict=True)), strict=name != "se_bn_inception")
    x = torch.randn(1, 3, 96, 107, dtype=torch.float64)
    with torch.no_grad():
        wanted, got = plain(x), network(x)
        assert_equal(got, wanted)
        hold(network, 0.0)  # half of each channel
        assert not torch.allclose(network(x), wanted)


@pytest.mark.parametrize(
    ("name", "stage", "index", "channels"),
    [
        ("se_resnet18", 0, 1, 64),
        ("se_resnet50", 1, 1, 512),
        ("se_inception_resnet_v2", 1, 1, 1088),
        ("senet154", 0, 1, 32),
        ("se_shufflenet_v1", 1, 3, 480),
    ],
)
def test_with_its_block_closed_a_residual_unit_passes_its_input_on(name, stage, index, channels):
    small = {
        "senet154": {"depths": (2, 1, 1, 1), "width": 8, "cardinality": 8},
        "se_inception_resnet_v2": {"depths": (1, 1, 1)},
    }
    network = scramble(create_model(name, **small.get(name, {})))
    hold(network, -1000.0)
    x = torch.randn(1, channels, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(network.stages[stage][index](x), x.relu())


def test_se_bn_inception_has_no_idle_biases():
    network = create_model("se_bn_inception")
    with_bias = [key for key, module in network.named_modules() if getattr(module, "bias", None) is not None]
    assert all(key.endswith((".bn", ".squeeze", ".excite")) or key == "head.fc" for key in with_bias)


# --- Initialisation, learning


@pytest.mark.parametrize("name", ["se_resnet50", "se_bn_inception", "se_mobilenet_v1", "se_shufflenet_v1"])
def test_weights_start_as_in_delving_deep_into_rectifiers(name):
    for module in create_model(name).modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if module.weight.numel() > 10_000:
                fan_in = module.weight[0].numel()
                assert module.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)
            assert module.bias is None or (module.bias == 0).all()


@pytest.mark.parametrize(
    "name", [name if name == "se_resnet18" else pytest.param(name, marks=pytest.mark.every_variant) for name in SMALL]
)
def test_it_learns_64_digits_by_heart(digits: PictureSet, name: str):
    network = create_model(name, in_channels=1, num_classes=10, **SMALL[name])
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    assert (
        mistakes_after(30, network, *sixty_four(digits, 75 if name == "se_inception_resnet_v2" else 32), optimizer) == 0
    )


# --- Bad input


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("se_resnet18", {"depths": (2, 2)}, r"SEResNetConfig\.depths must be four whole numbers >= 1"),
        ("se_resnet18", {"block": "plain"}, r'SEResNetConfig\.block must be one of "basic", .*, not \'plain\''),
        ("se_resnet18", {"placement": "front"}, r'SEResNetConfig\.placement must be one of "standard", .* \'front\''),
        ("se_resnet18", {"reduction": 0}, r"SEResNetConfig\.reduction must be a whole number >= 1, not 0"),
        ("se_resnet18", {"reduction": 65}, r"SEResNetConfig\.reduction must be at most 64, .*, not 65"),
        ("se_resnet50", {"reduction": 65, "placement": "pre"}, r"SEResNetConfig\.reduction must be at most 64, "),
        ("senet154", {"cardinality": 48}, r"SENet154Config\.cardinality must divide 128, .*, and 48 does not"),
        ("senet154", {"reduction": 257}, r"SENet154Config\.reduction must be at most 256, "),
        ("senet154", {"dropout": 1.0}, r"SENet154Config\.dropout must be at least 0 and below 1, not 1\.0"),
        ("se_bn_inception", {"reduction": 257}, r"SEBNInceptionConfig\.reduction must be at most 256, "),
        ("se_mobilenet_v1", {"width": 0.1}, r"SEMobileNetV1Config\.reduction must be at most 8, .*, not 16"),
        ("se_shufflenet_v1", {"reduction": 300}, r"SEShuffleNetV1Config\.reduction must be at most 216, "),
        ("se_inception_resnet_v2", {"form": "v1"}, r"SEInceptionResNetV2Config\.form must be \"public\", not 'v1'"),
        ("se_resnet50", {"cardinality": 8}, r"SEResNetConfig\.cardinality .* must be None, not 8 and None"),
        ("se_resnet18", {"bottleneck_width": 4}, r"cardinality and bottleneck_width .* must be None, not None and 4"),
        ("se_inception_resnet_v2", {"reduction": 0}, r"SEInceptionResNetV2Config\.reduction must be a whole number"),
    ],
)
def test_impossible_configs_name_their_field(name, changes, message):
    with pytest.raises(UsageError, match=message):
        model_config(name, **changes)


def test_an_se_block_with_too_few_channels_names_the_field():
    with pytest.raises(UsageError, match=r"SEInceptionResNetV2Config\.reduction must be at most 320, .*, not 321"):
        create_model("se_inception_resnet_v2", reduction=321)
