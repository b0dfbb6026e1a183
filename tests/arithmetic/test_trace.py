"""One run of any network, recorded: what is in the record, and that nothing of the network is touched."""

import copy
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.flop_counter import FlopCounterMode

from convatlas.arithmetic.tracing.trace import Trace, TraceError, trace
from convatlas.errors import UsageError
from tests.arithmetic.strangers import Branching, Grid, HalfWay, Torture, torture_inputs

pytestmark = pytest.mark.row("A-10")


def image(*shape: int) -> Tensor:
    return torch.empty(1, *shape, device="meta")


def kinds(traced: Trace) -> list[str]:
    return [op.kind for op in traced.ops]


# --- What is recorded


def test_a_small_network_call_by_call() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 2))
    traced = trace(network, image(3, 8, 8))
    assert traced.how == "meta"
    assert traced.notes == ()
    assert [(call.path, call.kind, call.depth, call.outputs[0].shape) for call in traced.calls] == [
        ("", "Sequential", 0, (1, 2)),
        ("0", "Conv2d", 1, (1, 4, 3, 3)),
        ("1", "ReLU", 1, (1, 4, 3, 3)),
        ("2", "Flatten", 1, (1, 36)),
        ("3", "Linear", 1, (1, 2)),
    ]
    assert kinds(traced) == ["convolution", "relu", "view", "t", "addmm"]
    convolution, relu, *_ = traced.ops
    x, weight, bias, stride, padding, dilation, transposed, output_padding, groups = convolution.args
    assert (x, weight, bias) == convolution.inputs
    assert (stride, padding, dilation, transposed, output_padding, groups) == ((2, 2), (0, 0), (1, 1), False, (0, 0), 1)
    assert traced.parameters[convolution.inputs[1].id] == "0.weight"
    assert relu.inputs == convolution.outputs
    assert (relu.path, relu.call) == ("1", 0)
    assert traced.outputs == traced.ops[-1].outputs
    assert traced.ops[traced.calls[0].begin : traced.calls[0].end] == traced.ops


def test_each_tensor_that_is_read_was_given_or_made() -> None:
    traced = trace(Torture(), *torture_inputs())
    known = {ref.id for ref in traced.inputs} | set(traced.parameters)
    for op in traced.ops:
        assert {ref.id for ref in op.inputs} <= known, op.kind
        known |= {ref.id for ref in op.outputs}
    assert {ref.id for ref in traced.outputs} <= known


def test_shared_and_reused_modules_are_told_apart_by_their_calls() -> None:
    traced = trace(Torture(), *torture_inputs())
    calls = Counter(call.path for call in traced.calls)
    assert (calls["conv"], calls["again"], calls["twice"], calls["relu"]) == (2, 0, 2, 3)
    convolutions = [(op.path, op.call) for op in traced.ops if op.kind == "convolution"]
    assert convolutions == [("conv", 0), ("conv", 1), ("twice", 0), ("twice", 1)]
    assert [state.name for state in traced.states].count("one.weight") == 1
    assert "other.weight" not in [state.name for state in traced.states]


def test_in_place_operations_give_the_tensor_that_they_took() -> None:
    traced = trace(Torture(), *torture_inputs())
    in_place = [op for op in traced.ops if op.kind in ("relu_", "add_")]
    assert len(in_place) >= 4
    assert all(op.outputs[0] == op.inputs[0] for op in in_place)


def test_inputs_and_outputs_may_be_dicts_lists_and_tuples() -> None:
    traced = trace(Torture(), *torture_inputs())
    assert [ref.shape for ref in traced.inputs] == [(1, 3, 8, 8), (1, 3, 8, 8), (1, 8, 8, 8)]
    assert [ref.shape for ref in traced.outputs] == [(1, 8), (1, 8), (1, 8, 4, 4)]


class Attends(nn.Module):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x[..., :3], attn_mask=mask)


def test_attention_is_one_operation_however_it_runs() -> None:
    x, mask = torch.empty(2, 4, 5, 6, device="meta"), torch.empty(5, 5, device="meta")
    traced = trace(Attends(), x, mask)
    (attention,) = (op for op in traced.ops if "attention" in op.kind)
    assert attention.kind == "scaled_dot_product_attention"
    assert [ref.shape for ref in attention.inputs] == [(2, 4, 5, 6), (2, 4, 5, 6), (2, 4, 5, 3), (5, 5)]
    assert attention.outputs[0].shape == (2, 4, 5, 3)
    assert attention.args[4:] == (0.0, False, None, False)
    assert not {"bmm", "softmax", "_softmax"}.intersection(kinds(traced))


def test_attention_leaves_torchs_own_function_and_setting() -> None:
    function = F.scaled_dot_product_attention
    fast = torch.backends.mha.get_fastpath_enabled()
    trace(Torture(), *torture_inputs())
    with pytest.raises(TraceError):
        trace(Attends(), torch.empty(2, 4, 5, device="meta"), torch.empty(9, device="meta"))
    assert F.scaled_dot_product_attention is function
    assert torch.backends.mha.get_fastpath_enabled() == fast


def test_operations_in_inference_mode_are_recorded_as_elsewhere() -> None:
    class Inference(nn.Sequential):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name of nn.Sequential's argument
            with torch.inference_mode():
                return super().forward(input)

    layers = nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2)
    assert kinds(trace(Inference(*layers), image(3, 8, 8))) == kinds(trace(nn.Sequential(*layers), image(3, 8, 8)))


# --- On what it is run


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


# --- What it leaves


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


# --- What fails


def test_a_failure_names_the_layer_and_what_it_got() -> None:
    with pytest.raises(TraceError) as caught:
        trace(HalfWay(), image(3, 8, 8))
    error = caught.value
    assert (error.path, error.kind, error.got) == ("second.1", "Linear", ((1, 144),))
    assert "HalfWay stopped in second.1 (Linear), which got 1x144" in str(error)
    assert "1x144 and 7x2" in str(error)
    assert [call.path for call in error.partial.calls] == [
        "", "first", "first.0", "first.1", "first.2", "second", "second.0", "second.1",
    ]  # fmt: skip
    assert error.partial.stopped
    assert [op.kind for op in error.partial.ops if op.kind != "empty"] == [
        "convolution", "native_batch_norm", "relu", "view", "t",
    ]  # fmt: skip


def test_a_network_that_refuses_its_input_in_plain_words_is_not_run_again() -> None:
    runs = []

    class Picky(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            runs.append(x.device.type)
            raise UsageError("Picky needs images of at least 9x9")

    with pytest.raises(TraceError, match="at least 9x9") as caught:
        trace(Picky(), image(3, 8, 8))
    assert runs == ["meta"]
    assert isinstance(caught.value.__cause__, UsageError)


def test_a_module_that_recovers_from_a_failure_within_it_goes_on() -> None:
    class Tries(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wrong, self.right = nn.Linear(3, 2), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            try:
                return self.wrong(x)
            except RuntimeError:
                return self.right(x)

    traced = trace(Tries(), torch.empty(1, 4, device="meta"))
    assert [call.path for call in traced.calls] == ["", "wrong", "right"]
    assert traced.ops[-1].path == "right"


# --- Shapes by closed form against torch's own


QUICK = {
    "convolution": lambda x: F.conv2d(x, w(6, 8, 3, 2), w(6), stride=(2, 1), padding=(1, 2), dilation=(1, 3)),
    "grouped": lambda x: F.conv2d(x, w(8, 2, 3, 3), padding=1, groups=4),
    "transposed": lambda x: F.conv_transpose2d(x, w(8, 3, 3, 2), w(6), 2, padding=1, output_padding=1, groups=2),
    "max pool": lambda x: F.max_pool2d(x, 3, stride=2, padding=1, ceil_mode=True),
    "average pool": lambda x: F.avg_pool2d(x, (2, 3), stride=2, ceil_mode=True),
    "adaptive pool": lambda x: F.adaptive_avg_pool2d(x, (2, 3)),
    "batch norm": lambda x: F.batch_norm(x, w(8), w(8)),
    "layer norm": lambda x: F.layer_norm(x, x.shape[2:]),
    "elementwise": lambda x: F.hardswish(torch.relu(x) + x[:, :1] * 2),
    "in place": lambda x: x.clone().relu_().add_(x[:, :, :1]),
    "cat": lambda x: torch.cat([x, x[:, :3]], dim=1),
    "mean": lambda x: x.mean(dim=(2, -1), keepdim=True),
    "pad": lambda x: F.pad(x, (1, 2, 0, -1)),
    "matrices": lambda x: F.linear(x.flatten(1), w(5, 8 * 9 * 10), w(5)) @ w(5, 2),
    "batched matrices": lambda x: torch.softmax(x[0] @ x[0].transpose(1, 2), dim=-1),
    "shuffle": lambda x: x.view(1, 2, 4, 9, 10).transpose(1, 2).reshape(1, 8, 9, 10).sigmoid(),
    "channels last": lambda x: torch.relu(x.contiguous(memory_format=torch.channels_last)) + x,
}  # fmt: skip


def w(*shape: int) -> Tensor:
    return torch.ones(*shape)


class Does(nn.Module):
    def __init__(self, what: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.what = what

    def forward(self, x: Tensor) -> Tensor:
        return self.what(x)


@pytest.mark.parametrize("name", QUICK)
def test_shapes_and_memory_order_are_torchs(name: str) -> None:
    x = torch.rand(1, 8, 9, 10)
    expected = QUICK[name](x)
    made: list[Tensor] = []

    class Kept(Does):
        def forward(self, x: Tensor) -> Tensor:
            made.append(super().forward(x))
            return made[-1]

    traced = trace(Kept(QUICK[name]), x)
    assert traced.how == "meta"
    assert traced.outputs[0].shape == tuple(expected.shape)
    assert (made[-1].stride(), made[-1].dtype) == (expected.stride(), expected.dtype)


@pytest.mark.parametrize("seed", range(40))
def test_the_shapes_of_random_windows_are_torchs(seed: int) -> None:
    chance = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=chance))

    kernel, stride, dilation = (draw(1, 4), draw(1, 4)), (draw(1, 3), draw(1, 3)), (draw(1, 2), draw(1, 2))
    groups = draw(1, 2)
    ceil = bool(draw(0, 1))
    layers = nn.Sequential(
        nn.Conv2d(4, 6, kernel, stride, (draw(0, 2), draw(0, 2)), dilation, groups),
        nn.MaxPool2d(3, draw(1, 3), draw(0, 1), ceil_mode=ceil),
        nn.ConvTranspose2d(6, 4, kernel, stride, (draw(0, 1), 0), groups=groups, dilation=dilation),
        nn.AvgPool2d(2, draw(1, 2), draw(0, 1), ceil_mode=ceil),
    )
    x = torch.rand(2, 4, draw(18, 25), draw(18, 25))
    traced = trace(layers, x)
    assert traced.how == "meta"
    for layer, call in zip(layers, traced.calls[1:], strict=True):
        x = layer(x)
        assert call.outputs[0].shape == tuple(x.shape), layer


def test_what_torch_refuses_is_refused() -> None:
    for layers, x in (
        (nn.Conv2d(3, 4, 3), image(4, 8, 8)),
        (nn.Conv2d(3, 4, 9), image(3, 8, 8)),
        (nn.BatchNorm2d(4), image(4, 8)),
        (nn.Linear(3, 2), image(4)),
        (Does(lambda x: torch.cat([x, x[:, :, :1]], dim=1)), image(3, 8, 8)),
        (Does(lambda x: x + x[:, :, :3]), image(3, 8, 8)),
        (Does(lambda x: x.view(5, -1)), image(3, 8, 8)),
    ):
        with pytest.raises(TraceError):
            trace(layers, x)


def test_products_are_recorded_as_torchs_counter_sees_them() -> None:
    """The recorder and torch's counter of operations both look at the same dispatcher."""
    network, inputs = Torture().eval(), torture_inputs("cpu")
    with FlopCounterMode(display=False) as counter:
        network(*inputs)
    counted = {str(kind).removeprefix("aten."): flops for kind, flops in counter.get_flop_counts()["Global"].items()}
    seen = set(kinds(trace(network, *inputs)))
    attention = {kind for kind in counted if "attention" in kind}
    assert attention
    assert counted.keys() - attention <= seen
    assert "scaled_dot_product_attention" in seen
