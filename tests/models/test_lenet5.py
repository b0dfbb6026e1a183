"""LeNet-5 against its paper, and against a twin in NumPy and SciPy that shares no code with it."""

import math

import numpy as np
import pytest
import scipy.signal
import torch
from torch import nn

from convatlas.errors import UsageError
from convatlas.models import create_model
from convatlas.models.classify.lenet5 import C3_SEES, LeNet5, PartialConv2d, Subsampling, decode, losses
from convatlas.models.classify.lenet5_codes import DIGIT_CODES, DRAWINGS

pytestmark = pytest.mark.row("B-01")


@pytest.fixture
def network() -> LeNet5:
    torch.manual_seed(0)
    return create_model("lenet5").eval()


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_each_layer_has_the_parameters_that_section_ii_b_prints(network):
    printed = {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48120, "f6": 10164, "output": 0}
    assert {name: parameters(child) for name, child in network.named_children()} == printed
    assert parameters(network) == 60_000


def test_connections_are_those_of_the_paper(network):
    # Each unit of a layer: its inputs and its bias. Counted from the layers as they are built.
    connections = {}
    with torch.no_grad():
        x = torch.zeros(1, 1, 32, 32)
        for name, child in network.named_children():
            x = child(x)
            layer = child if name == "output" else child[1 if name == "f6" else 0]
            places = x[0, 0].numel() if x.dim() == 4 else 1
            if isinstance(layer, nn.Conv2d | PartialConv2d | nn.Linear):
                connections[name] = (layer.weight.numel() + layer.bias.numel()) * places
            elif isinstance(layer, Subsampling):
                connections[name] = (4 + 1) * len(layer.bias) * places
            else:
                connections[name] = layer.codes.numel()
    assert connections == {
        "c1": 122_304, "s2": 5_880, "c3": 151_600, "s4": 2_000, "c5": 48_120, "f6": 10_164, "output": 840,
    }  # fmt: skip
    assert sum(connections.values()) == 340_908


def test_c3_sees_what_table_i_says():
    # The table's sums: ten maps see each S2 map, and the rationale printed under it.
    assert [sum(s2 in sees for sees in C3_SEES) for s2 in range(6)] == [10] * 6
    assert [len(sees) for sees in C3_SEES] == [3] * 6 + [4] * 9 + [6]
    for sees in C3_SEES[:12]:
        start = next(s for s in sees if (s - 1) % 6 not in sees)
        assert set(sees) == {(start + k) % 6 for k in range(len(sees))}, "the first twelve see neighbours"
    assert len(set(C3_SEES)) == 16


def test_forward_equals_a_twin_in_numpy_and_scipy(network):
    network = network.double()
    images = torch.rand(2, 1, 32, 32, dtype=torch.float64) * 1.275 - 0.1
    with torch.no_grad():
        ours = network(images).numpy()
    weights = {name: value.detach().numpy() for name, value in network.named_parameters()}

    def squash(a):
        return 1.7159 * np.tanh(2 / 3 * a)

    def convolve(maps, weight, bias):  # maps (C, H, W), weight {(out, in): 5x5}
        out = []
        for o in range(len(bias)):
            parts = [scipy.signal.correlate2d(maps[i], k, "valid") for (oo, i), k in weight.items() if oo == o]
            out.append(sum(parts) + bias[o])
        return np.stack(out)

    def subsample(maps, coefficient, bias):
        summed = maps[:, ::2, ::2] + maps[:, 1::2, ::2] + maps[:, ::2, 1::2] + maps[:, 1::2, 1::2]
        return summed * coefficient[:, None, None] + bias[:, None, None]

    def dense_kernel(weight):
        return {(o, i): weight[o, i] for o in range(weight.shape[0]) for i in range(weight.shape[1])}

    links = [(o, i) for o, sees in enumerate(C3_SEES) for i in sees]
    for image, penalties in zip(images.numpy(), ours, strict=True):
        x = squash(convolve(image, dense_kernel(weights["c1.0.weight"]), weights["c1.0.bias"]))
        x = squash(subsample(x, weights["s2.0.coefficient"], weights["s2.0.bias"]))
        x = squash(convolve(x, dict(zip(links, weights["c3.0.weight"], strict=True)), weights["c3.0.bias"]))
        x = squash(subsample(x, weights["s4.0.coefficient"], weights["s4.0.bias"]))
        x = squash(convolve(x, dense_kernel(weights["c5.0.weight"]), weights["c5.0.bias"])).ravel()
        x = squash(weights["f6.1.weight"] @ x + weights["f6.1.bias"])
        expected = [((x - np.array(code)) ** 2).sum() for code in DIGIT_CODES]
        np.testing.assert_allclose(penalties, expected, rtol=1e-12)


def test_codes_are_seven_by_twelve_drawings_of_minus_one_and_one():
    assert list(DRAWINGS) == list("0123456789")
    assert all(len(code) == 84 and set(code) == {-1, 1} for code in DIGIT_CODES)
    distances = [
        sum(a != b for a, b in zip(one, other, strict=True))
        for i, one in enumerate(DIGIT_CODES)
        for other in DIGIT_CODES[:i]
    ]
    assert min(distances) >= 10, "two digits are hardly told apart by their codes"


def test_a_perfect_match_has_penalty_zero(network):
    codes = torch.tensor(DIGIT_CODES, dtype=torch.float32)
    penalties = network.output(codes)
    assert penalties.diagonal().tolist() == [0.0] * 10
    assert (decode(penalties).argmax(dim=1) == torch.arange(10)).all()


def test_loss_is_equation_9_by_hand(network):
    penalties = torch.tensor([[2.0, 1.0, 5.0] + [50.0] * 7])
    targets = torch.nn.functional.one_hot(torch.tensor([1]), 10).float()
    expected = 1.0 + math.log(math.exp(-0.1) + math.exp(-2) + math.exp(-1) + math.exp(-5) + 7 * math.exp(-50))
    assert losses(network, penalties, targets)["map"].item() == pytest.approx(expected, rel=1e-6)


def test_the_rubbish_class_bounds_the_push(network):
    # The paper: j "prevents the penalties of classes that are already very large from being pushed further up".
    penalties = torch.full((1, 10), 300.0, requires_grad=True)
    targets = torch.nn.functional.one_hot(torch.tensor([3]), 10).float()
    losses(network, penalties, targets)["map"].sum().backward()
    gradient = penalties.grad[0]
    assert gradient[3].item() == pytest.approx(1.0)
    assert gradient[[0, 1, 2, 4]].abs().max().item() < 1e-12


def test_initial_weights_lie_within_2_4_over_fan_in():
    torch.manual_seed(1)
    network = create_model("lenet5")
    for layer, fan_in in ((network.c1[0], 25), (network.c5[0], 400), (network.f6[1], 120)):
        largest = layer.weight.abs().max().item()
        assert 0.9 * 2.4 / fan_in < largest <= 2.4 / fan_in
    c3 = network.c3[0]
    links = c3.links[0].tolist()
    for out, sees in enumerate(C3_SEES):
        mine = c3.weight[[k for k, o in enumerate(links) if o == out]]
        assert 0.8 * 2.4 / (25 * len(sees)) < mine.abs().max().item() <= 2.4 / (25 * len(sees)) + 1e-9


def test_class_count_other_than_ten_is_refused_with_the_way_out():
    with pytest.raises(UsageError, match=r"num_classes must be 10, not 3.*lenet5_modern"):
        create_model("lenet5", num_classes=3)


def test_modern_counts_by_hand():
    # 5*5*1*6+6, 5*5*6*16+16, 5*5*16*120+120, 120*84+84, 84*10+10
    network = create_model("lenet5_modern")
    assert [parameters(child) for _, child in network.named_children()] == [156, 0, 2416, 0, 48120, 10164, 850]
