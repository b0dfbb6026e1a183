"""AlexNet against its papers, hand arithmetic, and torchvision's and pytorchcv's networks with the same weights."""

import pytest
import torch
import torchvision.models
from benchmarks.peers import copy_in_order, scramble, take_alpha_as_torch_does
from pytorchcv.model_provider import get_model
from torch import nn

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.layers.response_norm import ResponseNorm
from convatlas.models import create_model, model_config
from convatlas.models.contract import capture
from tests.models.equality import assert_equal
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-02")

SMALL = (16, 32, 32, 32, 32)
FIGURES = {"alexnet": (61_100_840, 714_188_480), "alexnet_paper": (60_965_224, 724_406_816)}
SIDES = {"alexnet": 224, "alexnet_paper": 227}
# Kernels of conv1 ... conv5, columns, and the side of each one's maps.
LAYERS = {
    "alexnet": ((64, 192, 384, 256, 256), 1, (55, 27, 13, 13, 13)),
    "alexnet_paper": ((96, 256, 384, 384, 256), 2, (55, 27, 13, 13, 13)),
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("name", FIGURES)
def test_parameters_and_macs_to_the_last_digit(name):
    with torch.device("meta"):
        network = create_model(name)
    assert (count_parameters(network), count_macs(network, (3, SIDES[name], SIDES[name]))) == FIGURES[name]


@pytest.mark.parametrize("name", FIGURES)
def test_the_figures_follow_from_the_paper_by_hand(name):
    kernels, columns, sides = LAYERS[name]
    parameters, macs, channels = 0, 0, 3
    # Kernel sizes of Section 3.5; conv1 and conv3 see every map, the others those of their column.
    for kernel, out, side, groups in zip(
        (11, 5, 3, 3, 3), kernels, sides, (1, columns, 1, columns, columns), strict=True
    ):
        weights = kernel * kernel * channels // groups * out
        parameters += weights + out
        macs += weights * side * side
        channels = out
    for inputs, outputs in ((6 * 6 * channels, 4096), (4096, 4096), (4096, 1000)):
        parameters += inputs * outputs + outputs
        macs += inputs * outputs
    assert (parameters, macs) == FIGURES[name]


def test_ungrouped_the_paper_s_network_has_the_other_usual_count():
    with torch.device("meta"):
        assert count_parameters(create_model("alexnet_paper", groups=1)) == 62_378_344  # pytorchcv's alexnet


def with_small_dense_layers(peer: nn.Module, dense: list[tuple[nn.Module, str]]) -> nn.Module:
    """The peer, built on the meta device, with 8 hidden units and 5 classes: its 58 million weights are not the point.

    dense: (parent, name) of its three dense layers.
    """
    for (parent, name), (inputs, outputs) in zip(dense, ((9216, 8), (8, 8), (8, 5)), strict=True):
        setattr(parent, name, nn.Linear(inputs, outputs))
    return peer.to_empty(device="cpu").double().eval()


def scrambled(name: str, **changes: object) -> nn.Module:
    return scramble(create_model(name, hidden=8, num_classes=5, **changes))


@pytest.mark.parametrize("size", [(224, 224), (101, 77), (63, 64)])
def test_answers_as_torchvision_does_with_the_same_weights(size):
    network = scrambled("alexnet")
    with torch.device("meta"):
        peer = torchvision.models.alexnet()
        peer = with_small_dense_layers(peer, [(peer.classifier, index) for index in ("1", "4", "6")])
    peer = copy_in_order(network, peer)
    x = torch.randn(1, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        assert_equal(network(x), peer(x))


def test_answers_as_pytorchcv_does_with_the_same_weights():
    """pytorchcv's has no columns, and its response normalisation takes the paper's alpha as torch's."""
    network = scrambled("alexnet_paper", groups=1)
    with torch.device("meta"):
        peer = get_model("alexnet", pretrained=False)
        out = peer.output
        peer = with_small_dense_layers(peer, [(out.fc1, "fc"), (out.fc2, "fc"), (out, "fc3")])
    peer = copy_in_order(network, peer)
    take_alpha_as_torch_does(network, peer)
    x = 100 * torch.randn(1, 3, 227, 227, dtype=torch.float64)  # large, so that the normalisation matters
    with torch.no_grad():
        assert_equal(network(x), peer(x))


def test_two_columns_are_one_network_whose_kernels_do_not_see_the_other_column():
    columns = scrambled("alexnet_paper", channels=SMALL)
    whole = scrambled("alexnet_paper", channels=SMALL, groups=1)
    values = columns.state_dict()
    for stage, layer in ((1, "conv2"), (2, "conv4"), (2, "conv5")):
        key = f"stages.{stage}.{layer}.weight"
        upper, lower = values[key].chunk(2)
        nothing = torch.zeros_like(upper)
        values[key] = torch.cat([torch.cat([upper, nothing], dim=1), torch.cat([nothing, lower], dim=1)])
    whole.load_state_dict(values)
    x = torch.randn(2, 3, 99, 80, dtype=torch.float64)
    with torch.no_grad():
        assert_equal(columns(x), whole(x))


def test_the_order_of_the_paper_s_layers():
    """Sections 3.3 to 3.5: ReLU, response normalisation, then pooling of 3 x 3 windows with a step of 2."""
    network = create_model("alexnet_paper", hidden=8)
    order = ["conv1", "relu1", "norm1", "pool1"], ["conv2", "relu2", "norm2", "pool2"]
    assert (
        [name for name, _ in network.stages[0].named_children()],
        [*dict(network.stages[1].named_children())],
    ) == order
    assert sum(isinstance(module, ResponseNorm) for module in network.modules()) == 2
    assert not any(isinstance(module, ResponseNorm) for module in create_model("alexnet", hidden=8).modules())
    pools = [module for module in network.modules() if isinstance(module, nn.MaxPool2d)]
    assert [(pool.kernel_size, pool.stride, pool.ceil_mode) for pool in pools] == [(3, 2, False)] * 3


@pytest.mark.parametrize("name", FIGURES)
def test_features_are_the_pooled_maps(name):
    channels = LAYERS[name][0]
    with torch.device("meta"):
        network = create_model(name)
        shapes = [tuple(map_.shape) for map_ in network.features(torch.empty(1, 3, SIDES[name], SIDES[name]))]
    assert shapes == [(1, channels[0], 27, 27), (1, channels[1], 13, 13), (1, channels[4], 6, 6)]
    assert [(info.name, info.stride) for info in network.feature_info] == [("pool1", 8), ("pool2", 16), ("pool5", 32)]


def test_averaging_changes_nothing_at_the_size_that_the_network_is_made_for():
    network = scrambled("alexnet_paper", channels=SMALL)
    x = torch.randn(1, 3, 227, 227, dtype=torch.float64)
    with torch.no_grad():
        answer = network(x)
        network.head.pool = nn.Identity()
        assert torch.equal(network(x), answer)


def test_the_first_weights_are_those_of_section_5():
    network = create_model("alexnet_paper", hidden=512)
    biases = {name.split(".")[-2]: value for name, value in network.named_parameters() if name.endswith("bias")}
    wanted = {"conv1": 0, "conv2": 1, "conv3": 0, "conv4": 1, "conv5": 1, "fc6": 1, "fc7": 1, "fc8": 0}
    assert {name: value.unique().tolist() for name, value in biases.items()} == {n: [v] for n, v in wanted.items()}
    for weight in (network.stages[2].conv3.weight, network.head.fc6.weight):
        assert weight.mean().item() == pytest.approx(0, abs=1e-4)
        assert weight.std().item() == pytest.approx(0.01, rel=0.01)


def test_the_first_weights_of_alexnet_keep_the_signal():
    """By fan-in, four pictures of noise still differ in the last layer half as much as in the first."""
    network = create_model("alexnet", hidden=1024).eval()
    names = ["stages.0.conv1", "stages.2.conv5", "head.fc6", "head.fc8"]
    with torch.no_grad(), capture(network, names) as outputs:
        network(torch.randn(4, 3, 95, 95))
    between_pictures = [(outputs[name] - outputs[name].mean(dim=0)).std().item() for name in names]
    assert all(0.3 < each < 2 for each in between_pictures)  # with a deviation of 0.01 the last is 1e-4
    assert not any(value.any() for name, value in network.named_parameters() if name.endswith("bias"))


def test_dropout_silences_half_of_the_hidden_units_in_training_only():
    network = create_model("alexnet_paper", channels=SMALL, hidden=1000)
    x = torch.randn(4, 3, 70, 70)
    names = ["head.dropout6", "head.dropout7"]
    with torch.no_grad(), capture(network, names) as trained:
        network(x)
    assert [(trained[name] == 0).float().mean().item() for name in names] == pytest.approx([0.5, 0.5], abs=0.05)
    with torch.no_grad(), capture(network.eval(), names) as answered:
        network(x)
    # Biases of 1 and small weights: hardly a unit is silent without dropout.
    assert all((answered[name] == 0).float().mean() < 0.1 for name in names)


# The paper's deviation of 0.01 is for thousands of inputs a unit; with a hundred it starves the upper layers.
@pytest.mark.parametrize(("name", "changes"), [("alexnet", {}), ("alexnet_paper", {"init_std": 0.1})])
def test_it_learns_64_digits_by_heart(name, changes, digits: PictureSet):
    network = create_model(name, channels=SMALL, hidden=64, dropout=0.0, in_channels=1, num_classes=10, **changes)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    assert mistakes_after(80, network, *sixty_four(digits, 67), optimizer) == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("channels", (64, 192, 384, 256)),
        ("channels", (64, 192, 384, 256, 0)),
        ("channels", 64),
        ("channels", (63, 192, 384, 256, 256)),
        ("groups", 0),
        ("padding", -1),
        ("hidden", 0),
        ("dropout", 1.0),
        ("dropout", "0.5"),
        ("init_std", 0),
        ("init_std", float("nan")),
        ("in_channels", 0),
        ("num_classes", 2.5),
    ],
)
def test_an_impossible_config_names_its_field(field, value):
    with pytest.raises(UsageError, match=rf"AlexNetConfig\.{field} must be"):
        model_config("alexnet_paper", **{field: value})
