"""The memory column: the same for modules and for functions, and the bytes that operations are seen to make."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from convatlas.arithmetic.memory import tensor_bytes
from convatlas.arithmetic.tables.table import LayerTable, layer_table
from convatlas.arithmetic.tracing.operations import VIEWS
from convatlas.arithmetic.tracing.trace import trace
from convatlas.models import create_model
from tests.arithmetic.strangers import Torture, torture_inputs

pytestmark = pytest.mark.row("A-04")


class NewMemory(TorchDispatchMode):
    """The brute-force twin: sums the storages that operations on numbers made from the input are the first to fill.

    A second result that nothing reads (the places of maxima, a norm's means) does not count.
    """

    def __init__(self, given: object) -> None:
        super().__init__()
        self.kept: list[Tensor] = []  # so that no storage is freed and its address used again
        self.filled = {self.address(each) for each in self.tensors(given)}
        self.made: set[int] = set()
        self.counted: dict[int, int] = {}
        self.beside: dict[int, int] = {}  # second results, until they are read

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = {self.address(each) for each in self.tensors((args, kwargs))}
        self.read(given)
        outputs = func(*args, **(kwargs or {}))
        for place, each in enumerate(self.tensors(outputs)):
            address = self.address(each)
            if address not in given:
                self.made.add(address)
            if given & self.filled and address in self.made - self.filled:
                (self.beside if place else self.counted)[address] = each.untyped_storage().nbytes()
                self.filled.add(address)
        return outputs

    def tensors(self, value: object) -> list[Tensor]:
        found = [each for each in tree_leaves(value) if isinstance(each, Tensor) and each.numel()]
        self.kept += found
        return found

    def address(self, tensor: Tensor) -> int:
        return tensor.untyped_storage().data_ptr()

    def read(self, addresses: set[int]) -> None:
        for address in addresses & self.beside.keys():
            self.counted[address] = self.beside.pop(address)


def seen(network: nn.Module, *inputs: object) -> int:
    """The bytes that a run for real makes."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one operation for all of an attention's layers
    memory = NewMemory(inputs)
    try:
        with memory, torch.no_grad():
            outputs = network.eval()(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    memory.read({memory.address(each) for each in memory.tensors(outputs)})
    return sum(memory.counted.values())


def table_of(network: nn.Module, *inputs: object) -> LayerTable:
    table = layer_table(trace(network, *inputs))
    assert sum(row.activation_bytes for row in table.rows) == table.totals.activation_bytes
    return table


# --- By modules and by functions


def chosen(functional: bool, function: Callable[[Tensor], Tensor], module: nn.Module) -> Any:
    return function if functional else module


class Plain(nn.Module):
    """As VGG: convolutions, poolings, dense layers."""

    def __init__(self, width: int, *, functional: bool, inplace: bool) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, 2 * width, 3)])
        self.dense = nn.Linear(2 * width, 7)
        self.relu = chosen(functional, lambda x: F.relu(x, inplace), nn.ReLU(inplace))
        self.pool = chosen(functional, lambda x: F.max_pool2d(x, 3, 2), nn.MaxPool2d(3, 2))
        self.average = chosen(functional, lambda x: F.adaptive_avg_pool2d(x, 1), nn.AdaptiveAvgPool2d(1))
        self.dropout = None if functional else nn.Dropout()
        self.flatten = chosen(functional, lambda x: torch.flatten(x, 1), nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = self.pool(self.relu(conv(x)))
        x = self.flatten(self.average(x))
        return self.dense(F.dropout(x, training=self.training) if self.dropout is None else self.dropout(x))


class Residual(nn.Module):
    """As ResNet: what is added to its shortcut."""

    def __init__(self, width: int, *, functional: bool, inplace: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, width, 3, 2, 1), nn.Conv2d(width, width, 3, 1, 1)
        self.shortcut = nn.Conv2d(3, width, 1, 2)
        self.norm = nn.BatchNorm2d(width)
        self.relu = chosen(functional, lambda x: F.relu(x, inplace), nn.ReLU(inplace))
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        out = self.norm(self.second(self.relu(self.norm(self.first(x)))))
        if self.inplace:
            out += self.shortcut(x)
        else:
            out = out + self.shortcut(x)
        return self.relu(out)


class Shuffled(nn.Module):
    """As ShuffleNet: halves that are joined and shuffled."""

    def __init__(self, width: int, *, functional: bool, inplace: bool) -> None:
        super().__init__()
        self.inside = nn.Conv2d(3, 2 * width, 1)
        self.branch = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.gelu = chosen(functional, F.gelu, nn.GELU())
        self.hard = chosen(functional, lambda x: F.hardswish(x, inplace), nn.Hardswish(inplace))
        self.shuffle = chosen(functional, shuffled, nn.ChannelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.gelu(self.inside(x)).chunk(2, dim=1)
        return self.shuffle(torch.cat([left, self.hard(self.branch(right))], dim=1))


def shuffled(x: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    return x.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(x.shape)


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("width", [4, 6, 10])
@pytest.mark.parametrize("kind", [Plain, Residual, Shuffled])
def test_modules_and_functions_make_the_same_memory(kind: Any, width: int, inplace: bool) -> None:
    torch.manual_seed(width)
    x = torch.rand(1, 3, 16 + width, 20)
    networks = [kind(width, functional=functional, inplace=inplace).train() for functional in (False, True)]
    tables = [table_of(network, x) for network in networks]
    assert len(tables[0].rows) >= len([row for row in tables[1].rows if row.activation_bytes])
    assert len({table.totals.activation_bytes for table in tables}) == 1
    assert {seen(network, x) for network in networks} == {tables[0].totals.activation_bytes}
    for table in tables:
        for depth in (0, 1):
            assert sum(row.activation_bytes for row in table.folded(depth).rows) == table.totals.activation_bytes


def test_in_place_makes_none() -> None:
    x = torch.rand(1, 3, 16, 16)
    made, in_place = (
        table_of(Plain(4, functional=True, inplace=inplace), x).totals.activation_bytes for inplace in (False, True)
    )
    assert made - in_place == tensor_bytes((4, 16, 16)) + tensor_bytes((8, 5, 5))  # of the two ReLUs


def test_functions_have_rows_under_their_module() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(self.conv(x))
            return torch.cat([shuffled(x), F.gelu(x)], dim=1)

    table = table_of(nn.Sequential(Block()), torch.rand(1, 3, 8, 8))
    told = [(row.path, row.operation.split(",")[-1].strip(), row.activation_bytes) for row in table.rows]
    assert told == [
        ("0.conv", "Conv2d 1x1", 1024),
        ("0", "relu", 1024),
        ("0", "unsafe_view", 1024),  # view, transpose, clone, unsafe_view: the copy that a shuffle makes
        ("0", "gelu", 1024),
        ("0", "cat", 2048),
    ]
    (block,) = table.folded(1).rows
    assert (block.path, block.activation_bytes) == ("0", 4 * 1024 + 2048)


# --- Against what is seen


class Filled(nn.Module):
    """Writes what it makes into zeros, one half after the other."""

    def forward(self, x: Tensor) -> Tensor:
        both = torch.zeros(1, 2 * x.shape[1], *x.shape[2:], device=x.device)
        both[:, : x.shape[1]] = x * 2
        both[:, x.shape[1] :] = x + 1
        return F.relu(both)


class Unpooled(nn.Module):
    """Reads the places of its maxima."""

    def forward(self, x: Tensor) -> Tensor:
        pooled, places = F.max_pool2d(x, 2, return_indices=True)
        return F.max_unpool2d(pooled, places, 2) + F.max_pool2d(x, 1)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for row in x[0].unbind(1):
            state = self.cell(row, state)
        assert state is not None
        return torch.stack(state)


class Normed(nn.Module):
    """What is made of the weights alone is none of the activations."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(4, 3, 1, 1))
        self.norm = nn.LayerNorm(8)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight / self.weight.sum(dim=1, keepdim=True)
        return self.norm(F.conv2d(x, weight)).expand(2, -1, -1, -1).contiguous()


@pytest.mark.parametrize("network", [Filled(), Unpooled(), Normed()], ids=lambda each: type(each).__name__)
def test_what_is_written_read_and_shared(network: nn.Module) -> None:
    x = torch.rand(1, 3, 8, 8)
    assert table_of(network, x).totals.activation_bytes == seen(network, x) > 0


def test_a_recurrent_network() -> None:
    x = torch.rand(1, 2, 3, 4)
    assert table_of(Recurrent(), x).totals.activation_bytes == seen(Recurrent(), x) > 0


def test_a_network_that_is_hard_to_follow() -> None:
    torch.manual_seed(0)
    network, inputs = Torture(), torture_inputs("cpu")
    assert table_of(network, *inputs).totals.activation_bytes == seen(network, *inputs) > 0


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("lenet5", 32),
        ("vgg11_bn", 64),
        ("googlenet", 64),
        ("resnet18", 64),
        ("densenet_bc100_k12_cifar", 32),
        ("shufflenet_v1_g3", 64),
        ("shufflenet_v2_x0_5", 64),
        ("mobilenet_v3_small", 64),
        pytest.param("nasnet_mobile", 64, marks=pytest.mark.every_variant),
        pytest.param("vit_ti_16", 224, marks=pytest.mark.every_variant),
        pytest.param("inception_v4", 128, marks=pytest.mark.every_variant),
    ],
)
def test_networks_of_the_catalog(name: str, side: int) -> None:
    network = create_model(name)
    x = torch.rand(1, 1 if name == "lenet5" else 3, side, side)
    assert table_of(network, x).totals.activation_bytes == seen(network, x) > 0


def test_views_are_those_that_torch_knows() -> None:
    """torch writes into its schemas which results share memory with an argument, and not in place."""
    schemas = torch._C._jit_get_all_schemas()
    sharing = {
        schema.name.removeprefix("aten::")
        for schema in schemas
        if any(each.alias_info is not None and not each.alias_info.is_write for each in schema.returns)
    }
    hidden = {"_unsafe_view", "unsafe_split", "unsafe_split_with_sizes"}  # which share it, and keep autograd out of it
    assert VIEWS - sharing == hidden
