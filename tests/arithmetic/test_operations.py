"""What single operations count and how their formulas read: against hand counts and torch's own counter."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.flop_counter import FlopCounterMode

from convatlas.arithmetic import layers
from convatlas.arithmetic.tables.table import LayerTable, layer_table
from convatlas.arithmetic.tracing.operations import settings
from convatlas.arithmetic.tracing.trace import trace
from convatlas.models import create_model

pytestmark = [pytest.mark.row("A-10"), pytest.mark.row("A-03"), pytest.mark.row("A-04")]


class Does(nn.Module):
    """A layer that is one function of its inputs, after a weight of this shape where one is given."""

    def __init__(self, function: Callable[..., Tensor], *weight: int) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.ones(weight)) if weight else None

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs) if self.weight is None else self.function(*inputs, self.weight)


def empty(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta")


def table_of(layer: nn.Module, given: Tensor) -> LayerTable:
    """Of the layer within a network, so that it has one row."""
    return layer_table(trace(nn.Sequential(layer), given))


# --- Attention


@pytest.mark.parametrize(
    ("query", "key", "value", "products"),
    [
        ((5, 8), (5, 8), (5, 8), 5 * 5 * (8 + 8)),
        ((2, 5, 8), (2, 7, 8), (2, 7, 6), 2 * 5 * 7 * (8 + 6)),
        ((2, 3, 5, 8), (2, 3, 5, 8), (2, 3, 5, 8), 2 * 3 * 5 * 5 * (8 + 8)),
        ((2, 3, 4, 5, 8), (2, 3, 4, 5, 8), (2, 3, 4, 5, 8), 9_600),
        ((2, 3, 5, 8), (1, 3, 7, 8), (3, 7, 6), 2 * 3 * 5 * 7 * (8 + 6)),  # broadcast
    ],
)
def test_attention_of_any_rank(
    query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...], products: int
) -> None:
    tensors = [empty(*shape) for shape in (query, key, value)]
    totals = layer_table(trace(Does(scaled_dot_product_attention), *tensors)).totals
    assert (totals.macs, totals.torch_macs) == (0, products)
    if len({each[:-2] for each in (query, key, value)}) == 1:  # torch's counter wants the same batches
        with FlopCounterMode(display=False) as counter:
            scaled_dot_product_attention(*tensors)
        assert counter.get_total_flops() == 2 * products


def test_attention_of_grouped_queries() -> None:
    tensors = [empty(2, 8, 5, 8), empty(2, 2, 7, 8), empty(2, 2, 7, 6)]

    def grouped(*tensors: Tensor) -> Tensor:
        return scaled_dot_product_attention(*tensors, enable_gqa=True)

    with FlopCounterMode(display=False) as counter:
        grouped(*tensors)
    counted = layer_table(trace(Does(grouped), *tensors)).totals.torch_macs
    assert counted == 2 * 8 * 5 * 7 * (8 + 6) == counter.get_total_flops() // 2


@pytest.mark.parametrize(
    "attention",
    [
        lambda *tensors: torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*tensors)[0],
        lambda *tensors: torch.ops.aten._scaled_dot_product_flash_attention(*tensors)[0],
        lambda *tensors: torch.ops.aten._scaled_dot_product_efficient_attention(*tensors, None, False)[0],
        lambda *tensors: torch.ops.aten._scaled_dot_product_cudnn_attention(*tensors, None, False)[0],
    ],
    ids=["processor", "flash", "efficient", "cudnn"],
)
def test_attention_as_each_device_runs_it(attention: Callable[..., Tensor]) -> None:
    tensors = [empty(2, 3, 5, 8), empty(2, 3, 7, 8), empty(2, 3, 7, 8)]
    assert layer_table(trace(Does(attention), *tensors)).totals.torch_macs == 2 * 3 * 5 * 7 * (8 + 8)


# --- Formulas


@pytest.mark.parametrize(
    ("layer", "given", "formula"),
    [
        # torch stacks the gates: four of an LSTM of 4, three of a GRU, then two biases
        (nn.LSTM(3, 4), empty(2, 7, 3), "3·16 + 16 + 4·16 + 16 = 144"),
        (nn.LSTM(3, 6, proj_size=2, bias=False), empty(2, 7, 3), "3·24 + 2·24 + 6·2 = 132"),
        (nn.GRU(3, 4), empty(5, 7, 3), "3·12 + 12 + 4·12 + 12 = 108"),
        (nn.GRU(3, 4, bidirectional=True, bias=False), empty(2, 7, 3), "3·12 + 4·12 + 3·12 + 4·12 = 168"),
        (nn.LSTMCell(3, 4), empty(2, 3), "3·16 + 16 + 4·16 + 16 = 144"),
        (nn.ConvTranspose2d(6, 3, 3), empty(1, 6, 4, 4), "9·6·3 + 3 = 165"),
        (nn.ConvTranspose2d(6, 4, (1, 3), groups=2), empty(1, 6, 4, 4), "3·6·2 + 4 = 40"),
        (nn.Conv2d(6, 4, 3, groups=2), empty(1, 6, 4, 4), "9·3·4 + 4 = 112"),
        (nn.Conv2d(8, 8, 3, groups=8, bias=False), empty(1, 8, 4, 4), "9·8 = 72"),
        (nn.Linear(8, 1), empty(1, 8), "8·1 + 1 = 9"),
        (nn.LayerNorm(8), empty(1, 8), "2·8 = 16"),
        (nn.LayerNorm(8, bias=False), empty(1, 8), "8"),
        (nn.PReLU(3), empty(1, 3, 2, 2), "3"),
        (Does(lambda x, bias: scaled_dot_product_attention(x, x, x, bias), 3, 5, 5), empty(1, 3, 5, 4), "3·5·5 = 75"),
        (Does(torch.matmul, 6, 4, 5), empty(6, 3, 4), "6·4·5 = 120"),  # a matrix for each of a batch
        (Does(torch.matmul, 4, 5), empty(6, 3, 4), "4·5 = 20"),
        (Does(lambda x, weight: weight @ x, 5, 3), empty(3, 4), "5·3 = 15"),
        (Does(lambda x, weight: x @ weight[:, :2] + x @ weight[:, 2:], 4, 4), empty(3, 4), "4·4 = 16"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_how_the_parameters_come_about(layer: nn.Module, given: Tensor, formula: str) -> None:
    """Hand-written, in the layout of torch's documentation; the count is that of the tensors themselves."""
    (row,) = table_of(layer, given).rows
    assert row.formula == formula
    count = sum(each.numel() for each in layer.parameters())
    assert row.parameters == count
    assert formula.rpartition(" = ")[2] == f"{count:,}"


@pytest.mark.parametrize("layer", [nn.Embedding(100, 5), nn.EmbeddingBag(100, 5)], ids=["one", "bag"])
def test_an_embedding_has_a_row_for_each_word(layer: nn.Module) -> None:
    words = torch.zeros(2, 3, dtype=torch.long, device="meta")
    assert [row.formula for row in table_of(layer, words).rows if row.parameters] == ["100·5 = 500"]


def test_a_layer_that_leaves_links_out_tells_the_weights_that_it_has() -> None:
    with torch.device("meta"):
        network = create_model("lenet5")
    rows = {row.path: row for row in layer_table(trace(network, empty(1, 1, 32, 32))).rows}
    assert rows["c3.0"].formula == "25·60 + 16 = 1,516"  # Table I of the paper


def test_a_weight_made_of_two_parameters_tells_both() -> None:
    with torch.device("meta"):
        layer = weight_norm(nn.Conv2d(3, 8, 3))
    (row,) = (row for row in table_of(layer, empty(1, 3, 9, 9)).rows if row.parameters)
    assert row.formula == "8 + 8 + 9·3·8 = 232"  # bias, lengths, directions


# --- Connections


@pytest.mark.parametrize(
    ("function", "counted"),
    [
        (lambda x: x.mean((2, 3)), 120),
        (lambda x: x.sum((2, 3)), 120),
        (lambda x: x.amax((-1, -2)), 120),
        (lambda x: x.amin((2, 3), keepdim=True), 120),
        (lambda x: x.sum(1), 0),  # over channels: not over the map
        (lambda x: (x[0, :, 0] * 2).sum(1), 0),
    ],
)
def test_what_makes_one_number_of_each_map_reads_all_of_it(function: Callable[..., Tensor], counted: int) -> None:
    assert layer_table(trace(Does(function), empty(2, 3, 4, 5))).totals.connections == counted


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    "norm",
    [
        lambda affine: nn.BatchNorm2d(8, affine=affine),
        lambda affine: nn.InstanceNorm2d(8, affine=affine),
        lambda affine: nn.GroupNorm(2, 8, affine=affine),
        lambda affine: nn.LayerNorm([8, 3, 5], elementwise_affine=affine),
    ],
    ids=["batch", "instance", "group", "layer"],
)
def test_normalisations_count_alike(norm: Callable[[bool], nn.Module], affine: bool) -> None:
    (row,) = table_of(norm(affine), empty(2, 8, 3, 5)).rows
    assert row.connections == 2 * layers.batch_norm(8, (3, 5)).connections  # of two pictures


# --- Settings


def test_the_settings_of_a_transposed_convolution() -> None:
    layer = nn.ConvTranspose2d(6, 3, 3, stride=2, padding=1, output_padding=(1, 0))
    (op,) = trace(layer, empty(1, 6, 4, 4)).ops
    assert settings(op) == "3x3, stride 2, padding 1, output padding 1x0, transposed"
    assert settings(op, "ConvTranspose2d") == "3x3, stride 2, padding 1, output padding 1x0"
    (plain,) = trace(nn.Conv2d(6, 3, 3), empty(1, 6, 4, 4)).ops
    assert settings(plain) == "3x3"
