"""The sums of the layer table: against figures counted elsewhere, torch's own counter, and networks of others."""

import importlib
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import convatlas
from convatlas.arithmetic.tables.table import LayerTable, layer_table
from convatlas.arithmetic.tracing.trace import trace
from convatlas.catalog import card, list_models
from convatlas.models import create_model
from tests.arithmetic.adding_up import assert_adds_up
from tests.models.counted_figures import ROWS, Row
from tests.models.members import SMALLEST

pytestmark = [pytest.mark.row("A-10"), pytest.mark.row("A-03"), pytest.mark.row("A-04")]


def table_of(network: nn.Module, *inputs: object) -> LayerTable:
    return layer_table(trace(network, *inputs))


def torch_counts(network: nn.Module, *inputs: object) -> tuple[int, int]:
    """Products of weights, and all products, by torch: half of its floating-point operations, for a multiplication and
    its addition are one of ours.

    In these networks each product of two tensors made from the picture has a batch of its own (`bmm`), or is attention
    as a whole, and no other product is.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # torch does not look into the operation that it makes of attention
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network.eval()(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    aten = torch.ops.aten
    counts = counter.get_flop_counts()["Global"]
    of_weights = sum(counts.get(each, 0) for each in (aten.convolution, aten.addmm, aten.mm))
    return of_weights // 2, counter.get_total_flops() // 2


# --- Of the catalog


def rows() -> list[object]:
    """The smallest member of each design always, the others with `every_variant`."""
    quick = [row.name in SMALLEST and not row.changes for row in ROWS]
    marks = {True: (), False: pytest.mark.every_variant}
    return [pytest.param(row, id=str(row), marks=marks[each]) for row, each in zip(ROWS, quick, strict=True)]


@pytest.mark.parametrize("row", rows())
def test_the_sums_are_those_counted_elsewhere(row: Row) -> None:
    table = convatlas.show(row.name, row.input, changes=row.changes)
    with torch.device("meta"):
        network = create_model(row.name, **row.changes)
    assert table.how == "meta"
    assert_adds_up(table, network)
    assert (table.totals.trainable, table.totals.macs) == (row.params, row.macs)
    connections = card(row.name).connections
    if connections is not None and not row.changes:
        assert table.totals.connections == connections


@pytest.mark.every_variant
@pytest.mark.parametrize("name", list_models())
def test_the_products_are_those_that_torch_counts(name: str) -> None:
    with torch.device("meta"):
        network = create_model(name)
    picture = torch.empty(1, *card(name).input, device="meta")
    _, products = torch_counts(network, picture)
    assert table_of(network, picture).totals.torch_macs == products


# --- Of others

# Networks of other libraries: (module, function, arguments, input).
STRANGERS: dict[str, tuple[str, str, dict[str, object], tuple[int, int, int]]] = {
    "torchvision shufflenet": ("torchvision.models", "shufflenet_v2_x0_5", {}, (3, 64, 64)),
    "torchvision swin": ("torchvision.models", "swin_t", {}, (3, 64, 64)),
    "torchvision swin v2": ("torchvision.models", "swin_v2_t", {}, (3, 256, 256)),
    "torchvision vit": ("torchvision.models", "vit_b_16", {}, (3, 224, 224)),
    "torchvision maxvit": ("torchvision.models", "maxvit_t", {}, (3, 224, 224)),
    "torchvision convnext": ("torchvision.models", "convnext_tiny", {}, (3, 224, 224)),
    "torchvision regnet": ("torchvision.models", "regnet_y_400mf", {}, (3, 224, 224)),
    "torchvision efficientnet": ("torchvision.models", "efficientnet_b0", {}, (3, 224, 224)),
    "torchvision googlenet": ("torchvision.models", "googlenet", {"init_weights": False}, (3, 224, 224)),
    "torchvision densenet": ("torchvision.models", "densenet121", {}, (3, 224, 224)),
    "torchvision deeplab": ("torchvision.models.segmentation", "deeplabv3_mobilenet_v3_large", {}, (3, 128, 128)),
    "torchvision video": ("torchvision.models.video", "r3d_18", {}, (3, 8, 64)),
    "timm resnest": ("timm.models", "resnest14d", {}, (3, 224, 224)),
    "timm mixer": ("timm.models", "mixer_s32_224", {}, (3, 224, 224)),
    "timm deit": ("timm.models", "deit_tiny_patch16_224", {}, (3, 224, 224)),
    "timm levit": ("timm.models", "levit_128s", {}, (3, 224, 224)),
    "timm mobilevit": ("timm.models", "mobilevit_xxs", {}, (3, 256, 256)),
    "timm coatnet": ("timm.models", "coatnet_nano_rw_224", {}, (3, 224, 224)),
    "timm nfnet": ("timm.models", "nf_resnet26", {}, (3, 224, 224)),
    "timm halonet": ("timm.models", "halonet26t", {}, (3, 256, 256)),
    "timm crossvit": ("timm.models", "crossvit_tiny_240", {}, (3, 240, 240)),
    "timm condconv": ("timm.models", "efficientnet_cc_b0_4e", {}, (3, 224, 224)),
}  # fmt: skip
QUICK_STRANGERS = {"torchvision shufflenet", "torchvision swin"}


def strangers() -> list[object]:
    return [
        name if name in QUICK_STRANGERS else pytest.param(name, marks=pytest.mark.every_variant) for name in STRANGERS
    ]


@pytest.mark.parametrize("name", strangers())
def test_networks_never_seen_before(name: str) -> None:
    module, function, arguments, shape = STRANGERS[name]
    make: Callable[..., nn.Module] = getattr(importlib.import_module(module), function)
    network = make(**arguments, **({"weights_backbone": None} if "segmentation" in module else {})).to("meta")
    x = torch.empty((1, *shape) if "video" not in name else (1, *shape, 64), device="meta")
    table = table_of(network, x)
    assert table.how == "meta", table.notes
    assert_adds_up(table, network)
    assert (table.totals.macs, table.totals.torch_macs) == torch_counts(network, x)


@pytest.mark.every_variant
def test_a_detector_runs_for_real() -> None:
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

    torch.manual_seed(0)
    network = fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None)
    pictures = [torch.rand(3, 200, 260, generator=torch.Generator().manual_seed(0))]
    table = table_of(network, pictures)
    assert table.how == "cpu"
    assert "for real" in table.notes[0]
    assert_adds_up(table, network)
    assert (table.totals.macs, table.totals.torch_macs) == torch_counts(network, pictures)
