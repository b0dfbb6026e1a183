"""NASNet-A against its paper, hand arithmetic, pytorchcv's and timm's networks with the same weights, and a twin."""

import copy
import math
from collections.abc import Iterator

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from benchmarks.peers import scramble
from PIL import Image
from pytorchcv.model_provider import get_model
from timm.layers import AvgPool2dSame
from torch import Tensor, nn

from convatlas.api.train import train
from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.nasnet import NASNet, NASNetOutput, decode, losses
from convatlas.models.classify.nasnet_cells import AveragePool, Cell, MaxPool, ReductionCell, ScheduledDropPath
from convatlas.tasks.family import decode_for, own_losses
from convatlas.weights.load import load_backbone, load_weights
from tests.models.equality import assert_equal
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-17")

# Parameters and multiply-accumulates without and with the auxiliary classifier. Facts for mobile and large (without);
# the others are derived by the arithmetic below. Table 1 prints 3.3M for 6 @ 768.
FIGURES = {
    ("nasnet_mobile", False): (5_289_978, 563_638_816),
    ("nasnet_large", False): (88_753_150, 23_783_414_658),
    ("nasnet_cifar", False): (3_346_538, 544_333_312),
    ("nasnet_mobile", True): (7_701_218, 567_061_024),
    ("nasnet_large", True): (93_320_934, 23_797_011_330),
    ("nasnet_cifar", True): (4_978_036, 546_700_288),
}
# Repeats N, F, channels of the first convolution, sides of its maps and of those after each halving; N @ 24 F.
DESIGNS = {
    "nasnet_mobile": (4, 44, 32, (111, 56, 28, 14, 7)),
    "nasnet_large": (6, 168, 96, (165, 83, 42, 21, 11)),
    "nasnet_cifar": (6, 32, 96, (32, 16, 8)),
}
SMALL = {"repeats": 1, "penultimate": 96, "stem_channels": 8}  # F = 4


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


# --- The tables


@pytest.mark.parametrize(("name", "aux"), FIGURES)
def test_parameters_and_macs_to_the_last_digit(name, aux):
    with torch.device("meta"):
        network = create_model(name, aux=aux)
    image = {"nasnet_mobile": 224, "nasnet_large": 331, "nasnet_cifar": 32}[name]
    assert (count_parameters(network), count_macs(network, (3, image, image))) == FIGURES[name, aux]


@pytest.mark.parametrize(("name", "aux"), FIGURES)
def test_the_figures_follow_from_figures_2_and_4_by_hand(name, aux):
    (repeats, f, stem, sides), classes = DESIGNS[name], 10 if name == "nasnet_cifar" else 1000
    parameters = macs = 0

    def conv(kernel: int, a: int, b: int, side: int, *, norm: bool = True) -> None:
        nonlocal parameters, macs
        parameters += kernel**2 * a * b + 2 * b * norm
        macs += kernel**2 * a * b * side**2

    def separable(kernel: int, a: int, b: int, side: int) -> None:
        nonlocal parameters, macs
        for width in (a, b):  # twice (A.4), the stride in the first
            parameters += kernel**2 * width + width * b + 2 * b
            macs += (kernel**2 * width + width * b) * side**2

    # The last two states, as (channels, place in `sides`); None where there is no previous one.
    previous: tuple[int, int] | None = None
    current = (stem, 0)
    conv(3, 3, stem, sides[0])

    def begin(filters: int) -> int:
        """The 1x1 convolutions before the blocks -> channels of the previous state after them."""
        nonlocal parameters, macs
        conv(1, current[0], filters, sides[current[1]])
        if previous is None:
            return current[0]
        if previous[1] != current[1]:  # two paths of half the filters, normalised together: as one convolution
            assert filters % 2 == 0
        conv(1, previous[0], filters, sides[current[1]])
        return filters

    def reduction(filters: int, *, skip: bool = False) -> None:
        nonlocal previous, current
        p, side = begin(filters), sides[current[1] + 1]
        for kernel, channels in ((5, filters), (7, p), (7, p), (5, p), (3, filters)):
            separable(kernel, channels, filters, side)
        previous, current = previous if skip else current, (4 * filters, current[1] + 1)

    def normal(filters: int) -> None:
        nonlocal previous, current
        p, side = begin(filters), sides[current[1]]
        for kernel, channels in ((5, filters), (3, p), (5, p), (3, p), (3, filters)):
            separable(kernel, channels, filters, side)
        if p != filters:  # after two poolings, in place of an identity, and in what the cell hands on
            for _ in range(4):
                conv(1, p, filters, side)
        previous, current = current, (6 * filters, current[1])

    if name != "nasnet_cifar":
        reduction(f // 4)
        reduction(f // 2)
    for doubled in (1, 2, 4):
        if doubled > 1:
            reduction(doubled * f, skip=name == "nasnet_large")
        for _ in range(repeats):
            normal(doubled * f)
        if aux and doubled == 2:
            side = (sides[current[1]] - 5) // 3 + 1
            conv(1, 12 * f, 128, side)
            conv(side, 128, 768, 1)
            parameters += 768 * classes + classes
            macs += 768 * classes
    assert current[0] == 24 * f
    parameters += 24 * f * classes + classes
    macs += 24 * f * classes
    assert (parameters, macs) == FIGURES[name, aux]


def test_the_first_cell_does_not_adjust_the_state_that_it_lacks():
    """With a 1x1 convolution there, nasnet_mobile would have 5,287,076 parameters, and nasnet_large 88,743,820."""
    with torch.device("meta"):
        mobile, cifar = create_model("nasnet_mobile"), create_model("nasnet_cifar")
    first = mobile.stages[0][0]
    assert isinstance(first.previous, nn.Identity)
    assert first.block0.right.depthwise1.in_channels == 32  # the stem's channels, not the cell's 11
    adjusted = [cell for cell in mobile.modules() if isinstance(cell, Cell) and cell is not first]
    assert not any(isinstance(cell.previous, nn.Identity) for cell in adjusted)
    first = cifar.stages[0][0]
    assert isinstance(first.previous, nn.Identity)
    assert [first.block2.right.conv.in_channels, first.block3.left.fit.conv.in_channels] == [96, 96]


def test_features_have_the_sides_and_channels_by_hand():
    for name, (_, f, stem, sides) in DESIGNS.items():
        image = {"nasnet_mobile": 224, "nasnet_large": 331, "nasnet_cifar": 32}[name]
        with torch.device("meta"):
            network = create_model(name).eval()
            maps = network.features(torch.empty(1, 3, image, image))
        channels = [6 * f, 12 * f, 24 * f] if name == "nasnet_cifar" else [stem, f, 6 * f, 12 * f, 24 * f]
        assert [tuple(each.shape[1:]) for each in maps] == [(c, s, s) for c, s in zip(channels, sides, strict=True)]
        assert [info.channels for info in network.feature_info] == channels


# --- Peers


def pairs(ours: nn.Module, theirs: nn.Module) -> Iterator[tuple[nn.Module, nn.Module]]:
    """(pytorchcv's module, ours), for each that has weights."""
    yield theirs.features.init_block.conv, ours.stem.conv
    yield theirs.features.init_block.bn, ours.stem.bn
    units = [module for module in theirs.modules() if hasattr(module, "comb0_left")]
    cells = [module for module in ours.modules() if isinstance(module, Cell)]
    for unit, cell in zip(units, cells, strict=True):
        yield unit.conv1x1.conv, cell.current.conv
        yield unit.conv1x1.bn, cell.current.bn
        if hasattr(unit, "path"):
            yield unit.path.path1.conv, cell.previous.path1
            yield unit.path.path2.conv, cell.previous.path2
            yield unit.path.bn, cell.previous.bn
        elif hasattr(unit, "conv1x1_prev"):
            yield unit.conv1x1_prev.conv, cell.previous.conv
            yield unit.conv1x1_prev.bn, cell.previous.bn
        for block in range(5):
            for side in ("left", "right"):
                branch = getattr(unit, f"comb{block}_{side}", None)
                operation = getattr(getattr(cell, f"block{block}"), side)
                for step in (1, 2) if hasattr(branch, "conv1") else ():
                    peer = getattr(branch, f"conv{step}")
                    yield peer.conv.dw_conv, operation.get_submodule(f"depthwise{step}")
                    yield peer.conv.pw_conv, operation.get_submodule(f"pointwise{step}")
                    yield peer.bn, operation.get_submodule(f"bn{step}")
    yield theirs.output.fc, ours.head.fc


@pytest.mark.parametrize(
    ("name", "peer", "side"),
    [
        # Its paddings are right for the sizes that halve as 224 and 331 do: odd, then even; odd, odd, even, odd.
        ("nasnet_mobile", "nasnet_4a1056", 32),
        pytest.param("nasnet_mobile", "nasnet_4a1056", 224, marks=pytest.mark.every_variant),
        pytest.param("nasnet_large", "nasnet_6a4032", 43, marks=pytest.mark.every_variant),
    ],
)
def test_answers_as_pytorchcv_does_with_the_same_weights(name, peer, side):
    theirs = get_model(peer, pretrained=False)
    theirs.features.final_pool = nn.AdaptiveAvgPool2d(1)
    scramble(theirs)
    ours = create_model(name).double().eval()
    matched = dict(pairs(ours, theirs))
    for module, own in matched.items():
        own.load_state_dict(module.state_dict())
    assert sum(p.numel() for module in matched for p in module.parameters()) == count_parameters(ours)
    x = torch.randn(1, 3, side, side, dtype=torch.float64)
    with torch.no_grad():
        assert_equal(ours(x), theirs(x))


class AverageOfPixels(nn.Module):
    """TensorFlow's average pooling, 3x3 with stride 2, by hand: sums and counts of the pixels that are there."""

    def forward(self, x: Tensor) -> Tensor:
        sides = [(math.ceil(size / 2) - 1) * 2 + 3 - size for size in x.shape[2:]]
        (top, bottom), (left, right) = ((total // 2, total - total // 2) for total in sides)

        def sums(values: Tensor) -> Tensor:
            return F.avg_pool2d(F.pad(values, (left, right, top, bottom)), 3, 2) * 9

        return sums(x) / sums(torch.ones_like(x))


@pytest.mark.every_variant
@pytest.mark.parametrize("size", [(64, 64), (45, 50)])
def test_answers_as_timm_does_with_the_same_weights(size):
    """Whose average pooling with stride 2 counts padding as black pixels, as TensorFlow's does not: it is replaced."""
    theirs = timm.create_model("nasnetalarge", pretrained=False)
    for parent in list(theirs.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, AvgPool2dSame):
                setattr(parent, name, AverageOfPixels())
    scramble(theirs)
    ours = create_model("nasnet_large").double().eval()
    load_weights(ours, theirs.state_dict(), source="timm")
    x = torch.randn(1, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        assert_equal(ours(x), theirs(x))


@pytest.mark.parametrize("size", [(1, 1), (5, 8), (8, 5), (6, 6), (7, 3)])
def test_pooling_is_padded_as_tensorflow_does(size):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(AveragePool(2)(x), AverageOfPixels()(x))
    padded = F.pad(x, (size[1] % 2, 1, size[0] % 2, 1), value=-torch.inf)
    torch.testing.assert_close(MaxPool()(x), F.max_pool2d(padded, 3, 2))
    counts = F.avg_pool2d(F.pad(torch.ones_like(x), (1, 1, 1, 1)), 3, 1)
    torch.testing.assert_close(AveragePool(1)(x), F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 1) / counts)


def test_the_first_cell_of_cifar_equals_a_twin_in_plain_functions():
    """Figure 4, left, with F = 4 on a state of 8 channels given twice, which 1x1 convolutions fit; no peer has it."""
    network = scramble(create_model("nasnet_cifar", **SMALL))
    cell = network.stages[0][0]
    state = cell.state_dict()

    def norm(x: Tensor, name: str) -> Tensor:
        names = (f"{name}.{part}" for part in ("running_mean", "running_var", "weight", "bias"))
        mean, var, weight, bias = (state[each][:, None, None] for each in names)
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    def conv(x: Tensor, name: str) -> Tensor:
        return norm(F.conv2d(x, state[f"{name}.conv.weight"]), f"{name}.bn")

    def separable(x: Tensor, name: str) -> Tensor:
        for step in (1, 2):
            depthwise = state[f"{name}.depthwise{step}.weight"]
            x = F.conv2d(x.relu(), depthwise, padding=depthwise.shape[2] // 2, groups=len(depthwise))
            x = norm(F.conv2d(x, state[f"{name}.pointwise{step}.weight"]), f"{name}.bn{step}")
        return x

    average = AveragePool(1)
    x = torch.randn(2, 8, 9, 12, dtype=torch.float64)
    h = conv(x.relu(), "current")
    assert h.shape[1] == 4
    wanted = [
        conv(x, "kept"),
        separable(h, "block0.left") + separable(x, "block0.right"),
        separable(x, "block1.left") + separable(x, "block1.right"),
        average(h) + conv(x.relu(), "block2.right"),
        conv(average(x), "block3.left.fit") + conv(average(x), "block3.right.fit"),
        separable(h, "block4.left") + h,
    ]
    with torch.no_grad():
        current, new = cell((x, x))
    assert current is x
    assert_equal(new, torch.cat(wanted, dim=1))
    assert [state[f"block{block}.left.depthwise1.weight"].shape[2] for block in (0, 1, 4)] == [5, 5, 3]


def test_the_large_network_hands_on_the_state_before_a_reduction_s_input():
    for skips in (False, True):
        network = scramble(create_model("nasnet_cifar", **SMALL, previous_skips_reduction=skips))
        cell = next(module for module in network.modules() if isinstance(module, ReductionCell))
        before, current = torch.randn(2, 1, 24, 8, 8, dtype=torch.float64)
        before = before[:, :8]  # the stem's output
        with torch.no_grad():
            handed_on, new = cell((before, current))
        assert handed_on is (before if skips else current)
        assert new.shape == (1, 32, 4, 4)


# --- Scheduled drop path


def test_drop_path_grows_with_the_cell_and_with_training():
    with torch.device("meta"):
        network = create_model("nasnet_large")
    cells = [module for module in network.modules() if isinstance(module, Cell)]
    assert len(cells) == 22
    for number, cell in enumerate(cells, 1):
        drops = [module.drop for module in cell.modules() if isinstance(module, ScheduledDropPath)]
        # Of the ten operations of five blocks, the identities are never dropped: two in a normal cell, one in a
        # reduction.
        assert len(drops) == (9 if isinstance(cell, ReductionCell) else 8)
        assert drops == pytest.approx([0.3 * number / 22] * len(drops))


def test_a_path_is_dropped_for_some_images_and_scaled_up_for_the_others():
    path, x = ScheduledDropPath(0.4).train(), torch.ones(4000, 2, 1, 1)
    assert torch.equal(path(x), x)  # before training
    for progress, drop in ((0.5, 0.2), (1.0, 0.4)):
        path.progress.fill_(progress)
        y = path(x)
        assert (y[:, 0] == y[:, 1]).all()
        assert y.unique().tolist() == pytest.approx([0.0, 1 / (1 - drop)])
        assert (y == 0).float().mean().item() == pytest.approx(drop, abs=0.03)
    assert torch.equal(path.eval()(x), x)


def test_progress_reaches_every_path_and_is_no_weight():
    network = create_model("nasnet_cifar", **SMALL)
    assert not any("progress" in name for name in network.state_dict())
    x = torch.randn(4, 3, 8, 8)
    network.train()
    assert torch.equal(network(x), network(x))  # nothing is dropped at the start
    network.set_progress(0.75)
    twin = copy.deepcopy(network)  # as for the average of the weights: it has paths of its own
    twin.set_progress(0.5)
    for each, progress in ((network, 0.75), (twin, 0.5)):
        assert {float(m.progress) for m in each.modules() if isinstance(m, ScheduledDropPath)} == {progress}
    assert not torch.equal(network(x), network(x))
    for progress in (-0.1, 1.1, float("nan")):
        with pytest.raises(UsageError, match="progress of training must be from 0 to 1"):
            network.set_progress(progress)


def test_a_network_that_drops_nothing_has_no_schedule_to_move():
    network = create_model("nasnet_cifar", **SMALL, survival=1.0)
    network.set_progress(1.0)
    assert not any(module.progress for module in network.modules() if isinstance(module, ScheduledDropPath))


def test_training_moves_the_schedule(tmp_path, monkeypatch):
    """From 0 in equal steps, one for each batch of two epochs."""
    told: list[float] = []
    monkeypatch.setattr(NASNet, "set_progress", lambda _network, progress: told.append(progress))
    pictures = np.random.default_rng(0).integers(0, 255, (2, 12, 12, 12, 3), dtype=np.uint8)
    for label, group in enumerate(pictures):
        (tmp_path / "data" / str(label)).mkdir(parents=True)
        for number, picture in enumerate(group):
            Image.fromarray(picture).save(tmp_path / "data" / str(label) / f"{number}.png")
    train(
        tmp_path / "data",
        model="nasnet_cifar",
        model_changes=SMALL,
        size=16,
        out=tmp_path / "run",
        changes={"epochs": 2, "batch_size": 8},
        export=False,
    )
    assert told[0] == 0
    assert len(told) >= 4
    assert told == pytest.approx([number / len(told) for number in range(len(told))])


# --- The auxiliary classifier


@pytest.mark.parametrize("training", [True, False])
def test_the_answer_has_one_type_in_training_and_evaluation(training):
    x = torch.randn(2, 3, 32, 32)
    assert isinstance(create_model("nasnet_cifar", **SMALL).train(training)(x), Tensor)
    answer = create_model("nasnet_cifar", aux=True, num_classes=7, **SMALL).train(training)(x)
    assert isinstance(answer, NASNetOutput)
    assert [each.shape for each in answer] == [(2, 7)] * 2


def test_the_auxiliary_loss_counts_0_4_by_hand():
    logits, aux = torch.randn(2, 4, 5)
    targets = F.one_hot(torch.tensor([0, 4, 2, 2]), 5).float() * 0.9 + 0.02
    network = create_model("nasnet_cifar", num_classes=5, **SMALL)

    def cross_entropy(values: Tensor) -> Tensor:
        return -(targets * (values - values.exp().sum(dim=1, keepdim=True).log())).sum(dim=1)

    terms = losses(network, NASNetOutput(logits, aux), targets)
    torch.testing.assert_close(sum(terms.values()), cross_entropy(logits) + 0.4 * cross_entropy(aux))
    assert list(losses(network, logits, targets)) == ["cross_entropy"]
    assert decode(NASNetOutput(logits, aux)) is logits
    assert decode(logits) is logits
    assert (own_losses("nasnet_large"), decode_for("nasnet_large")) == (losses, decode)


def test_every_parameter_gets_a_gradient_from_both_losses():
    network = create_model("nasnet_mobile", aux=True, num_classes=7, aux_side=1, **SMALL)
    terms = losses(network, network(torch.randn(4, 3, 96, 96)), F.one_hot(torch.tensor([0, 1, 2, 6]), 7).float())
    sum(term.mean() for term in terms.values()).backward()
    assert [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_weights_fit_with_and_without_the_auxiliary_classifier():
    whole = create_model("nasnet_cifar", aux=True, **SMALL)
    plain = create_model("nasnet_cifar", **SMALL)
    assert load_weights(plain, whole.state_dict()).fresh == ()
    fresh = load_backbone(create_model("nasnet_cifar", aux=True, **SMALL), plain.state_dict()).fresh
    assert {name.split(".")[0] for name in fresh} == {"head", "aux"}
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(whole.eval()(x).logits, plain.eval()(x))


def test_the_auxiliary_classifier_says_which_maps_it_takes():
    network = create_model("nasnet_mobile", aux=True, **SMALL)
    with pytest.raises(UsageError, match=r"needs maps of 14 to 16 pixels a side, got 8x14"):
        network(torch.zeros(1, 3, 128, 224))


# --- Initialisation and learning


def test_weights_start_normal_with_variance_2_6_over_fan_out_and_cut():
    network = create_model("nasnet_mobile")
    cell = network.stages[3][-1]
    cases = [
        (network.stages[1][0].current.conv.weight, 22),
        (cell.block0.left.pointwise1.weight, 176),
        (cell.block0.left.depthwise1.weight, 25),
        (network.head.fc.weight, 1000),
    ]
    for weight, fan_out in cases:
        std = (2.6 / fan_out) ** 0.5
        assert weight.abs().max() <= 2 * std
        assert weight.std().item() == pytest.approx(0.8796 * std, rel=0.05)  # the deviation of a normal cut at 2
    assert not network.head.fc.bias.any()


@pytest.mark.parametrize(
    ("name", "side"), [("nasnet_cifar", 14), pytest.param("nasnet_mobile", 32, marks=pytest.mark.every_variant)]
)
def test_it_learns_64_digits_by_heart(digits: PictureSet, name: str, side: int):
    network = create_model(name, in_channels=1, num_classes=10, dropout=0.0, **SMALL)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-2)
    assert mistakes_after(15, network, *sixty_four(digits, side), optimizer) == 0


# --- Bad input


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("repeats", 0),
        ("penultimate", 0),
        ("penultimate", 100),
        ("stem_channels", 0),
        ("stem_cells", 1),
        ("survival", 0),
        ("survival", 1.5),
        ("dropout", 1.0),
        ("norm_eps", -1e-3),
        ("aux_side", 0),
        ("norm_eps", 0),
        ("num_classes", 2.5),
    ],
)
def test_an_impossible_config_names_its_field(field, value):
    with pytest.raises(UsageError, match=rf"NASNetConfig\.{field} must be"):
        model_config("nasnet_mobile", **{field: value})
