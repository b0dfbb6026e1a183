"""Which network of another library is ours, and how far apart the two answer with the same weights.

Tests and `python -m benchmarks parity` share this table. The networks of published weight sets are in it by
themselves, matched by the key maps of `convatlas.weights.keys`; any other pair is one line below. The other libraries
are imported where they are needed: nothing but tests and this benchmark uses them.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from convatlas.catalog import card
from convatlas.errors import MissingExtra, WeightsError
from convatlas.layers.response_norm import ResponseNorm
from convatlas.models import create_model
from convatlas.weights import list_weights
from convatlas.weights.load import load_weights

Library = Literal["torchvision", "timm", "pytorchcv"]
LIBRARIES: tuple[Library, ...] = get_args(Library)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A network of ours, and the one of another library that it is held against.

    changes: of our config: what is compared is `create_model(model, **changes)`. options: of their constructor.
    alike, make_alike: further changes of our config, and of either network once it is built, without which the outputs
    differ; what is counted is without them. why: what they are for, or why the counts differ; "" where nothing does.
    """

    model: str
    library: Library
    name: str
    changes: Mapping[str, object] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    alike: Mapping[str, object] = field(default_factory=dict)
    make_alike: Callable[[nn.Module, nn.Module], None] | None = None
    why: str = ""

    def __str__(self) -> str:
        return f"{self.model}-{self.library}-{self.name}"


# --- What has to be changed before two networks can answer alike


def take_alpha_as_torch_does(ours: nn.Module, _theirs: nn.Module) -> None:
    for module in ours.modules():
        if isinstance(module, ResponseNorm):
            module.alpha = 1e-4


def leave_out_normalisation(ours: Any, theirs: nn.Module) -> None:
    """Ours stands at the end of the first two stages, theirs in the middle of them."""
    for stage in ours.stages[:2]:
        assert isinstance(stage[-1], ResponseNorm)
        stage[-1] = nn.Identity()
    for module in theirs.modules():
        if hasattr(module, "use_lrn"):
            module.use_lrn = False  # type: ignore[assignment]  # a flag, no tensor


def pool_as_the_authors_do(_ours: nn.Module, theirs: Any) -> None:
    theirs.features.stage2.pool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    theirs.features.stage3.pool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    theirs.output.final_pool = nn.AdaptiveAvgPool2d(1)


def use_relu6(_ours: nn.Module, theirs: nn.Module) -> None:
    for parent in list(theirs.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(parent, name, nn.ReLU6())


def pool_with_a_margin(ours: Any, _theirs: nn.Module) -> None:
    ours.stem.pool = nn.MaxPool2d(3, stride=2, padding=1)


def pool_first(_ours: nn.Module, theirs: nn.Module) -> None:
    for unit in theirs.modules():
        if type(unit).__name__ == "ShuffleUnit":
            unit.forward = _pooled_input_first.__get__(unit)  # type: ignore[method-assign]


def _pooled_input_first(unit: Any, x: Tensor) -> Tensor:
    y = unit.c_shuffle(unit.activ(unit.compress_bn1(unit.compress_conv1(x))))
    y = unit.expand_bn3(unit.expand_conv3(unit.dw_bn2(unit.dw_conv2(y))))
    joined: Tensor = unit.activ(torch.cat((unit.avgpool(x), y), dim=1) if unit.downsample else x + y)
    return joined


class AverageOfPixels(nn.AvgPool2d):
    """3x3 with stride 2 and TensorFlow's padding, which is no black pixels: timm's own counts it as such."""

    def __init__(self) -> None:
        super().__init__(3, 2, ceil_mode=True, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        # An odd side is padded at both ends, an even one at its end, as rounding up does.
        self.padding = (x.shape[2] % 2, x.shape[3] % 2)
        return super().forward(x)


def average_as_tensorflow_does(_ours: nn.Module, theirs: nn.Module) -> None:
    for parent in list(theirs.modules()):
        for name, child in list(parent.named_children()):
            if type(child).__name__ == "AvgPool2dSame":
                setattr(parent, name, AverageOfPixels())


# --- The table

_NO_AUX: dict[str, object] = {"aux_logits": False, "init_weights": False}
_OPTIONS: dict[str, dict[str, object]] = {"googlenet": _NO_AUX, "inception_v3": _NO_AUX}  # of torchvision's networks
_TOO_LARGE = {"vit_h_14"}  # twice five gigabytes in float64: tests/models/test_vit.py compares two of its layers
_NASNET = "timm counts the padding of average pooling as black pixels, unlike TensorFlow: for the outputs it does not"

_ATTENTION = (
    "theirs multiplies queries, keys, values and outputs in torch's MultiheadAttention, which calls no dense layer "
    "that a counter could see"
)

# timm's networks that are ours and have no weights of their own there.
_TIMM = (
    *(
        Pair(model=f"vgg{kind}", library="timm", name=f"vgg{kind}")
        for kind in ("11", "13", "16", "19", "11_bn", "13_bn", "16_bn", "19_bn")
    ),
    Pair(model="mobilenet_v2", library="timm", name="mobilenetv2_035", changes={"width": 0.35}),
    Pair(model="mobilenet_v2", library="timm", name="mobilenetv2_075", changes={"width": 0.75}),
    Pair(model="mnasnet_a1", library="timm", name="semnasnet_140", changes={"width": 1.4}),
    Pair(model="mnasnet_b1", library="timm", name="mnasnet_140", changes={"width": 1.4}),
    Pair(model="vit_l_14", library="timm", name="vit_large_patch14_224", options={"num_classes": 1000}),
    Pair(model="vit_l_32", library="timm", name="vit_large_patch32_224", options={"num_classes": 1000}),
    Pair(model="efficientnet_b6", library="timm", name="efficientnet_b6", changes={"norm_eps": 1e-5}),
    Pair(model="efficientnet_b7", library="timm", name="efficientnet_b7", changes={"norm_eps": 1e-5}),
)

# pytorchcv's have no key map: tensors are matched by their order.
_NIN = "theirs pools with a margin, and the second time by averages: for the outputs it pools as the authors do"
_LRN = "theirs normalises before the pooling, and by other constants: for the outputs neither normalises"
_CIFAR = "theirs projects where ours pads with zeros, as the paper does: for the outputs ours has shortcut=projection"
_RELU = "theirs has ReLU, as the paper says, ours the authors' ReLU6: for the outputs both have ReLU6"
_MARGIN = "theirs pools with a margin in the stem, ours as the authors' network: for the outputs both have the margin"
_ORDER = "theirs concatenates the pooled input last, ours first, as the authors' code: for the outputs both do"
PYTORCHCV = (
    Pair(
        model="alexnet_paper",
        library="pytorchcv",
        name="alexnet",
        alike={"groups": 1},
        make_alike=take_alpha_as_torch_does,
        why="theirs has no two columns and takes the paper's alpha as torch's: for the outputs ours has groups=1 and "
        "that alpha",
    ),
    Pair(model="zfnet", library="pytorchcv", name="zfnet", make_alike=leave_out_normalisation, why=_LRN),
    Pair(model="zfnet_512", library="pytorchcv", name="zfnetb", make_alike=leave_out_normalisation, why=_LRN),
    Pair(model="nin_cifar10", library="pytorchcv", name="nin_cifar10", make_alike=pool_as_the_authors_do, why=_NIN),
    Pair(model="nin_cifar100", library="pytorchcv", name="nin_cifar100", make_alike=pool_as_the_authors_do, why=_NIN),
    Pair(model="bn_inception", library="pytorchcv", name="bninception"),
    Pair(model="resnet18", library="pytorchcv", name="resnet18"),
    Pair(model="resnet34", library="pytorchcv", name="resnet34"),
    *(
        Pair(model=f"resnet{depth}_paper", library="pytorchcv", name=f"resnet{depth}")  # strides in the 1x1
        for depth in (50, 101, 152)
    ),
    *(
        Pair(
            model=f"resnet{depth}_cifar",
            library="pytorchcv",
            name=f"resnet{depth}_cifar10",
            alike={"shortcut": "projection"},
            why=_CIFAR,
        )
        for depth in (20, 56, 110, 1202)
    ),
    *(
        Pair(model=f"densenet_bc{kind}_cifar", library="pytorchcv", name=name)
        for kind, name in (
            ("100_k12", "densenet100_k12_bc_cifar10"),
            ("250_k24", "densenet250_k24_bc_cifar10"),
            ("190_k40", "densenet190_k40_bc_cifar10"),
        )
    ),
    *(
        Pair(model=f"se_{kind}", library="pytorchcv", name=f"se{kind}", make_alike=pool_with_a_margin, why=_MARGIN)
        for kind in (
            *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
            *("resnext50_32x4d", "resnext101_32x4d"),
        )
    ),
    *(
        Pair(
            model="mobilenet_v1",
            library="pytorchcv",
            name=f"mobilenet_{name}",
            changes={"width": width},
            make_alike=use_relu6,
            why=_RELU,
        )
        for name, width in (("w3d4", 0.75), ("wd2", 0.5), ("wd4", 0.25))
    ),
    *(
        Pair(
            model=f"shufflenet_v1_g{groups}",
            library="pytorchcv",
            name=f"shufflenet_g{groups}_{name}",
            changes={} if width == 1 else {"width": width},
            make_alike=pool_first,
            why=_ORDER,
        )
        for groups, name, width in (
            *((groups, "w1", 1) for groups in (1, 2, 3, 4, 8)),
            (3, "wd2", 0.5),
            (3, "wd4", 0.25),
            (1, "w3d4", 0.75),
        )
    ),
)


def pairs() -> tuple[Pair, ...]:
    """Every pair once: torchvision's, timm's, pytorchcv's."""
    return *torchvision_pairs(), *timm_pairs(), *PYTORCHCV


def torchvision_pairs() -> tuple[Pair, ...]:
    """The networks that torchvision has weights for."""
    return tuple(_of_weights("torchvision").values())


def timm_pairs() -> tuple[Pair, ...]:
    """The networks that timm has weights for, and its other ones that are ours."""
    return tuple(({pair.name: pair for pair in _TIMM} | _of_weights("timm")).values())


def _of_weights(library: Library) -> dict[str, Pair]:
    """{their name: pair}: "torchvision/resnet50/IMAGENET1K_V1" is of resnet50, "timm/resnet50.a1_in1k" too."""
    found = {}
    for each in list_weights(f"{library}/*"):
        name = each.key.split("/")[1].split(".")[0]
        of_torchvision = library == "torchvision"
        # torchvision has the same network for larger pictures under one name.
        if name in _TOO_LARGE or (of_torchvision and "image_size" in each.changes):
            continue
        options = _OPTIONS.get(name, {}) if of_torchvision else {}
        pair = Pair(model=each.model, library=library, name=name, changes=each.changes, options=options)
        if name == "nasnetalarge":
            pair = replace(pair, make_alike=average_as_tensorflow_does, why=_NASNET)
        if of_torchvision and name.startswith("vit_"):
            pair = replace(pair, why=_ATTENTION)
        found[name] = pair
    return found


# --- The networks and their outputs


def build(pair: Pair) -> nn.Module:
    """Their network, freshly initialised. Raises MissingExtra where the library is not installed."""
    try:
        if pair.library == "torchvision":
            make = importlib.import_module("torchvision.models").get_model
            network: nn.Module = make(pair.name, weights=None, **pair.options)
        elif pair.library == "timm":
            network = importlib.import_module("timm").create_model(pair.name, pretrained=False, **pair.options)
        else:
            make = importlib.import_module("pytorchcv.model_provider").get_model
            network = make(pair.name, pretrained=False, **pair.options)
    except ImportError as error:
        raise MissingExtra(f"comparing with the networks of {pair.library}", "dev") from error
    return network


def scramble(network: nn.Module) -> nn.Module:
    """The network in float64, each tensor random and of a size that keeps signals alive, so that each one matters."""
    network = network.double().eval()
    for name, value in network.state_dict().items():
        if value.dim() > 1:
            value.normal_(std=(2 / value[0].numel()) ** 0.5)
        elif name.endswith(("bias", "running_mean")):
            value.normal_(std=0.2)
        elif value.is_floating_point():  # the scales and variances of normalisations, but not their counters
            value.uniform_(0.5, 1.5)
    return network


def put_weights(pair: Pair, ours: nn.Module, theirs: nn.Module) -> None:
    """Their weights into our network: by our key map of the library, or in order where it has none.

    Raises WeightsError where a tensor has no counterpart of its shape.
    """
    if pair.library != "pytorchcv":
        loaded = load_weights(ours, theirs.state_dict(), source=pair.library)
        if loaded.fresh or loaded.adapted:
            raise WeightsError(f"{pair}: without a counterpart: {', '.join(loaded.fresh + loaded.adapted)}")
        return
    try:
        copy_in_order(theirs, ours)
    except WeightsError as error:
        raise WeightsError(f"{pair}: {error}") from None


def copy_in_order(source: nn.Module, target: nn.Module) -> nn.Module:
    """`target` in float64 and evaluation mode, with the tensors of `source` in the order in which both list them.

    Raises WeightsError where their numbers or shapes differ.
    """
    places, values = target.state_dict(), source.state_dict()
    if [value.shape for value in places.values()] != [value.shape for value in values.values()]:
        raise WeightsError("the tensors of the two networks, in their order, do not have the same shapes")
    target.double().load_state_dict(dict(zip(places, values.values(), strict=True)))
    return target.eval()


def picture_size(pair: Pair, ours: nn.Module) -> tuple[int, int]:
    """Small, an odd and an even side, to tell paddings apart; some networks take their own size only."""
    own = getattr(ours.config, "image_size", None)
    if own is not None:
        return own, own
    if pair.library == "pytorchcv":
        _, height, width = card(pair.model).input
        return height, width
    side = max(45, getattr(ours, "smallest", 45))
    return side, side + 9


def largest_difference(pair: Pair, size: tuple[int, int] | None = None) -> float:
    """The largest difference between the outputs, in parts of the largest output: same random weights, float64.

    size: height and width of the picture, which is noise; None: `picture_size`. Raises WeightsError for weights that do
    not fit, MissingExtra for a library that is not installed.
    """
    with torch.random.fork_rng(devices=()), torch.no_grad():
        torch.manual_seed(0)
        theirs = scramble(build(pair))
        ours = create_model(pair.model, **{**pair.changes, **pair.alike}).double().eval()
        put_weights(pair, ours, theirs)
        if pair.make_alike is not None:
            pair.make_alike(ours, theirs)
        x = torch.randn(1, 3, *(size or picture_size(pair, ours)), dtype=torch.float64)
        wanted: Tensor = theirs(x)
        got: Tensor = ours(x)
    assert wanted.shape == got.shape
    assert wanted.std() > 1e-6, f"{pair}: the outputs are all alike, and tell nothing"
    return float((got - wanted).abs().max() / wanted.abs().max())
