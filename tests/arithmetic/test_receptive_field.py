"""Theoretical receptive fields: published values, the closed form of chains, and what the gradient says of branches."""

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from convatlas import models
from convatlas.arithmetic.field.closed import AxisField, ReceptiveField, WindowLayer, field_of_chain
from convatlas.arithmetic.field.effective import effective_receptive_field
from convatlas.arithmetic.field.theoretical import layer_fields, receptive_field
from convatlas.catalog import card, list_cards
from convatlas.errors import UsageError

pytestmark = pytest.mark.row("A-05")

# --- Published values

DISTILL = "Araujo et al., Distill 2019, table of modern networks"
FULL_TABLE = "its full table: google-research/receptive_field, RECEPTIVE_FIELD_TABLE.md"
RESNET = f"{FULL_TABLE}, at 321 pixels; its blocks stride at their end, ours as in the paper: the jump is by hand"
# Size and jump do not depend on padding. The table's AlexNet, MobileNet and Inception v2 are padded otherwise than ours
# (none at the first layer; TensorFlow's SAME, by the picture's size), so that their offsets are not compared.
PUBLISHED = [
    # network, layer, size, jump, -start, source
    ("alexnet", "stages.0.conv1", 11, 4, None, FULL_TABLE),
    ("alexnet", "pool1", 19, 8, None, FULL_TABLE),
    ("alexnet", "stages.1.conv2", 51, 8, None, FULL_TABLE),
    ("alexnet", "stages.2.conv3", 99, 16, None, FULL_TABLE),
    ("alexnet", "stages.2.conv5", 163, 16, None, FULL_TABLE),
    ("alexnet", "pool5", 195, 32, None, DISTILL),
    ("vgg11", "head.pool", 150, 32, 59, FULL_TABLE),
    ("vgg16", "stages.2.conv1", 24, 4, 10, FULL_TABLE),
    ("vgg16", "stages.4.conv2", 164, 16, 74, FULL_TABLE),
    ("vgg16", "head.pool", 212, 32, 90, DISTILL),
    ("resnet50_paper", "conv2_x", 35, 4, 17, RESNET),
    ("resnet50_paper", "conv3_x", 99, 8, 49, RESNET),
    ("resnet50_paper", "conv4_x", 291, 16, 145, RESNET),
    ("resnet50_paper", "conv5_x", 483, 32, 241, DISTILL),
    ("resnet101_paper", "conv5_x", 1027, 32, 513, DISTILL),
    ("resnet152_paper", "conv5_x", 1507, 32, 753, DISTILL),
    ("resnet50", "conv5_x", 427, 32, 213, "by hand: the stride in the 3x3 sees 8 + 16 + 32 pixels less"),
    ("inception_v3", "stem", 23, 4, 2, FULL_TABLE),
    ("inception_v3", "stages.0", 127, 8, 50, FULL_TABLE),
    ("inception_v3", "stages.1", 927, 16, 442, FULL_TABLE),
    ("inception_v3", "stages.2", 1311, 32, 618, DISTILL),
    ("inception_v4", "stages.2", 2071, 32, 998, DISTILL),
    ("mobilenet_v1", "stages.3", 219, 16, None, FULL_TABLE),
    ("mobilenet_v1", "stages.4", 315, 32, None, DISTILL),
]


@pytest.mark.parametrize(
    ("name", "layer", "size", "jump", "padding", "source"), PUBLISHED, ids=lambda each: str(each)[:24]
)
def test_published_fields(name: str, layer: str, size: int, jump: int, padding: int | None, source: str) -> None:
    with torch.device("meta"):
        network = models.create_model(name)
    field = receptive_field(network, card(name).input, layer=layer)
    assert {(axis.size, axis.jump) for axis in field.axes} == {(size, jump)}, source
    if padding is not None:
        assert {axis.start for axis in field.axes} == {-padding}, source


# --- The closed form

WINDOWS = st.builds(
    WindowLayer,
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(WINDOWS, max_size=5))
def test_a_trace_of_a_chain_gives_its_closed_form(windows: list[WindowLayer]) -> None:
    layers = [nn.Conv2d(1, 1, w.kernel, w.stride, w.padding, w.dilation) for w in windows]
    chain = nn.Sequential(*layers, nn.ReLU())
    (field,) = [layer.field for layer in layer_fields(chain, (1, 1500, 1500)) if layer.layer == str(len(layers))]
    computed = field_of_chain(windows)
    assert [(a.size, a.jump, a.start) for a in field.axes] == [(a.size, a.jump, a.start) for a in computed.axes]


def test_the_notes_stacks_of_3x3() -> None:
    """Two 3x3 reach as far as one 5x5, three as far as one 7x7."""
    three = WindowLayer(kernel=3, padding=1)
    assert [field_of_chain([three] * depth).axes[0].size for depth in (0, 1, 2, 3)] == [1, 3, 5, 7]


def test_a_field_says_what_it_is() -> None:
    assert str(field_of_chain([WindowLayer(kernel=7, stride=2, padding=3)])) == "7 x 7, jump 2, from -3"
    assert str(ReceptiveField(unknown="the operation nms is not known here")).startswith("unknown: the operation nms")
    axis = AxisField(size=Fraction(6), jump=Fraction(4), start=Fraction(-1))
    assert axis.centre == Fraction(3, 2)
    assert axis.seen(0, 100) == range(5)
    assert axis.seen(24, 100) == range(95, 100)
    assert axis.seen(40, 100) == range(0)


@pytest.mark.parametrize(
    "wrong", [{"kernel": 0}, {"kernel": 3, "stride": 0}, {"kernel": 3, "padding": -1}, {"kernel": 2.5}]
)
def test_impossible_windows_are_named(wrong: dict) -> None:
    with pytest.raises(UsageError, match=f"^{list(wrong)[-1]} must be a whole number of at least"):
        WindowLayer(**wrong)
    with pytest.raises(UsageError, match=r"^kernel must be one number for all axes, or 2"):
        field_of_chain([WindowLayer(kernel=(3,))])
    with pytest.raises(UsageError, match=r"^axes must be a whole number of at least 1, not 0"):
        field_of_chain([], axes=0)


# --- AlexNet, of which the last map is worked by hand

ALEXNET = [  # Section 3.5 of the paper: kernel, stride, and what a unit sees after it, r + (k - 1) j
    (11, 4, 11),
    (3, 2, 19),  # 11 + 2 * 4
    (5, 1, 51),  # 19 + 4 * 8
    (3, 2, 67),
    (3, 1, 99),  # 67 + 2 * 16
    (3, 1, 131),
    (3, 1, 163),
    (3, 2, 195),
]


def test_alexnet_of_its_papers_layers() -> None:
    layers = [WindowLayer(kernel=kernel, stride=stride) for kernel, stride, _ in ALEXNET]
    fields = [field_of_chain(layers[:depth]).axes[0] for depth in range(1, len(layers) + 1)]
    assert [field.size for field in fields] == [size for _, _, size in ALEXNET]
    assert fields[-1].jump == 32


@pytest.mark.parametrize("name", ["alexnet", "alexnet_paper"])
def test_the_gradient_of_a_unit_of_alexnets_last_pooling_has_195_pixels(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(F, "max_pool2d", averaged)
    network = positive(models.create_model(name, hidden=1, in_channels=1))
    picture = torch.ones(1, 1, 419, 387, dtype=torch.float64)
    rows = []
    for unit in ((4, 4), (5, 4)):
        measured = effective_receptive_field(network, "pool5", pictures=picture, unit=unit)
        assert measured.support is not None
        assert [len(side) for side in measured.support] == [195, 195]
        rows.append(measured.support[0])
    assert rows[1].start - rows[0].start == 32


# --- Branches of the catalog's networks: where the gradient is not zero, with weights that cannot cancel

SIZE = (163, 147)  # with no stride of these networks a last pixel remains that no window reads
BRANCHED = {
    "resnet18": "conv3_x",
    "resnet50": "conv3_x",
    "resnet20_cifar": "stage2",
    "densenet121": "block1",
    "googlenet": "3b",
    "inception_v3": "stages.0",
    "inception_v4": "stem",
    "squeezenet1_0": "fire8",
    "xception": "stages.1",
    "mobilenet_v2": "stages.2",
    "shufflenet_v1_g3": "stages.0",
    "shufflenet_v2_x1_0": "stages.0",
    "nasnet_mobile": "stages.0",
    "mobilenet_v3_small": "stages.1",  # from here on with gates, by which all of the picture is seen
    "efficientnet_b0": "stages.1",
    "se_resnet50": "conv2_x",
}


@pytest.mark.parametrize("name", BRANCHED)
def test_the_gradient_reaches_just_what_is_computed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = positive(models.create_model(name))
    (layer,) = layer_fields(network, (3, *SIZE), [BRANCHED[name]])
    monkeypatch.setattr(F, "max_pool2d", averaged)  # the largest alone would have a gradient
    picture = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.5
    height, width = layer.shape[2:]
    for unit in ((0, 0), (height // 2, width // 2), (height - 1, width - 1)):
        seen = tuple(axis.seen(u, pixels) for axis, u, pixels in zip(layer.field.axes, unit, SIZE, strict=True))
        measured = effective_receptive_field(network, layer.layer, pictures=picture, unit=unit)
        assert measured.support == seen, f"unit {unit} of {layer.field}"


def positive(network: nn.Module) -> nn.Module:
    """The same with all weights alike and positive, each layer an average, normalisations the identity; float64."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
        for name, parameter in module.named_parameters(recurse=False):
            value = 0.0 if name == "bias" else 1.0 if parameter.dim() == 1 else 1 / parameter[0].numel()
            nn.init.constant_(parameter, value)
    return network.double().eval()


def averaged(
    x: Tensor, kernel: int, stride: int | None = None, padding: int = 0, dilation: int = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:  # fmt: skip
    """Average pooling with max pooling's windows."""
    assert dilation == 1
    assert not return_indices
    return F.avg_pool2d(x, kernel, stride, padding, ceil_mode)


# --- Names, and leaving no trace


def test_a_layer_that_there_is_not() -> None:
    with torch.device("meta"):
        network = models.create_model("vgg11")
    with pytest.raises(UsageError, match=r'VGG has no layer \'cnv5\'. Did you mean "conv5"'):
        receptive_field(network, layer="cnv5")
    idle = nn.Identity()
    idle.spare = nn.Conv2d(1, 1, 1)
    with pytest.raises(UsageError, match="'spare' of Identity is not called"):
        receptive_field(idle, (1, 4, 4), layer="spare")


def test_the_network_is_left_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
    network[1].eval()
    before = [(m.training, len(m._forward_hooks)) for m in network.modules()]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    receptive_field(network, (3, 8, 8))
    assert [(m.training, len(m._forward_hooks)) for m in network.modules()] == before
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


FAMILIES = {each.family: each.name for each in reversed(list_cards(task="classify"))}
EVERY = [each.name for each in list_cards(task="classify")]


def known_and_of_the_stated_stride(name: str) -> None:
    with torch.device("meta"):
        network = models.create_model(name)
    for info, layer in zip(network.feature_info, layer_fields(network, card(name).input), strict=True):
        assert layer.layer == info.name
        assert layer.field.unknown == "", f"{name}, {info.name}"
        if not name.startswith("vit"):  # attention: a token has a place, but the class token's row of them has none
            assert {axis.jump for axis in layer.field.axes} == {info.stride}, f"{name}, {info.name}: {layer.field}"


@pytest.mark.parametrize("name", FAMILIES.values())
def test_every_family_is_known_throughout(name: str) -> None:
    known_and_of_the_stated_stride(name)


@pytest.mark.every_variant
@pytest.mark.parametrize("name", EVERY)
def test_every_network_is_known_throughout(name: str) -> None:
    known_and_of_the_stated_stride(name)


# --- Padding that copies pixels


@pytest.mark.parametrize(("mode", "copied"), [("zeros", set()), ("reflect", {1, 2, 3}), ("replicate", {0})])
def test_a_field_in_the_padding_counts_where_it_lies(mode: str, copied: set[int]) -> None:
    """As `AxisField.seen` says: what was copied there is not among the pixels seen."""
    network = nn.Conv2d(1, 1, (3, 1), padding=(3, 0), padding_mode=mode, bias=False)
    field = receptive_field(nn.Sequential(network), (1, 8, 1), layer="0")
    assert str(field) == "3 x 1, jump 1, from -3 x 0"
    assert field.axes[0].seen(0, 8) == range(0)
    measured = effective_receptive_field(nn.Sequential(network), "0", (1, 8, 1), unit=(0, 0), count=1)
    assert set(measured.influence[:, 0].nonzero()[0]) == copied


def test_behind_a_circular_padding_fields_are_unknown() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), nn.ReLU())
    fields = receptive_field(network, (1, 8, 8))
    assert not fields["0"].unknown
    assert fields["1"].unknown == fields["2"].unknown == "it is written in place, through a view of a part"
