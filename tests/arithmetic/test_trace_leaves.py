"""What a recorded run leaves: nothing of the network, of torch or of the random numbers is touched."""

import copy
import functools
import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from convatlas.arithmetic.tracing.trace import TraceError, trace
from tests.arithmetic.strangers import Branching, Grid, HalfWay, Torture, torture_inputs

pytestmark = pytest.mark.row("A-10")


def image(*shape: int) -> Tensor:
    return torch.empty(1, *shape, device="meta")


def state_of(network: nn.Module) -> dict[str, Any]:
    """All that a caller could see of it."""
    return {
        "modes": [module.training for module in network.modules()],
        "hooks": [
            (list(module._forward_hooks), list(module._forward_pre_hooks), list(module._backward_hooks))
            for module in network.modules()
        ],
        "tensors": {name: (id(tensor), tensor.clone()) for name, tensor in network.state_dict(keep_vars=True).items()},
        "gradients": {
            name: None if each.grad is None else (id(each.grad), each.grad.clone())
            for name, each in network.named_parameters()
        },
        "own": {name: sorted(vars(module)) for name, module in network.named_modules()},
        "forward": [module.__dict__.get("forward") for module in network.modules()],
    }


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        (Torture, torture_inputs()),
        (Torture, torture_inputs("cpu")),
        (Branching, (image(3, 8, 8),)),
        (Grid, (image(3, 8, 8),)),
        (HalfWay, (image(3, 8, 8),)),
    ],
    ids=["meta", "tensors", "for real", "fake", "stops"],
)
@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_as_before(make: Callable[[], nn.Module], inputs: tuple[Any, ...], training: bool) -> None:
    torch.manual_seed(0)
    network = make().train(training)
    heard: list[str] = []
    for module in network.modules():
        module.register_forward_hook(lambda *_: heard.append("forward"))
        module.register_forward_pre_hook(lambda *_: heard.append("before"))
        module.register_full_backward_hook(lambda *_: heard.append("backward"))
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.randn_like(parameter)
    before, random = state_of(network), torch.get_rng_state()
    try:
        trace(network, *inputs)
    except TraceError:
        assert make is HalfWay
    assert equal(state_of(network), before)
    assert heard == []
    assert getattr(network, "seen", 0) == 0
    assert torch.equal(torch.get_rng_state(), random)


def test_given_tensors_are_as_before() -> None:
    inputs = torture_inputs("cpu")
    before = copy.deepcopy(inputs)
    trace(Torture(), *inputs)
    assert equal(list(inputs), list(before))


def test_what_cannot_be_copied_is_no_hindrance() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3))
    network.lock = threading.Lock()  # type: ignore[assignment]  # as a stranger would
    network[0].derived = network[0].weight * 2  # a tensor with a history, which copy.deepcopy refuses
    assert trace(network, image(3, 8, 8)).how == "meta"


def test_hooks_that_make_weights_still_make_them() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3))
    with pytest.warns(FutureWarning):
        nn.utils.weight_norm(network[0])
    parametrizations.spectral_norm(network[1])
    traced = trace(network, image(3, 8, 8))
    assert [ref.shape for ref in traced.outputs] == [(1, 4, 4, 4)]
    assert set(traced.parameters.values()) >= {"0.weight_g", "0.weight_v", "1.parametrizations.weight.original"}


# --- Functions that know the network


class Norm(nn.Module):
    """Its function reads its modules, in one of the ways in which a function can; in training mode, they count."""

    def __init__(self, way: str, decides: bool = False, fails: bool = False) -> None:
        super().__init__()
        self.conv, self.norm, self.decides, self.fails = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), decides, fails
        norm, both = self.norm, [self.conv, {"norm": self.norm}]

        def normed(x: Tensor) -> Tensor:
            return norm(x)

        self.does: Any = {
            "closure": lambda x: self.norm(self.conv(x)),
            "nested": lambda x: normed(self.conv(x)),
            "list": lambda x: both[1]["norm"](both[0](x)),  # type: ignore[index,operator]  # both kinds are in it
            "default": lambda x, conv=self.conv, norm=self.norm: norm(conv(x)),
            "partial": functools.partial(lambda x, last: last(self.conv(x)), last=normed),
            "method": self.composed,
        }[way]
        self.table = {"does": [self.does]}

    def composed(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.table["does"][0](self.does(x)[:, :3])
        if self.decides and y.mean() > 1e9:
            return x
        if self.fails:
            raise ValueError("stops")
        return y


WAYS = ("closure", "nested", "list", "default", "partial", "method")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("decides", "fails"), [(False, False), (True, False), (True, True)])
def test_functions_that_enclose_modules_run_those_of_the_copy(way: str, decides: bool, fails: bool) -> None:
    network = Norm(way, decides, fails)
    before = state_of(network)
    if fails:
        with pytest.raises(TraceError, match="stops"):
            trace(network, torch.rand(1, 3, 8, 8))
    else:
        traced = trace(network, torch.rand(1, 3, 8, 8))
        assert traced.how == ("cpu" if decides else "meta")
        assert [call.path for call in traced.calls] == ["", "conv", "norm", "conv", "norm"]
        learned = [traced.parameters.get(op.inputs[1].id) for op in traced.ops if op.kind == "convolution"]
        assert learned == ["conv.weight"] * 2
    assert equal(state_of(network), before)
    network(torch.rand(1, 3, 12, 12)) if not fails else None  # the function is still the network's own
    assert fails or int(network.norm.num_batches_tracked) == 2


def test_functions_that_share_a_variable_still_share_it() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            count, relu = 0, nn.ReLU()

            def up() -> None:
                nonlocal count
                count += 1

            self.up, self.told, self.relu = up, lambda: (count, relu), relu

        def forward(self, x: Tensor) -> Tensor:
            self.up()
            return x.sum(dim=self.told()[0])

    network = Counts()
    assert trace(network, image(3, 4)).outputs[0].shape == (1, 4)
    assert network.told()[0] == 0


KNOWN: dict[str, nn.Module] = {}  # a global variable: no function can be made to read another


class Remembers(nn.Module):
    """Runs the original, wherever it is copied to; what it does to it, it does in training mode."""

    def __init__(self, does: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.norm, self.does = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), does

    def forward(self, x: Tensor) -> Tensor:
        y = self.does(KNOWN["network"], x)
        return y if y.mean() < 1e9 else x


def trains(network: Any, x: Tensor) -> Tensor:
    network.train()
    return network.norm(network.conv(x))  # type: ignore[no-any-return]  # a module may return anything


def writes(network: Any, x: Tensor) -> Tensor:
    network.conv.weight.data.mul_(2)
    network.norm.running_mean = torch.ones(3)
    network.eval()
    return x


def writes_and_fails(network: Any, x: Tensor) -> Tensor:
    network.norm.bias.add_(1)
    network.conv.weight.grad.add_(1)
    return x[9]


@pytest.mark.parametrize("does", [trains, writes, writes_and_fails])
@pytest.mark.parametrize("training", [True, False])
def test_what_runs_the_network_itself_leaves_it_as_before(
    does: Callable[[Any, Tensor], Tensor], training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Remembers(does).train(training)
    monkeypatch.setitem(KNOWN, "network", network)
    for parameter in network.parameters():
        parameter.grad = torch.rand_like(parameter)
    loss = network.norm(network.conv(torch.rand(1, 3, 4, 4))).sum()
    before = state_of(network)
    try:
        notes = trace(network, torch.rand(1, 3, 8, 8)).notes
    except TraceError:
        assert does is writes_and_fails
    else:
        assert "the network's own tensors" in notes[-1]
    assert equal(state_of(network), before)
    loss.backward()  # a step of training that was under way goes on


# --- Random numbers, and other threads


class Draws(nn.Module):
    def __init__(self, fails: bool) -> None:
        super().__init__()
        self.fails = fails

    def forward(self, x: Tensor) -> Tensor:
        random.random(), np.random.random()  # the generator that strangers use
        y = x + torch.rand(3, device="cpu")
        assert not self.fails or y.mean() > 9
        return y


@pytest.mark.parametrize("fails", [False, True])
def test_random_numbers_go_on_as_if_nothing_had_been_drawn(fails: bool) -> None:
    def states() -> list[Any]:
        numpys = np.random.get_state()
        return [
            random.getstate(),
            torch.get_rng_state().tolist(),
            [each.tolist() if isinstance(each, np.ndarray) else each for each in numpys],
        ]

    network, before = Draws(fails), states()
    try:
        trace(network, torch.zeros(3))
    except TraceError:
        assert fails
    assert states() == before


def test_two_traces_in_two_threads_leave_torch_as_before() -> None:
    """Each waits within its run until the other has been started: without a lock, they would overlap."""
    function, fast = F.scaled_dot_product_attention, torch.backends.mha.get_fastpath_enabled()
    started = [threading.Event(), threading.Event()]
    inside: list[int] = []
    overlapped: list[bool] = []

    class Waits(nn.Module):
        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

        def forward(self, x: Tensor) -> Tensor:
            inside.append(self.index)
            started[1 - self.index].wait(0.5)
            overlapped.append(len(inside) > 1)
            y = F.scaled_dot_product_attention(x, x, x)
            inside.remove(self.index)
            return y

    traced: dict[int, list[str]] = {}

    def work(index: int) -> None:
        started[index].set()
        traced[index] = [op.kind for op in trace(Waits(index), image(2, 3, 4)).ops]

    threads = [threading.Thread(target=work, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlapped == [False, False]
    assert traced == {index: ["scaled_dot_product_attention"] for index in (0, 1)}
    assert F.scaled_dot_product_attention is function
    assert torch.backends.mha.get_fastpath_enabled() == fast


def test_a_run_may_trace_within() -> None:
    class Traces(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            assert [op.kind for op in trace(Torture(), *torture_inputs()).ops].count("convolution") == 4
            return F.scaled_dot_product_attention(x, x, x)

    function = F.scaled_dot_product_attention
    traced = trace(Traces(), image(2, 3, 4))
    assert [op.kind for op in traced.ops if "attention" in op.kind] == ["scaled_dot_product_attention"]
    assert F.scaled_dot_product_attention is function
