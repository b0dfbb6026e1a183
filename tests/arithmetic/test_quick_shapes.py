"""Output shapes by closed form, against torch's own: the same shape and type, or left to torch."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from convatlas.arithmetic.tracing.quick_shapes import _QUICK, quick_attention, quick_output
from convatlas.arithmetic.tracing.trace import TraceError, trace

pytestmark = pytest.mark.row("A-10")

aten = torch.ops.aten


def image(*shape: int) -> Tensor:
    return torch.empty(1, *shape, device="meta")


# --- Plain forms, in a network


def w(*shape: int) -> Tensor:
    return torch.ones(*shape)


NETWORKS = {
    "convolution": lambda x: F.conv2d(x, w(6, 8, 3, 2), w(6), stride=(2, 1), padding=(1, 2), dilation=(1, 3)),
    "grouped": lambda x: F.conv2d(x, w(8, 2, 3, 3), padding=1, groups=4),
    "transposed": lambda x: F.conv_transpose2d(x, w(8, 3, 3, 2), w(6), 2, padding=1, output_padding=1, groups=2),
    "max pool": lambda x: F.max_pool2d(x, 3, stride=2, padding=1, ceil_mode=True),
    "average pool": lambda x: F.avg_pool2d(x, (2, 3), stride=2, ceil_mode=True),
    "adaptive pool": lambda x: F.adaptive_avg_pool2d(x, (2, 3)),
    "batch norm": lambda x: F.batch_norm(x, w(8), w(8)),
    "layer norm": lambda x: F.layer_norm(x, x.shape[2:]),
    "elementwise": lambda x: F.hardswish(torch.relu(x) + x[:, :1] * 2),
    "clamped": lambda x: F.hardtanh(x, 0, 6),
    "in place": lambda x: x.clone().relu_().add_(x[:, :, :1]),
    "cat": lambda x: torch.cat([x, x[:, :3]], dim=1),
    "mean": lambda x: x.mean(dim=(2, -1), keepdim=True),
    "pad": lambda x: F.pad(x, (1, 2, 0, -1)),
    "matrices": lambda x: F.linear(x.flatten(1), w(5, 8 * 9 * 10), w(5)) @ w(5, 2),
    "batched matrices": lambda x: torch.softmax(x[0] @ x[0].transpose(1, 2), dim=-1),
    "shuffle": lambda x: x.view(1, 2, 4, 9, 10).transpose(1, 2).reshape(1, 8, 9, 10).sigmoid(),
    "channels last": lambda x: torch.relu(x.contiguous(memory_format=torch.channels_last)) + x,
    "complex": lambda x: x * 1j,
}  # fmt: skip


class Does(nn.Module):
    def __init__(self, what: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.what = what

    def forward(self, x: Tensor) -> Tensor:
        return self.what(x)


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_and_memory_order_are_torchs(name: str) -> None:
    x = torch.rand(1, 8, 9, 10)
    expected = NETWORKS[name](x)
    made: list[Tensor] = []

    class Kept(Does):
        def forward(self, x: Tensor) -> Tensor:
            made.append(super().forward(x))
            return made[-1]

    traced = trace(Kept(NETWORKS[name]), x)
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


REFUSED: dict[str, tuple[Callable[[Tensor], Any], Tensor]] = {
    "channels": (nn.Conv2d(3, 4, 3), image(4, 8, 8)),
    "window": (nn.Conv2d(3, 4, 9), image(3, 8, 8)),
    "norm's channels": (nn.BatchNorm2d(4), image(4, 8)),
    "features": (nn.Linear(3, 2), image(4)),
    "cat of other sizes": (lambda x: torch.cat([x, x[:, :, :1]], dim=1), image(3, 8, 8)),
    "sum of other sizes": (lambda x: x + x[:, :3], image(4, 8, 8)),
    "view": (lambda x: x.view(5, -1), image(3, 8, 8)),
    "softmax over no axis": (lambda x: torch.softmax(x, 9), image(3, 8, 8)),
    "cat along no axis": (lambda x: torch.cat([x, x], 4), image(3, 8, 8)),
    "mean of no axis": (lambda x: x.mean((2, 5)), image(3, 8, 8)),
    "mean of one axis twice": (lambda x: x.mean((1, -3)), image(3, 8, 8)),
    "mean of one number's axis": (lambda x: x.sum().mean((3,)), image(3, 8, 8)),
    "division by 0": (lambda x: F.avg_pool2d(x, 2, divisor_override=0), image(3, 8, 8)),
    "mask": (lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=x[..., :3]), image(3, 8, 8)),
    "mask and causal": (
        lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=x, is_causal=True), image(3, 8, 8)
    ),
    "into an expanded tensor": (lambda x: x[:, :1].expand(1, 3, 8, 8).add_(1), image(3, 8, 8)),
    "activation of an expanded tensor": (lambda x: F.silu(x[:, :1].expand(1, 3, 8, 8), inplace=True), image(3, 8, 8)),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_torch_refuses_is_refused(name: str) -> None:
    does, x = REFUSED[name]
    with pytest.raises((RuntimeError, IndexError, ValueError)):
        does(torch.rand(x.shape))
    with pytest.raises(TraceError):
        trace(does if isinstance(does, nn.Module) else Does(does), x)


# --- Any arguments: what a closed form answers is what torch's kernel for the meta device answers


SMALL = st.integers(0, 4)
TYPES = st.sampled_from([torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool])
NUMBER = st.one_of(st.integers(-3, 3), st.floats(-2, 2), st.booleans(), st.just(1j))


@st.composite
def mostly(draw: st.DrawFn, usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> Any:
    return draw(odd if draw(st.integers(0, 15)) == 9 else usual)


def numbers(low: int, high: int) -> st.SearchStrategy[list[int]]:
    """One for each axis of a picture; now and then another count, or one too low."""
    usual = st.lists(st.integers(low, high), min_size=2, max_size=2)
    return mostly(usual, st.lists(st.integers(low - 1, high), max_size=3))


@st.composite
def tensors(draw: st.DrawFn, *dims: int) -> Tensor:
    """Of any shape, or mostly of one of these counts of axes; in order, transposed, or expanded."""
    axes = draw(mostly(st.sampled_from(dims or (0, 1, 2, 3, 4)), st.integers(0, 5)))
    sizes = draw(mostly(st.just(st.integers(1, 6)), st.just(SMALL)))
    shape = draw(st.lists(sizes, min_size=axes, max_size=axes))
    x = torch.empty(shape, dtype=draw(mostly(st.just(torch.float32), TYPES)), device="meta")
    turned = x.transpose(0, -1) if x.dim() > 1 else x
    return draw(mostly(st.just(x), st.sampled_from([turned, x.expand(2, *shape)])))


def like(x: Tensor, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=x.dtype, device="meta")


def optional(x: Tensor, *shape: int) -> st.SearchStrategy[Tensor | None]:
    """What belongs to x: of that shape, or, now and then, absent or of another one."""
    return mostly(st.just(like(x, *shape)), st.one_of(st.none(), tensors()))


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Any, ...]:
    x = draw(tensors(4, 4, 5))
    groups, transposed = draw(mostly(st.integers(1, 3), st.integers(-1, 4))), draw(st.booleans())
    parts = max(groups, 1)
    made = draw(st.integers(1, 3)) * parts
    if x.dim() > 1 and draw(mostly(st.just(True), st.just(False))):
        x = like(x, x.shape[0], x.shape[1] * parts, *x.shape[2:])
    channels = x.shape[1] if x.dim() > 1 else 3
    axes = max(x.dim() - 2, 0)
    kernel = draw(mostly(st.lists(st.integers(1, 3), min_size=axes, max_size=axes), st.lists(SMALL, max_size=3)))
    shape = (channels, made // parts) if transposed else (made, channels // parts)
    weight = draw(mostly(st.just(like(x, *shape, *kernel)), st.just(like(x, *shape[::-1], *kernel))))
    bias = draw(mostly(optional(x, made), st.none()))

    def an_axis(low: int, high: int) -> list[int]:
        some = st.lists(st.integers(low, high), min_size=axes, max_size=axes)
        listed: list[int] = draw(mostly(some, st.lists(st.integers(low - 1, high), max_size=4)))
        return listed

    output_padding = an_axis(0, 1 if transposed else 0)
    if not transposed:
        output_padding = draw(mostly(st.just(output_padding), st.just([1] * axes)))
    return x, weight, bias, an_axis(1, 3), an_axis(0, 2), an_axis(1, 2), transposed, output_padding, groups


@st.composite
def norms(draw: st.DrawFn) -> tuple[Any, ...]:
    x = draw(tensors(2, 4))
    channels = x.shape[1] if x.dim() > 1 else 1
    rest = [draw(optional(x, channels)) for _ in range(4)]
    return x, *rest, draw(mostly(st.just(False), st.just(True))), 0.1, 1e-5


@st.composite
def layer_norms(draw: st.DrawFn) -> tuple[Any, ...]:
    x = draw(tensors(2, 4))
    shape = draw(mostly(st.integers(0, x.dim()).map(lambda axes: list(x.shape[x.dim() - axes :])), numbers(1, 4)))
    return x, shape, draw(optional(x, *shape)), draw(optional(x, *shape)), 1e-5


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, ...]:
    x = draw(tensors())
    some = [draw(mostly(st.just(size), SMALL)) if draw(st.booleans()) else 1 for size in x.shape]
    return x, draw(st.one_of(NUMBER, tensors(), st.just(x), st.just(like(x, *some)), st.just(like(x, *some[1:]))))


@st.composite
def products(draw: st.DrawFn) -> tuple[Any, ...]:
    x = draw(tensors(2))
    columns = draw(st.integers(1, 4))
    y = draw(mostly(st.just(like(x, x.shape[-1] if x.dim() else 1, columns)), tensors(2)))
    return draw(mostly(st.just(like(x, columns)), st.one_of(tensors(1, 2), st.just(like(x, 1))))), x, y


@st.composite
def joins(draw: st.DrawFn) -> tuple[Any, ...]:
    x = draw(tensors())
    dim = draw(mostly(st.integers(-x.dim(), x.dim()), st.integers(-6, 6)))
    shape = list(x.shape)
    if -x.dim() <= dim < x.dim():
        shape[dim] = draw(st.integers(1, 4))
    other = draw(mostly(st.just(like(x, *shape)), tensors()))
    return ([x, other], dim) if draw(st.booleans()) else ([x, other],)


@st.composite
def means(draw: st.DrawFn) -> tuple[Any, ...]:
    x = draw(tensors())
    some = st.lists(st.integers(-x.dim(), max(x.dim() - 1, 0)), max_size=3, unique=True)
    return x, draw(mostly(some, st.one_of(st.none(), st.lists(st.integers(-6, 6), max_size=3)))), draw(st.booleans())


@st.composite
def softmaxes(draw: st.DrawFn) -> tuple[Any, ...]:
    x = draw(tensors())
    dim = draw(mostly(st.integers(-x.dim(), max(x.dim() - 1, 0)), st.integers(-6, 6)))
    return x, dim, draw(mostly(st.just(False), st.just(True)))


POOLS = st.tuples(tensors(4), numbers(1, 4), mostly(numbers(1, 3), st.just([])), numbers(0, 2))
ONE, TWO = st.tuples(tensors(), NUMBER), st.tuples(tensors(), NUMBER, NUMBER)
PLAIN = ("relu", "hardswish", "hardsigmoid", "silu", "sigmoid", "tanh")

ARGUMENTS: dict[Any, st.SearchStrategy[tuple[Any, ...]]] = {
    **{getattr(aten, name).default: st.tuples(tensors()) for name in (*PLAIN, "gelu")},
    **{getattr(aten, f"{name}_").default: st.tuples(tensors()) for name in PLAIN},
    **{getattr(aten, name).default: st.one_of(st.tuples(tensors()), ONE) for name in ("leaky_relu", "leaky_relu_")},
    **{
        getattr(aten, name).default: st.one_of(st.tuples(tensors()), TWO)
        for name in ("elu", "elu_", "hardtanh", "hardtanh_")
    },
    aten.pow.Tensor_Scalar: ONE,
    aten._softmax.default: softmaxes(),
    **{getattr(aten, f"{name}{end}").Tensor: pairs() for name in ("add", "sub", "mul", "div") for end in ("", "_")},
    aten.convolution.default: convolutions(),
    aten.native_batch_norm.default: norms(),
    aten.native_layer_norm.default: layer_norms(),
    aten.addmm.default: products(),
    aten.cat.default: joins(),
    aten.mean.dim: means(),
    aten._adaptive_avg_pool2d.default: st.tuples(tensors(4, 4, 3), numbers(0, 4)),
    aten.max_pool2d_with_indices.default: st.builds(
        lambda pool, *rest: (*pool, *rest), POOLS, numbers(1, 2), st.booleans()
    ),
    aten.avg_pool2d.default: st.builds(
        lambda pool, *rest: (*pool, *rest),
        POOLS, st.booleans(), st.booleans(), mostly(st.none(), st.sampled_from([0, 3])),
    ),
}  # fmt: skip


def told(outputs: Any) -> list[tuple[tuple[int, ...], torch.dtype]]:
    return [(tuple(each.shape), each.dtype) for each in (outputs if isinstance(outputs, tuple) else (outputs,))]


def real(value: Any) -> Any:
    """The same with numbers: 1 everywhere."""
    if isinstance(value, Tensor):
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype).copy_(torch.ones(()))
    return list(map(real, value)) if isinstance(value, list) else value


@pytest.mark.parametrize("kind", ARGUMENTS, ids=str)
def test_what_is_answered_is_torchs_answer(kind: Any) -> None:
    answered = []
    many = 60 if any(kind is getattr(aten, f"{name}{end}").default for name in PLAIN for end in ("", "_")) else 200

    @settings(derandomize=True, max_examples=many, deadline=None, database=None)
    @given(ARGUMENTS[kind])
    def check(args: tuple[Any, ...]) -> None:
        try:
            quick = quick_output(kind, args, {})
        except (RuntimeError, IndexError):
            with pytest.raises((RuntimeError, IndexError)):
                kind(*map(real, args))
            return
        if quick is not NotImplemented:
            assert told(quick) == told(kind(*args))  # which raises what torch refuses
            answered.append(told(quick))

    check()
    assert len(answered) > many // 20, "hardly ever asked for what it knows"


def test_every_closed_form_is_tried() -> None:
    assert set(ARGUMENTS) == set(_QUICK)


@st.composite
def attentions(draw: st.DrawFn) -> tuple[Any, ...]:
    query = draw(tensors(4))
    shape = [draw(mostly(st.just(size), SMALL)) for size in query.shape]
    key = draw(mostly(st.just(like(query, *shape)), tensors(3, 4)))
    value = draw(mostly(st.just(like(key, *key.shape[:-1], 2)), tensors(4)))
    mask = draw(mostly(st.none(), st.just(like(query, *query.shape[2:3], *shape[2:3]))))
    return query, key, value, mask, 0.0, draw(mostly(st.just(False), st.just(True)))


def test_what_is_answered_of_attention_is_torchs_answer() -> None:
    answered, many = [], 200

    @settings(derandomize=True, max_examples=many, deadline=None, database=None)
    @given(attentions())
    def check(args: tuple[Any, ...]) -> None:
        quick = quick_attention(*args)
        if quick is not NotImplemented:
            assert told(quick) == told(F.scaled_dot_product_attention(*args))
            answered.append(told(quick))

    check()
    assert len(answered) > many // 20, "hardly ever asked for what it knows"
