"""DenseNet against its paper, hand arithmetic, torchvision's and pytorchcv's networks with the same weights; and the
memory-efficient mode against the plain one.
"""

import copy

import pytest
import torch
import torch.nn.functional as F
import torchvision
from benchmarks.peers import largest_difference, scramble
from torch import Tensor, nn

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.densenet import CONFIGS, DenseLayer, DenseNetConfig
from convatlas.weights.load import load_weights
from tests.models.equality import assert_equal
from tests.models.learning import mistakes_after, sixty_four
from tests.models.members import pytorchcv_pairs

pytestmark = pytest.mark.row("B-15")

# Parameters and multiply-accumulates at 3 x 224 x 224 and 1000 classes, for CIFAR at 3 x 32 x 32 and 10. Those of 161
# and BC190 are derived by the arithmetic below; torchvision's 161 and Table 2's 25.6M agree.
FIGURES = {
    "densenet121": (7_978_856, 2_834_161_664),
    "densenet161": (28_681_000, 7_727_907_072),
    "densenet169": (14_149_480, 3_359_843_328),
    "densenet201": (20_013_928, 4_291_365_888),
    "densenet264": (33_337_704, 5_751_653_376),
    "densenet40_k12_cifar": (1_019_722, 264_812_928),
    "densenet100_k12_cifar": (6_979_642, 1_769_516_448),
    "densenet100_k24_cifar": (27_249_082, 6_889_347_744),
    "densenet_bc100_k12_cifar": (769_162, 287_929_692),
    "densenet_bc250_k24_cifar": (15_324_406, 5_418_785_724),
    "densenet_bc190_k40_cifar": (25_624_430, 9_301_945_740),
}
# Table 1 (161: the authors' densenet.lua): the layers of each block, and k.
IMAGENET = {
    "densenet121": ((6, 12, 24, 16), 32),
    "densenet161": ((6, 12, 36, 24), 48),
    "densenet169": ((6, 12, 32, 32), 32),
    "densenet201": ((6, 12, 48, 32), 32),
    "densenet264": ((6, 12, 64, 48), 32),
}
SMALL = {"growth_rate": 6, "layers": (2, 3, 2), "stem_channels": 12}
FORMS = [{"bottleneck": True}, {"bottleneck": False, "compression": 1.0}]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


# --- The tables


@pytest.mark.parametrize("name", FIGURES)
def test_parameters_and_macs_to_the_last_digit(name):
    with torch.device("meta"):
        network = create_model(name)
    image = (3, 224, 224) if name in IMAGENET else (3, 32, 32)
    assert (count_parameters(network), count_macs(network, image)) == FIGURES[name]


@pytest.mark.parametrize("name", FIGURES)
def test_the_figures_follow_from_the_paper_by_hand(name):
    parameters = macs = 0

    def conv(kernel: int, a: int, b: int, side: int) -> None:
        nonlocal parameters, macs
        parameters += kernel * kernel * a * b
        macs += kernel * kernel * a * b * side * side

    if name in IMAGENET:
        layers, k = IMAGENET[name]
        bc, channels, side, classes = True, 2 * k, 56, 1000
        conv(7, 3, channels, 112)
        parameters += 2 * channels
    else:  # densenet_bc100_k12_cifar: L = 100, k = 12
        form, growth, _ = name.removeprefix("densenet").lstrip("_").split("_")
        bc, k, depth = form.startswith("bc"), int(growth[1:]), int(form.removeprefix("bc"))
        layers = ((depth - 4) // 6,) * 3 if bc else ((depth - 4) // 3,) * 3
        channels, side, classes = 2 * k if bc else 16, 32, 10
        conv(3, 3, channels, 32)
    for index, count in enumerate(layers):
        if index:  # a transition
            parameters += 2 * channels
            kept = channels // 2 if bc else channels
            conv(1, channels, kept, side)
            channels, side = kept, side // 2
        for _ in range(count):
            parameters += 2 * channels
            if bc:
                conv(1, channels, 4 * k, side)
                parameters += 2 * 4 * k
                conv(3, 4 * k, k, side)
            else:
                conv(3, channels, k, side)
            channels += k
    parameters += 2 * channels + channels * classes + classes
    macs += channels * classes
    assert (parameters, macs) == FIGURES[name]


@pytest.mark.parametrize("name", [name for name in CONFIGS if name.endswith("cifar")])
def test_the_depth_in_the_name_counts_the_layers_with_weights(name):
    with torch.device("meta"):
        network = create_model(name)
    depth = sum(isinstance(module, nn.Conv2d | nn.Linear) for module in network.modules())
    assert f"{depth}_k{network.config.growth_rate}_" in name


def test_a_layer_reads_all_maps_before_it_and_adds_k():
    network = scramble(create_model("densenet121", **SMALL))
    block = network.stages[0].block
    x = torch.randn(2, 12, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        y = block(x)
        assert y.shape == (2, 12 + 2 * 6, 8, 8)
        assert torch.equal(y[:, :12], x)
        first = block[0]([x])
        assert torch.equal(y[:, 12:18], first)
        assert torch.equal(y[:, 18:], block[1]([x, first]))


def test_features_are_the_dense_blocks():
    with torch.device("meta"):
        network = create_model("densenet121").eval()
        maps = network.features(torch.empty(1, 3, 224, 224))
        small = create_model("densenet40_k12_cifar").eval()
        small_maps = small.features(torch.empty(1, 3, 32, 32))
    assert [tuple(each.shape[1:]) for each in maps] == [(256, 56, 56), (512, 28, 28), (1024, 14, 14), (1024, 7, 7)]
    assert [info.stride for info in network.feature_info] == [4, 8, 16, 32]
    assert [tuple(each.shape[1:]) for each in small_maps] == [(160, 32, 32), (304, 16, 16), (448, 8, 8)]


# --- Peers


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("densenet121", (64, 64)),
        ("densenet121", (45, 70)),
        *(pytest.param(f"densenet{depth}", (45, 64), marks=pytest.mark.every_variant) for depth in (161, 169, 201)),
        pytest.param("densenet264", (45, 64), marks=pytest.mark.every_variant),
    ],
)
def test_answers_as_torchvision_does_with_the_same_weights(name, size):
    layers, k = IMAGENET[name]
    theirs = scramble(torchvision.models.DenseNet(growth_rate=k, block_config=layers, num_init_features=2 * k))
    ours = create_model(name).double().eval()
    load_weights(ours, theirs.state_dict(), source="torchvision")
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        assert_equal(ours(x), theirs(x))


def test_the_names_in_the_published_files_are_understood():
    """They are older than torchvision's network: `norm.1` for `norm1`."""
    theirs = scramble(torchvision.models.densenet121(weights=None)).state_dict()
    old = {}
    for name, value in theirs.items():
        if name.endswith(".num_batches_tracked"):
            continue  # they have none
        for layer in ("norm1", "conv1", "norm2", "conv2"):
            name = name.replace(f".{layer}.", f".{layer[:-1]}.{layer[-1]}.")  # noqa: PLW2901  # one after the other
        old[name] = value
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    one, other = create_model("densenet121").double(), create_model("densenet121").double()
    load_weights(one, theirs, source="torchvision")
    load_weights(other, old, source="torchvision")
    for name, value in one.state_dict().items():
        assert name.endswith("num_batches_tracked") or torch.equal(value, other.state_dict()[name]), name


@pytorchcv_pairs("densenet", always={"densenet100_k12_bc_cifar10"})
def test_equals_pytorchcv_with_the_same_random_weights(pair):
    """The BC forms: its plain ones compress, which the paper's do not."""
    assert largest_difference(pair) <= 1e-10


def test_the_plain_form_equals_a_twin_in_plain_functions():
    """Section 3, and no compression."""
    network = scramble(create_model("densenet40_k12_cifar", layers=(3, 2, 2)))
    state = network.state_dict()

    def norm_relu(x: Tensor, name: str) -> Tensor:
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        scale = state[f"{name}.weight"] / (var + 1e-5).sqrt()
        return ((x - mean[:, None, None]) * scale[:, None, None] + state[f"{name}.bias"][:, None, None]).relu()

    x = torch.randn(2, 3, 16, 12, dtype=torch.float64)
    y = F.conv2d(x, state["stem.conv.weight"], padding=1)
    assert y.shape[1] == 16
    for stage, layers in enumerate((3, 2, 2)):
        if stage:
            channels = y.shape[1]
            y = F.conv2d(
                norm_relu(y, f"stages.{stage}.transition.norm"), state[f"stages.{stage}.transition.conv.weight"]
            )
            assert y.shape[1] == channels
            y = (y[:, :, ::2, ::2] + y[:, :, 1::2, ::2] + y[:, :, ::2, 1::2] + y[:, :, 1::2, 1::2]) / 4
        for layer in range(layers):
            name = f"stages.{stage}.block.{layer}"
            new = F.conv2d(norm_relu(y, f"{name}.norm1"), state[f"{name}.conv1.weight"], padding=1)
            y = torch.cat([y, new], dim=1)
    y = norm_relu(y, "head.norm").mean(dim=(2, 3)) @ state["head.fc.weight"].T + state["head.fc.bias"]
    with torch.no_grad():
        assert_equal(network(x), y)


# --- The memory-efficient mode


def pair(**changes: object) -> tuple[nn.Module, nn.Module]:
    """The same small network twice, plain and memory-efficient, in float64 and in training."""
    plain = scramble(create_model("densenet121", **{**SMALL, **changes})).train()
    efficient = create_model("densenet121", **{**SMALL, **changes}, memory_efficient=True).double().train()
    efficient.load_state_dict(copy.deepcopy(plain.state_dict()))
    return plain, efficient


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("training", [True, False])
def test_gradients_and_averages_are_those_of_the_plain_mode(form, training):
    plain, efficient = pair(**form)
    answers, gradients = [], []
    inputs = torch.randn(3, 3, 37, 45, dtype=torch.float64)
    for network in (plain, efficient):
        network.train(training)
        x = inputs.clone().requires_grad_()
        answer = network(x)
        answer.square().mean().backward()
        answers.append(answer.detach())
        gradients.append([x.grad, *(parameter.grad for parameter in network.parameters())])
    assert torch.equal(*answers)
    for ours, wanted in zip(*gradients, strict=True):
        assert wanted.abs().sum() > 0
        assert torch.equal(ours, wanted)
    # BatchNorm counted the batch once, although it saw it twice.
    for name, value in plain.state_dict().items():
        assert torch.equal(efficient.state_dict()[name], value), name
    counted = {int(m.num_batches_tracked) for m in efficient.modules() if isinstance(m, nn.BatchNorm2d)}
    assert counted == {int(training)}
    assert all(m.track_running_stats for m in efficient.modules() if isinstance(m, nn.BatchNorm2d))


@pytest.mark.parametrize("form", FORMS)
def test_a_second_backward_pass_through_the_same_graph(form):
    """It computes the maps a third time, and enters the same contexts again."""
    plain, efficient = pair(**form)
    x = torch.randn(3, 3, 37, 45, dtype=torch.float64)
    for network in (plain, efficient):
        loss = network(x).square().mean()
        loss.backward(retain_graph=True)
        loss.backward()
    for ours, wanted in zip(efficient.parameters(), plain.parameters(), strict=True):
        assert wanted.grad.abs().sum() > 0
        assert torch.equal(ours.grad, wanted.grad)
    for name, value in plain.state_dict().items():
        assert torch.equal(efficient.state_dict()[name], value), name


def test_dropout_drops_the_same_in_both_modes():
    plain, efficient = pair(dropout=0.4)
    x = torch.randn(3, 3, 40, 40, dtype=torch.float64)
    gradients = []
    for network in (plain, efficient):
        torch.manual_seed(5)
        network(x).square().mean().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    assert all(torch.equal(ours, wanted) for ours, wanted in zip(*gradients, strict=True))


def kept_for_backward(network: nn.Module, x: Tensor) -> int:
    """The elements that a forward pass in training keeps besides parameters, each storage once."""
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(x)
    return sum(tensor.untyped_storage().nbytes() // tensor.element_size() for tensor in kept.values())


@pytest.mark.parametrize("form", FORMS)
def test_what_is_kept_grows_with_the_depth_not_with_its_square(form):
    """Doubling the layers of one block: the plain mode keeps each layer's whole input anew.

    The hook counts what each mode hands to autograd outside its checkpoints, where the checkpointed parts keep nothing.
    """
    x = torch.randn(2, 3, 16, 16)
    kept = {
        mode: [
            kept_for_backward(
                create_model(
                    "densenet40_k12_cifar", layers=(layers,), growth_rate=8, memory_efficient=mode, **form
                ).train(),
                x,
            )
            for layers in (16, 32, 64)
        ]
        for mode in (False, True)
    }
    plain, efficient = kept[False], kept[True]
    assert efficient[2] < plain[2] / 2
    assert plain[2] - plain[1] > 2.5 * (plain[1] - plain[0])  # 4 in the limit of a quadratic function
    assert efficient[2] - efficient[1] < 2.2 * (efficient[1] - efficient[0])  # 2 of a linear one


def test_without_gradients_nothing_is_computed_again():
    _, efficient = pair()
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    layer = next(module for module in efficient.modules() if isinstance(module, DenseLayer))
    layer.conv1.register_forward_hook(count)
    with torch.no_grad():
        efficient(torch.randn(2, 3, 32, 32, dtype=torch.float64))
    assert calls == 1


@pytest.mark.every_variant
def test_memory_efficient_networks_compile_and_export():
    _, efficient = pair()
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    torch.compiler.reset()
    efficient.eval()
    with torch.no_grad():
        wanted = efficient(x)
    torch.testing.assert_close(torch.compile(efficient, fullgraph=True, backend="aot_eager")(x), wanted)
    program = torch.export.export(efficient, (x,))
    torch.testing.assert_close(program.module()(x), wanted)


# --- Regularisation and initialisation


def test_dropout_follows_each_convolution_but_the_first():
    network = create_model("densenet121", **SMALL, dropout=0.2)
    layers = sum(network.config.layers)
    dropouts = [module for module in network.modules() if isinstance(module, nn.Dropout)]
    assert len(dropouts) == 2 * layers + 2  # two convolutions in a bottleneck layer, one in a transition
    assert all(module.p == 0.2 for module in dropouts)
    convolutions = sum(isinstance(module, nn.Conv2d) for module in network.modules())
    assert len(dropouts) == convolutions - 1
    assert all(config.dropout == 0 for config in CONFIGS.values())  # trained on augmented pictures


def test_convolutions_start_normal_with_variance_2_over_fan_out():
    network = create_model("densenet121")
    for conv in (network.stem.conv, network.stages[2].transition.conv, network.stages[3].block[0].rest.conv2):
        fan_out = conv.out_channels * conv.kernel_size[0] ** 2
        assert conv.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.02)
    assert not network.head.fc.bias.any()


@pytest.mark.parametrize(
    "changes", [{}, {"memory_efficient": True}, {"bottleneck": False, "compression": 1.0}], ids=str
)
def test_it_learns_64_digits_by_heart(digits: PictureSet, changes):
    network = create_model("densenet_bc100_k12_cifar", **{**SMALL, **changes}, in_channels=1, num_classes=10)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-2)
    assert mistakes_after(40, network, *sixty_four(digits, 14), optimizer) == 0


# --- Bad input


@pytest.mark.parametrize(("name", "smallest"), [("densenet121", 29), ("densenet40_k12_cifar", 4)])
def test_a_picture_too_small_is_told_the_smallest(name, smallest):
    network = create_model(name, growth_rate=4).eval()
    with torch.no_grad():
        assert network.features(torch.zeros(1, 3, smallest, smallest))[-1].shape[2:] == (1, 1)
    with pytest.raises(UsageError, match=f"DenseNet needs images of at least {smallest}x{smallest}, got 40x3"):
        network(torch.zeros(1, 3, 40, 3))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("growth_rate", 0),
        ("layers", ()),
        ("layers", (6, 0)),
        ("layers", 6),
        ("stem_channels", 0),
        ("stem_stride", 2),
        ("compression", 0),
        ("compression", 1.5),
        ("dropout", 1.0),
        ("num_classes", 0),
    ],
)
def test_an_impossible_config_names_its_field(field, value):
    with pytest.raises(UsageError, match=rf"DenseNetConfig\.{field} must be"):
        model_config("densenet121", **{field: value})


def test_a_transition_rounds_down_and_keeps_at_least_one_channel():
    config = DenseNetConfig(growth_rate=1, layers=(1, 1), stem_channels=2, compression=0.5)  # floor(0.5 * 3)
    network = type(create_model("densenet121", **SMALL))(config)
    assert network.stages[1].transition.conv.out_channels == 1
