"""One run of any network, recorded: what is in the record, and what stands there when it stops."""

import re
from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from convatlas.arithmetic.tracing.trace import Trace, TraceError, trace
from convatlas.errors import UsageError
from tests.arithmetic.strangers import HalfWay, Torture, torture_inputs

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


# --- What fails


def test_a_failure_names_the_layer_and_what_it_got() -> None:
    with pytest.raises(TraceError) as caught:
        trace(HalfWay(), image(3, 8, 8))
    error = caught.value
    assert (error.path, error.kind, error.got) == ("second.1", "Linear", ((1, 144),))
    assert "HalfWay stopped in second.1 (Linear), which got 1x144" in str(error)
    assert re.search("144.*7.*2", error.reason)
    assert [call.path for call in error.partial.calls] == [
        "", "first", "first.0", "first.1", "first.2", "second", "second.0", "second.1",
    ]  # fmt: skip
    assert error.partial.stopped
    assert [op.kind for op in error.partial.ops if op.kind != "empty"] == [
        "convolution", "native_batch_norm", "relu", "view", "t",
    ]  # fmt: skip


@pytest.mark.parametrize("words", ["expected 4 channels", "the data of 4 images"])
def test_what_fails_for_its_shapes_is_not_run_for_real(words: str) -> None:
    runs = []

    class Checks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            runs.append(x.device.type)
            if words.startswith("expected"):
                raise ValueError(words)
            raise UsageError(words)

    for network in (Checks(), nn.Sequential(Checks())):
        with pytest.raises(TraceError, match=words):
            trace(network, image(3, 8, 8))
    assert runs == ["meta", "meta"]
    with pytest.raises(TraceError) as caught:
        trace(HalfWay(), image(3, 8, 8))
    assert caught.value.partial.how == "meta"


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
