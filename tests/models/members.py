"""The networks that tests of every network run on, in which size, and made quicker how."""

import copy
import functools
from collections.abc import Collection
from dataclasses import replace

import pytest
import torch
from benchmarks.peers import PYTORCHCV
from torch import Tensor, nn

from convatlas.catalog import card, list_models
from convatlas.models import MODELS, create_model
from convatlas.models.classify import (
    bn_inception,
    cnn_fms,
    efficientnet,
    efficientnet_v2,
    googlenet,
    mnasnet,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    nin,
    overfeat,
    shufflenet_v2,
    shufflenet_v2_large,
    shufflenet_v2_plus,
    squeezenet,
)
from tests.models.learning import settle

# The smallest member of each design, and the side of the pictures that it and the larger ones are tried on.
SMALLEST = {
    "lenet5": 32,
    "lenet5_modern": 32,
    "alexnet": 80,
    "zfnet": 64,
    "cnn_f": 64,
    "nin_cifar10": 40,
    "overfeat_fast": 231,
    "sppnet_zf5": 64,
    "vgg11": 64,
    "googlenet": 64,
    "bn_inception": 64,
    "inception_v2": 96,
    "inception_v3": 96,
    "inception_v4": 96,
    "inception_resnet_v1": 96,
    "xception": 64,
    "resnet18": 64,
    "squeezenet1_0": 64,
    "densenet121": 64,
    "nasnet_mobile": 64,
    "resnet20_cifar": 16,
    "resnext50_32x4d": 64,
    "se_resnet18": 64,
    "senet154": 64,
    "se_bn_inception": 64,
    "se_inception_resnet_v2": 96,
    "se_mobilenet_v1": 64,
    "se_shufflenet_v1": 64,
    "mobilenet_v1": 64,
    "mobilenet_v2": 64,
    "mobilenet_v3_small": 64,
    "shufflenet_v1_g3": 64,
    "shufflenet_v2_x0_5": 64,
    "shufflenet_v2_plus_small": 64,
    "shufflenet_v2_large": 64,
    "shufflenet_v2_exlarge": 64,
    "mnasnet_small": 64,
    "efficientnet_b0": 64,
    "efficientnet_lite0": 64,
    "efficientnet_v2_s": 64,
    "vit_ti_16": 224,
}
SIDES = {MODELS[name]: side for name, side in SMALLEST.items()}
VIT = {name for name in list_models() if name.startswith("vit_")}
FIXED_SIZE = {"lenet5", "lenet5_modern"} | VIT  # a layer as large as its maps, or their positions: one size only
FIXED_CLASSES = {"lenet5"}  # its classes are the drawings of ten digits
SHUFFLENET_STAGES = tuple(
    shufflenet_v2_large.Stage(out=out, units=2, stride=stride) for out, stride in ((32, 1), (64, 2), (96, 2), (128, 2))
)
KIND = shufflenet_v2_plus.Kind
SHUFFLENET_PLUS_STAGES = (
    shufflenet_v2_plus.Stage(out=24, units=(KIND.SHUFFLE_3X3, KIND.XCEPTION), hs=False, se=False),
    shufflenet_v2_plus.Stage(out=32, units=(KIND.SHUFFLE_7X7, KIND.SHUFFLE_5X5), hs=True, se=True),
)
# Of these designs' families another one runs always: they themselves with `every_variant` alone.
OF_KIN = {
    "senet154",
    "se_bn_inception",
    "se_inception_resnet_v2",
    "se_mobilenet_v1",
    "se_shufflenet_v1",
    "shufflenet_v2_exlarge",
}
ALWAYS = tuple(name for name in SMALLEST if name not in OF_KIN)
# What makes the other designs' smallest members quicker to trace; each kind of block that they have is still there.
SHORTER = {
    "lenet5": {},
    "lenet5_modern": {},
    "alexnet": {"channels": (8,) * 5},
    "zfnet": {"channels": (8,) * 5},
    "cnn_f": {"convs": tuple(replace(row, out=8) for row in cnn_fms.CNN_F)},
    "nin_cifar10": {"layers": tuple(replace(row, widths=(8,) * len(row.widths)) for row in nin.CIFAR10)},
    "overfeat_fast": {},
    "sppnet_zf5": {"channels": (8,) * 5, "hidden": 16},
    "vgg11": {"depths": (1, 1, 1, 1, 1), "width": 8},
    "googlenet": {"stem": (8, 8, 16), "stages": ((googlenet.TABLE_1[0][0],),) * 3},
    "bn_inception": {"stem": (8, 8, 16), "stages": tuple(rows[:1] for rows in bn_inception.FIGURE_5)},
    "inception_v2": {"width": 0.05, "depths": (1, 1, 1)},
    "inception_v3": {"width": 0.05, "pool_proj": (32,), "channels_7x7": (128,)},
    "inception_v4": {"width": 0.05, "depths": (1, 1, 1)},
    "inception_resnet_v1": {"width": 0.05, "depths": (1, 1, 1)},
    "xception": {"stem": (8, 16), "entry": (16, 24, 32), "middle": 1, "exit": (40, 48, 64)},
    "squeezenet1_0": {"stages": tuple(rows[:1] for rows in squeezenet.CONFIGS["squeezenet1_0"].stages)},
    "densenet121": {"growth_rate": 8, "layers": (2, 2)},
    "nasnet_mobile": {"repeats": 1, "penultimate": 96},
    "resnet18": {"depths": (1, 1, 1, 1), "width": 8},
    "resnet20_cifar": {"depth": 8, "width": 8},
    "resnext50_32x4d": {"depths": (1, 1, 1, 1), "width": 8, "cardinality": 4, "bottleneck_width": 2},
    "se_resnet18": {"depths": (1, 1, 1, 1), "width": 16},
    "mobilenet_v1": {"width": 0.25, "stages": mobilenet_v1.TABLE_1[:2]},
    "mobilenet_v2": {"width": 0.25, "stages": mobilenet_v2.TABLE_2[:2]},
    "mobilenet_v3_small": {"rows": mobilenet_v3.SMALL[:4], "last": 64, "hidden": 64},
    "shufflenet_v1_g3": {"channels": 48, "depths": (2,)},
    "shufflenet_v2_x0_5": {"stages": (shufflenet_v2.Stage(out=16, repeats=2),), "last": 64},
    "shufflenet_v2_plus_small": {"stages": SHUFFLENET_PLUS_STAGES, "last": 64},
    "shufflenet_v2_large": {"stages": SHUFFLENET_STAGES[:2]},
    "mnasnet_small": {"stages": mnasnet.SMALL[:4]},
    "efficientnet_b0": {"stages": efficientnet.TABLE_1[:2]},
    "efficientnet_lite0": {"stages": efficientnet.TABLE_1[:2]},
    "efficientnet_v2_s": {"stages": tuple(replace(efficientnet_v2.S[row], repeats=2) for row in (0, 1, 3))},
    "vit_ti_16": {"layers": 2},
}

NAMES = list_models()
TOO_LONG_TO_TRACE = {"resnet1202_cifar"}  # 600 blocks that are all alike: minutes
# Fewer units where a hundred million weights would only take time: all that is tried besides the counts has these.
LIGHTER = {
    **{
        name: {"layers": tuple(replace(row, out=row.out // 4) for row in config.layers), "hidden": (256, 256)}
        for name, config in overfeat.CONFIGS.items()
    },
    **{name: {"hidden": 64} for name in NAMES if name.startswith(("alexnet", "vgg", "zfnet"))},
    "sppnet_zf5": {"hidden": 64},
    "senet154": {"depths": (1, 2, 1, 1), "width": 16, "cardinality": 16},
    "se_inception_resnet_v2": {"depths": (1, 1, 1)},
    **{name: {"layers": 2} for name in VIT if name not in SMALLEST},  # all are alike
    **{
        name: {"stages": tuple(replace(row, repeats=min(3, row.repeats)) for row in config.stages)}
        for name, config in efficientnet_v2.CONFIGS.items()
        if name not in SMALLEST
    },
    **{name: {"stages": SHUFFLENET_STAGES} for name in ("shufflenet_v2_large", "shufflenet_v2_exlarge")},
    # For pictures of 32 x 32 they keep 64 x 64 whole.
    **{name: {"growth_rate": 4} for name in NAMES if name.startswith("densenet") and name.endswith("cifar")},
    "nasnet_cifar": {"penultimate": 192},
    **{name: {"full6": 64, "full7": 64} for name in cnn_fms.CONFIGS},
    **{name: {"width": 0.25} for name in NAMES if name.startswith(("inception_v4", "inception_resnet"))},
    "xception": {"middle": 2},
}

ROWS = googlenet.TABLE_1
# Each design that can have auxiliary classifiers, in a short form that has them all.
WITH_AUXILIARY = {
    "googlenet": {"stem": (8, 8, 16), "stages": (ROWS[0][:1], ROWS[1][:4], ROWS[2][:1])},
    "inception_v3": SHORTER["inception_v3"],
    "nasnet_mobile": SHORTER["nasnet_mobile"],
    "shufflenet_v2_large": {"stages": SHUFFLENET_STAGES},
    "shufflenet_v2_exlarge": {"stages": SHUFFLENET_STAGES},
}


def marked(*values: object) -> object:
    """A case for `make test-all` alone."""
    return pytest.param(*values, marks=pytest.mark.every_variant)


def traced(*, always: Collection[str]) -> pytest.MarkDecorator:
    """Those designs in a short form always; the others' short forms and every network as it is with the mark."""
    assert set(always) <= set(SHORTER)
    short = [(name, each) if name in always else marked(name, each) for name, each in SHORTER.items()]
    whole = [name for name in NAMES if SHORTER.get(name) != {} and name not in TOO_LONG_TO_TRACE]
    return pytest.mark.parametrize(("name", "changes"), [*short, *(marked(name, {}) for name in whole)])


def pytorchcv_pairs(start: str, *, always: set[str]) -> pytest.MarkDecorator:
    """The networks whose names start so, each beside pytorchcv's; all but those (its names) for `make test-all`."""
    pairs = [pair for pair in PYTORCHCV if pair.model.startswith(start)]
    assert always <= {pair.name for pair in pairs}
    cases = [
        pytest.param(pair, id=str(pair), marks=() if pair.name in always else pytest.mark.every_variant)
        for pair in pairs
    ]
    return pytest.mark.parametrize("pair", cases)


def with_auxiliary(*always: str) -> pytest.MarkDecorator:
    """Every design with auxiliary classifiers; all but those named for `make test-all` alone: seconds each."""
    assert set(always) <= set(WITH_AUXILIARY)
    cases = [(name, each) if name in always else marked(name, each) for name, each in WITH_AUXILIARY.items()]
    return pytest.mark.parametrize(("name", "changes"), cases)


def variants(*, besides: set[str] = frozenset()) -> pytest.MarkDecorator:
    """Every network `besides` those named; all but those of ALWAYS with the mark every_variant."""
    names = [name for name in NAMES if name not in besides]
    return pytest.mark.parametrize("name", [name if name in ALWAYS else marked(name) for name in names])


def designs(*, besides: set[str] = frozenset()) -> pytest.MarkDecorator:
    """The smallest network of each design `besides` those named; where another of its family runs always, marked."""
    names = [name for name in SMALLEST if name not in besides]
    return pytest.mark.parametrize("name", [name if name in ALWAYS else marked(name) for name in names])


def images(name: str, count: int = 2, *, channels: int | None = None, side: int | None = None) -> Tensor:
    """The first of the sixteen whose averages `settled` gives a network.

    Others can leave a deep one a hundred times as large, rounding errors with them: EfficientNet-B6's reach 1.5e-10.
    """
    side = side or SIDES[MODELS[name]]
    generator = torch.Generator().manual_seed(0)
    return torch.randn(16, channels or card(name).input[0], side, side, generator=generator)[:count]


def settled(name: str, *, side: int | None = None, **changes: object) -> nn.Module:
    """The network after a look at some pictures, ready to answer; built once for tests in a row (conftest.py).

    Where BatchNorm's averages are still 0 and 1, a residual network doubles the variance in each block: 600 overflow.
    Weights that start at zero, as ViT's classifier, are drawn: nothing would pass them, no mistake and no gradient.
    """
    return copy.deepcopy(_settled(name, side, tuple(changes.items())))


@functools.lru_cache(maxsize=1)
def _settled(name: str, side: int | None, changes: tuple[tuple[str, object], ...]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = create_model(name, **{**LIGHTER.get(name, {}), **dict(changes)}).eval()
        for parameter in network.parameters():
            if parameter.dim() > 1 and not parameter.any():
                nn.init.normal_(parameter, std=0.02)
        settle(network, images(name, count=16, channels=dict(changes).get("in_channels"), side=side))
    return network


def on_meta(name: str) -> nn.Module:
    with torch.device("meta"):
        network = create_model(name)
    assert all(value.is_meta for value in network.state_dict().values())
    return network
