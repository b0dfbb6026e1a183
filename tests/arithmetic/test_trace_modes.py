"""On what a network is run to be recorded, and what the notes say of it."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convatlas.arithmetic.tracing.trace import Trace, TraceError, trace
from tests.arithmetic.strangers import Branching, Grid, Torture, torture_inputs

pytestmark = pytest.mark.row("A-10")


def image(*shape: int) -> Tensor:
    return torch.empty(1, *shape, device="meta")


def kinds(traced: Trace) -> list[str]:
    return [op.kind for op in traced.ops]


def test_fake_tensors_where_the_meta_device_does_not_do() -> None:
    traced = trace(Grid(), image(3, 4, 4))
    assert traced.how == "fake"
    assert traced.outputs[0].shape == (1, 4, 4, 4)
    assert "fake tensors" in traced.notes[0]


def test_for_real_where_the_way_depends_on_numbers() -> None:
    traced = trace(Branching(), image(3, 8, 8))
    assert traced.how == "cpu"
    assert kinds(traced)[-1] == "relu"
    assert "for real" in traced.notes[0]
    assert "Branching" in traced.notes[0]


def test_a_network_without_numbers_runs_for_real_on_made_up_ones() -> None:
    with torch.device("meta"):
        network = Branching()
    assert trace(network, image(3, 8, 8)).outputs[0].shape == (1, 4, 6, 6)
    assert network.conv.weight.is_meta


def test_the_same_is_recorded_on_the_processor() -> None:
    class Looking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = Torture()

        def forward(self, *inputs: Any) -> Any:
            outputs = self.network(*inputs)
            assert bool(outputs["maps"].isfinite().all())
            return outputs

    on_meta, for_real = trace(Torture(), *torture_inputs()), trace(Looking(), *torture_inputs("cpu"))
    assert (on_meta.how, for_real.how) == ("meta", "cpu")
    costly = ("convolution", "addmm", "mm", "bmm", "scaled_dot_product_attention")
    for kind in costly:
        shapes = [
            [tuple(ref.shape for ref in op.inputs) for op in run.ops if op.kind == kind] for run in (on_meta, for_real)
        ]
        assert shapes[0] == shapes[1], kind


# --- Autocast


class Autocast(nn.Module):
    """Convolves in bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.LayerNorm(6)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            x = self.conv(x)
        return self.norm(x.float())


def test_types_under_autocast_are_those_of_a_real_run() -> None:
    network = Autocast()
    real: list[torch.dtype] = []
    network.conv.register_forward_hook(lambda _module, _inputs, output: real.append(output.dtype))
    network(torch.rand(1, 3, 8, 8))
    traced = trace(network, image(3, 8, 8))
    assert [call.outputs[0].dtype for call in traced.calls if call.path == "conv"] == real == [torch.bfloat16]
    assert traced.outputs[0].dtype == torch.float32
    assert (traced.how, "autocast" in traced.notes[0]) == ("fake", True)


def test_autocast_around_the_whole_run_counts_too() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        traced = trace(nn.Conv2d(3, 4, 3), image(3, 8, 8))
    assert traced.outputs[0].dtype == torch.bfloat16


def test_autocast_for_another_device_is_noted() -> None:
    class OnCuda(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            before = torch.is_autocast_enabled("cuda")
            torch.set_autocast_enabled("cuda", True)  # torch.autocast does not where there is no such device
            try:
                return super().forward(x)
            finally:
                torch.set_autocast_enabled("cuda", before)

    traced = trace(OnCuda(3, 4, 3), image(3, 8, 8))
    assert (traced.how, traced.outputs[0].dtype) == ("meta", torch.float32)
    assert traced.notes == ("autocast for cuda was not applied: types are those without it",)


# --- Hooks, lazy layers, TorchScript


def test_forward_hooks_that_were_left_out_are_noted() -> None:
    network = nn.Sequential(*(nn.ReLU() for _ in range(9)))
    network[2].register_forward_hook(lambda *_: pytest.fail("called"))
    network.register_forward_pre_hook(lambda *_: pytest.fail("called"))
    network[3].register_full_backward_hook(lambda *_: None)  # there is no gradient to hook
    assert trace(network, image(3)).notes == ("forward hooks were not called: the network itself, 2",)
    for module in network:
        module.register_forward_hook(lambda *_: pytest.fail("called"))
    note = "forward hooks were not called: the network itself, 0, 1, 2, 3 and 5 more"
    assert trace(network, image(3)).notes == (note,)


def test_notes_stand_after_that_of_the_run_and_with_a_failure() -> None:
    network = Branching()
    network.conv.register_forward_hook(lambda *_: None)
    for_real, hooks = trace(network, image(3, 8, 8)).notes
    assert ("for real" in for_real, hooks) == (True, "forward hooks were not called: conv")
    with pytest.raises(TraceError) as caught:
        trace(network, image(4, 8, 8))
    assert caught.value.partial.notes == ("forward hooks were not called: conv",)


@pytest.mark.parametrize("last", [nn.Flatten(), Branching], ids=["meta", "for real"])
def test_lazy_layers_take_their_sizes_from_the_inputs(last: Any) -> None:
    def make(conv: Any, norm: Any, linear: Any) -> nn.Sequential:
        ends = [] if isinstance(last, nn.Module) else [nn.Unflatten(1, (3, 4, 4)), last()]
        return nn.Sequential(conv, norm, nn.ReLU(), nn.Flatten(), linear, *ends)

    lazy = make(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.LazyLinear(48))
    plain = make(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(144, 48))
    traced, expected = trace(lazy, image(3, 8, 8)), trace(plain, image(3, 8, 8))
    assert (traced.how, kinds(traced)) == (expected.how, kinds(expected))
    told = [
        [(state.name, state.ref.shape, state.kind, state.trainable) for state in run.states]
        for run in (traced, expected)
    ]
    assert told[0] == told[1]
    assert traced.notes[-1] == "lazy layers took their sizes from these inputs: 0, 1, 4"
    assert lazy[0].has_uninitialized_params()
    assert type(lazy[4]) is nn.LazyLinear


def test_lazy_layers_that_do_not_fit_fail_in_plain_words() -> None:
    network = nn.Sequential(nn.LazyConv2d(4, 3), nn.Linear(7, 2))
    with pytest.raises(TraceError, match=r"stopped in 1 \(Linear\), which got 1x4x6x6") as caught:
        trace(network, image(3, 8, 8))
    assert "0.weight" in caught.value.partial.parameters.values()


@pytest.mark.filterwarnings(
    "ignore:`torch.jit:DeprecationWarning", "ignore:`torch.jit:FutureWarning", "ignore::torch.jit.TracerWarning"
)
@pytest.mark.parametrize(
    "compiled",
    [torch.jit.script, lambda network: torch.jit.trace(network, torch.rand(1, 3, 8, 8))],
    ids=["script", "trace"],
)
def test_parameters_of_torchscript_are_parameters(compiled: Callable[[nn.Module], nn.Module]) -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    plain[1].bias.requires_grad_(False)
    traced = trace(compiled(plain), image(3, 8, 8))
    assert [(each.name, each.kind, each.trainable) for each in traced.states] == [
        ("0.weight", "parameter", True),
        ("0.bias", "parameter", True),
        ("1.weight", "parameter", True),
        ("1.bias", "parameter", False),
        ("1.running_mean", "buffer", False),
        ("1.running_var", "buffer", False),
        ("1.num_batches_tracked", "buffer", False),
    ]
    convolution = next(op for op in traced.ops if "convolution" in op.kind)
    assert convolution.kind == "convolution"
    assert traced.parameters[convolution.inputs[1].id] == "0.weight"


@pytest.mark.parametrize("read", [lambda x: float(x.numpy().mean()), lambda x: float(np.asarray(x).mean())])
def test_what_uses_numpy_is_run_for_real(read: Callable[[Tensor], float]) -> None:
    class Reads(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(x) * read(x.detach())

    traced = trace(Reads(), image(3, 4, 4))
    assert traced.how == "cpu"
    assert "for real" in traced.notes[0]
    assert kinds(traced)[-1] == "mul"


def test_a_default_device_of_the_user_s_is_not_obeyed() -> None:
    class Makes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.zeros(4) if x.mean() > -1 else x

    torch.set_default_device("meta")
    try:
        assert trace(Makes(), torch.empty(1, 4)).how == "cpu"
    finally:
        torch.set_default_device(None)


def test_modules_in_other_threads_are_noted() -> None:
    class Threads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])

        def forward(self, x: Tensor) -> Tensor:
            with ThreadPoolExecutor(1) as pool:
                return sum(pool.map(lambda layer: layer(x), self.layers))

    assert "other threads called modules" in trace(Threads(), image(4)).notes[-1]


def test_what_needs_random_numbers_of_python_is_run() -> None:
    class Chooses(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.relu() if random.random() < 2 else x

    assert kinds(trace(Chooses(), image(3))) == ["relu"]
