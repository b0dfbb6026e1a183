"""Receptive fields: which input and which of its dimensions are the picture, and what is said where it is not known."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convatlas.arithmetic.field.closed import ReceptiveField
from convatlas.arithmetic.field.theoretical import fields_of_calls, receptive_field, receptive_fields
from convatlas.arithmetic.tables.table import layer_table
from convatlas.arithmetic.tracing.operations import VIEWS
from convatlas.arithmetic.tracing.trace import trace
from tests.arithmetic.functional import Functional

pytestmark = pytest.mark.row("A-05")

# --- What is not known


def test_an_operation_that_is_not_known_says_so_for_all_that_follows() -> None:
    def sampled(x: Tensor) -> Tensor:
        return F.grid_sample(x, torch.zeros(1, 4, 4, 2, device=x.device), align_corners=False)

    network = nn.Sequential(nn.Conv2d(3, 3, 3), Functional(sampled), nn.Conv2d(3, 3, 3))
    fields = receptive_field(network, (3, 16, 16))
    assert fields["0"].unknown == ""
    assert fields["1"].unknown == fields["2"].unknown == "the operation grid_sampler_2d is not known here"
    assert fields["2"].axes == ()
    assert not fields["2"].whole


def test_writing_through_a_view_makes_the_rest_of_it_unknown() -> None:
    def patched(x: Tensor) -> Tensor:
        y = torch.zeros_like(x)
        y[:, :, 2:5] = x[:, :, 3:6]
        return y

    field = receptive_field(nn.Sequential(Functional(patched)), (3, 16, 16), layer="0")
    assert field.unknown == "it is written in place, through a view of a part"


@pytest.mark.parametrize("view", [lambda y: y.as_strided((1, 3, 4, 16), y.stride()), lambda y: y.diagonal(0, 2, 3)])
def test_writing_through_a_view_that_is_not_followed_makes_the_rest_of_it_unknown(view: Callable) -> None:
    def patched(x: Tensor) -> Tensor:
        y = x.clone()
        part = view(y)
        part += view(F.avg_pool2d(x, 3, 1, 1))
        return y

    field = receptive_field(nn.Sequential(Functional(patched)), (3, 16, 16), layer="0")
    assert field.unknown == "it is written in place, through a view of a part"


def test_no_view_of_torchs_is_missing() -> None:
    """What torch's own schemas say may share memory, but for what is composed of others, and sparse or nested."""
    aliasing = set()
    for full_name in torch._C._dispatch_get_all_op_names():
        space, _, name = full_name.partition("::")
        kind, _, overload = name.partition(".")
        if space != "aten" or torch._C._dispatch_has_kernel_for_dispatch_key(full_name, "CompositeImplicitAutograd"):
            continue
        schema = torch._C._get_schema(f"aten::{kind}", overload)
        if any(each.alias_info is not None and not each.alias_info.is_write for each in schema.returns):
            aliasing.add(kind)
    rare = ("indices", "values", "nested", "sparse", "_test")
    apart = {kind for kind in aliasing if any(word in kind for word in rare)}
    apart |= {"_fw_primal", "_make_dual", "slice_inverse"}  # of forward-mode gradients and torch.compile
    assert {"view", "slice", "split", "as_strided", "diagonal"} <= aliasing - apart <= VIEWS


def test_weights_made_from_the_picture_are_not_guessed() -> None:
    dynamic = Functional(lambda x: F.conv2d(x, x[:, :, :3, :3]))
    assert "convolution" in receptive_field(nn.Sequential(dynamic), (3, 16, 16), layer="0").unknown


# --- Pictures, signals, volumes, and several inputs


def test_signals_and_volumes() -> None:
    signal = nn.Sequential(nn.Conv1d(2, 3, 5, stride=2), nn.MaxPool1d(3))
    assert [(a.size, a.jump) for a in receptive_field(signal, (2, 50), layer="1").axes] == [(9, 6)]
    volume = nn.Sequential(nn.Conv3d(1, 1, (1, 3, 5)), nn.AvgPool3d(2))
    assert [a.size for a in receptive_field(volume, (1, 8, 16, 16), layer="1").axes] == [2, 4, 6]


@pytest.mark.parametrize(
    ("before", "shape"),
    [
        (lambda x: x, (1, 2, 12, 10)),
        (lambda x: x, (2, 12, 10)),
        (lambda x: x.permute(0, 3, 1, 2), (1, 12, 10, 2)),
        (lambda x: x[:, None].expand(-1, 2, -1, -1), (1, 12, 10)),
        (lambda x: x.unflatten(1, (2, 3)).flatten(0, 1), (1, 6, 12, 10)),
    ],
    ids=["N C H W", "C H W", "N H W C", "N H W", "N T C H W"],
)
def test_places_are_where_the_first_convolution_slides(before: Callable[[Tensor], Tensor], shape: tuple) -> None:
    channels = before(torch.ones(shape)).shape[-3]
    network = nn.Sequential(Functional(before), nn.Conv2d(channels, 4, (3, 5), (2, 1), 1), nn.AvgPool2d(2))
    traced = trace(network, torch.ones(shape))
    axes = receptive_fields(traced)[traced.outputs[0].id].axes
    assert [(axis.size, axis.jump, axis.start) for axis in axes] == [(5, 4, -1), (6, 2, -1)]
    assert fields_of_calls(traced)[0] == ReceptiveField(axes=axes)


def test_an_input_without_places_says_so() -> None:
    traced = trace(nn.Sequential(nn.Linear(5, 3), nn.ReLU()), torch.ones(2, 5))
    said = {field.unknown for field in fields_of_calls(traced) if field is not None}
    assert said == {"the input has no places, as a picture has"}


def test_one_of_several_inputs_is_the_picture() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 5, padding=1)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.left(x) + self.right(y)

    traced = trace(Both(), torch.ones(1, 1, 9, 9), torch.ones(1, 1, 9, 9))
    sizes = [receptive_fields(traced, picture=index)[traced.outputs[0].id].axes[0].size for index in (0, 1)]
    assert sizes == [3, 5]
    assert layer_table(traced).notes == ("the receptive fields are those in the first of its 2 inputs",)
    assert layer_table(trace(nn.Conv2d(1, 1, 3), torch.ones(1, 1, 9, 9))).notes == ()


def test_a_module_written_in_place_later_counts_as_it_was() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.small, self.large = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 5, padding=2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.small(x)
            y += self.large(x)
            return y

    fields = receptive_field(nn.Sequential(Residual()), (1, 9, 9))
    assert (fields["0.small"].axes[0].size, fields["0"].axes[0].size) == (1, 5)
