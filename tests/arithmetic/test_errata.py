"""Each slip and remark of the notes: what is right, worked out here by other means than in the table itself.

By plain sums, by the shapes and weights of torch's own modules, and by the atlas' networks.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import nn

from convatlas.arithmetic import ERRATA, count_macs, count_parameters, notes
from convatlas.models import create_model

pytestmark = pytest.mark.row("A-01", "A-03", "A-06")


class Found(NamedTuple):
    """What is right, and every number of two digits or more that its reason may name."""

    right: str
    numbers: tuple[object, ...] = ()


def modules(name: str, kind: type[nn.Module]) -> list[nn.Module]:
    with torch.device("meta"):
        return [module for module in create_model(name).modules() if isinstance(module, kind)]


def parameters(name: str) -> int:
    with torch.device("meta"):
        return count_parameters(create_model(name))


def side(*layers: nn.Module, size: int) -> int:
    """The side of what torch's layers give for a picture of this size with three channels."""
    return int(nn.Sequential(*layers).to("meta")(torch.empty(1, 3, size, size, device="meta")).shape[-1])


def weights(*arguments: int, **setting: object) -> int:
    return nn.Conv2d(*arguments, bias=False, device="meta", **setting).weight.numel()


STEM = (
    nn.Conv2d(3, 64, 7, 2, 3),
    nn.MaxPool2d(3, 2, ceil_mode=True),
    nn.Conv2d(64, 64, 1),
    nn.Conv2d(64, 192, 3, padding=1),
    nn.MaxPool2d(3, 2, ceil_mode=True),
)


def stem(size: int) -> str:
    return " → ".join(map(str, [size, *(side(*STEM[:depth], size=size) for depth in range(1, 6))]))


def resnet(size: int) -> list[int]:
    layers = (nn.Conv2d(3, 64, 7, 2, 3), nn.MaxPool2d(3, 2, 1), nn.Conv2d(64, 128, 1, 2))
    return [side(*layers[:depth], size=size) for depth in (1, 2, 3)]


def vgg_layers() -> Found:
    depths = [
        len(modules(f"vgg{depth}", nn.Conv2d)) + len(modules(f"vgg{depth}", nn.Linear)) for depth in (11, 13, 16, 19)
    ]
    assert depths == [11, 13, 16, 19]
    return Found(f"{min(depths)} to {max(depths)} layers", (len(modules("vgg19", nn.Conv2d)), 152))


def bottleneck() -> tuple[int, int]:
    return 2 * weights(256, 256, 3), weights(256, 64, 1) + weights(64, 64, 3) + weights(64, 256, 1)


def sixteen_times() -> Found:
    dear, cheap = bottleneck()
    ratio = dear / cheap
    return Found(f"{ratio:.1f} times", (f"{dear:,}", f"{cheap:,}", f"{ratio:.2f}", 11796496, round(11796496 / cheap)))


def channels_once() -> Found:
    assert 3 * weights(10, 10, 3) == 27 * 10**2
    assert weights(10, 10, 7) == 49 * 10**2
    return Found("27C² and 49C²")


def anchor_cells() -> Found:
    # Levels P2 to P6 have strides of 4 to 64 and anchors of 32 to 512 pixels (Lin et al. 2017).
    (cells,) = {(32 * 2 ** (level - 2)) / 2**level for level in range(2, 7)}
    return Found(f"{cells:.0f} x {cells:.0f} cells", (64, 512, 32, 5 * 64, 5 * 4))


def mbconv() -> Found:
    """In EfficientNet-B0 no depthwise convolution changes the number of channels; 1x1 ones make six times as many."""
    convolutions = modules("efficientnet_b0", nn.Conv2d)
    assert all(each.in_channels == each.out_channels for each in convolutions if each.groups > 1)
    wider = [each for each in convolutions if each.out_channels == 6 * each.in_channels]
    assert {each.kernel_size for each in wider} == {(1, 1)}
    assert len(wider) == 15  # all blocks but the first
    return Found("a 1x1 convolution enlarges them")


def divided_by_two() -> Found:
    pooled = side(*STEM[:2], size=244)
    one, two = (nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 3, padding=1))
    halved = (side(nn.Conv2d(3, 3, 1, 2), size=pooled), side(nn.Conv2d(3, 3, 3, 2, 1), size=pooled))
    right = (
        f"⌊({pooled} + 2(0) - 1)/1 + 1⌋ = {side(one, size=pooled)} and "
        f"⌊({pooled} + 2(1) - 3)/1 + 1⌋ = {side(two, size=pooled)}"
    )
    return Found(right, halved)


def two_shortcuts() -> Found:
    with torch.device("meta"):
        (first, *_) = [each for each in create_model("resnet18").modules() if getattr(each, "stride", 0) == (2, 2)][2:]
    assert (first.kernel_size, first.in_channels, first.out_channels) == ((1, 1), 64, 128)
    return Found("one or the other", (128, "64·128", f"{first.weight.numel():,}"))


def fc6() -> Found:
    layer = nn.Linear(7 * 7 * 512, 4096, device="meta")
    both = layer.weight.numel() + layer.bias.numel()
    return Found(f"7·7·512·4096 + 4096 = {both:,}", (f"{layer.weight.numel():,}", f"{layer.bias.numel():,}"))


def alexnet_connections() -> Found:
    """Places, taps, channels seen and maps of each layer, by hand."""
    convolutions = (
        55 * 55 * 11 * 11 * 3 * 96
        + 27 * 27 * 5 * 5 * 48 * 256
        + 13 * 13 * 3 * 3 * 256 * 384
        + 13 * 13 * 3 * 3 * 192 * 384
        + 13 * 13 * 3 * 3 * 192 * 256
    )
    dense = 6 * 6 * 256 * 4096 + 4096 * 4096 + 4096 * 1000
    with torch.device("meta"):
        assert count_macs(create_model("alexnet_paper"), (3, 227, 227)) == convolutions + dense
    return Found(f"{convolutions + dense:,} without biases", (227, f"{convolutions:,}"))


def no_groups_in_googlenet() -> None:
    assert {each.groups for name in ("googlenet", "googlenet_paper") for each in modules(name, nn.Conv2d)} == {1}


def googlenet_depthwise() -> Found:
    no_groups_in_googlenet()
    return Found("1x1 convolutions do")


def shufflenet_groups() -> Found:
    no_groups_in_googlenet()
    for name in ("alexnet_paper", "resnext50_32x4d", "shufflenet_v1_g3"):
        assert max(each.groups for each in modules(name, nn.Conv2d) if each.groups < each.in_channels) > 1
    return Found("AlexNet's and ResNeXt's")


def mobilenet_v2_layers() -> Found:
    convolutions = modules("mobilenet_v2", nn.Conv2d)
    assert len(modules("mobilenet_v2", nn.Linear)) == 1  # a 1x1 convolution in the paper's Table 2
    return Found(f"{len(convolutions) + 1} with its conv2d layers", (len(convolutions) - 2, len(convolutions) + 1))


def mobilenet_v2_cost() -> Found:
    block = nn.Sequential(nn.Conv2d(64, 384, 1), nn.Conv2d(384, 384, 3, padding=1, groups=384), nn.Conv2d(384, 64, 1))
    cost = count_macs(block, (64, 14, 14))
    assert cost == 14 * 14 * 6 * 64 * (64 + 9 + 64)
    return Found("h·w·t·d·(d + k² + d')", ("14·14", 64, f"{cost:,}"))


def squeezenet_pooling() -> Found:
    pools = modules("squeezenet1_0", nn.MaxPool2d)
    assert len(pools) == 3
    (kernel, stride) = {(pool.kernel_size, pool.stride) for pool in pools}.pop()
    assert all((pool.kernel_size, pool.stride) == (kernel, stride) for pool in pools)
    return Found(f"{kernel} x {kernel}, stride {stride}")


def unlike_ends() -> Found:
    wide = weights(1024, 256, 1) + weights(256, 256, 3) + weights(256, 1024, 1)
    narrow = weights(64, 384, 1) + weights(384, 384, 3, groups=384) + weights(384, 64, 1)
    return Found(f"{wide:,} and {narrow:,}", (1024, 256, 64, 384, 1024 // 64))


def same_head() -> Found:
    first, second = (
        sum(each.numel() for layer in modules(name, nn.Linear) for each in layer.parameters())
        for name in ("vgg19", "alexnet_paper")
    )
    reads = [modules(name, nn.Linear)[0].in_features for name in ("vgg19", "alexnet_paper")]
    widths = [[layer.out_features for layer in modules(name, nn.Linear)] for name in ("vgg19", "alexnet_paper")]
    assert widths == [[4096, 4096, 1000]] * 2
    return Found(f"{first:,} parameters beside {second:,}", (4096, 1000, 512, 256, *(f"{each:,}" for each in reads)))


FOUND: dict[str, Callable[[], Found]] = {
    "edge-of-32": lambda: Found(
        "{0}, and {0} x {0} x 1".format(side(nn.Conv2d(3, 1, 5), size=32)),
        (32, side(nn.Conv2d(3, 1, 5), size=32), side(nn.Conv2d(3, 1, 3), size=32)),
    ),
    "vgg-layers": vgg_layers,
    "shared-bias": lambda: Found(f"{nn.Conv2d(3, 1, 5).bias.numel()} number for each filter"),
    "pooled-depth": lambda: Found("((W2-F)/S+1) x ((H2-F)/S+1) x K"),
    "basic-block": lambda: Found(f"{bottleneck()[0]:,}", ("9·256·256", f"{9 * 256 * 256:,}", str(bottleneck()[1]))),
    "sixteen-times": sixteen_times,
    "channels-once": channels_once,
    "anchor-cells": anchor_cells,
    "mbconv-expansion": mbconv,
    "picture-of-244": lambda: Found(stem(224), (224, 244)),
    "divided-by-two": divided_by_two,
    "resnet-from-244": lambda: Found("{0} x {0}".format(resnet(224)[-1]), (resnet(244)[-1], 244, 224, *resnet(224))),
    "two-shortcuts": two_shortcuts,
    "fc6-bias": fc6,
    "alexnet-connections": alexnet_connections,
    "googlenet-parameters": lambda: Found(f"{parameters('googlenet_paper'):,}", (f"{parameters('googlenet'):,}",)),
    "googlenet-depthwise": googlenet_depthwise,
    "shufflenet-groups": shufflenet_groups,
    "inception-v4-address": lambda: Found("https://arxiv.org/abs/1602.07261", ("1512.00567",)),
    "resnet-parameters": lambda: Found(
        f"{parameters('resnet50'):,}", (50, "1,000", f"{parameters('resnet50') - 2048 * 1000 - 1000:,}")
    ),
    "mobilenet-v2-year": lambda: Found("2018", ("1801.04381", 2018)),
    "mobilenet-v2-layers": mobilenet_v2_layers,
    "mobilenet-v2-cost": mobilenet_v2_cost,
    "paper-titles": lambda: Found(
        "Gradient-Based Learning Applied to Document Recognition; Deep Residual Learning for Image Recognition; "
        "Aggregated Residual Transformations for Deep Neural Networks"
    ),
    "batch-norm-names": lambda: Found("gamma and beta"),
    "one-channel-filters": lambda: Found("on all channels", (weights(3, 1, 3),)),
    "squeezenet-pooling": squeezenet_pooling,
    "search-time": lambda: Found(f"{500 * 4:,}", (500, 2018)),
    "unlike-ends": unlike_ends,
    "same-head": same_head,
}


@pytest.mark.parametrize("erratum", ERRATA, ids=lambda erratum: erratum.name)
def test_what_is_right_is_found_by_other_means(erratum) -> None:
    right, numbers = FOUND[erratum.name]()
    assert erratum.right == right
    assert erratum.right != erratum.printed
    said = set(re.findall(r"\d[\d,.·]*\d", erratum.why))
    known = {number for each in numbers for number in re.findall(r"\d[\d,.·]*\d", str(each))}
    assert {number for number in said if not number_is_a_product(number)} <= known
    assert all(str(each) in erratum.why for each in numbers)


def number_is_a_product(words: str) -> bool:
    """Taps and channels written as 3·3·3 name what is multiplied; what comes of it stands behind."""
    return "·" in words


def test_sums_that_are_written_out_come_to_what_stands_behind_them() -> None:
    """`9·256·256 = 589,824`, `512/64 = 8`, `(32 - 5)/1 + 1 = 28`, wherever they stand."""
    found = 0
    for erratum in ERRATA:
        for text in (erratum.right, erratum.why):
            for left, result in re.findall(r"([\d⌊(][\d·/+\- ()⌊⌋,.]*) = ([\d,.]*\d)", text):
                plain = left.replace("·", "*").replace(",", "").replace("⌊", "int(").replace("⌋", ")")
                plain = re.sub(r"(\d)\(", r"\1*(", plain)
                assert eval(plain) == pytest.approx(float(result.replace(",", "")), abs=0.005), text
                found += 1
    assert found >= 12


def test_what_is_printed_follows_from_the_slip() -> None:
    """A picture of 244 leads to the notes' 30 and 31; two of their lines divide by 2 and then do not."""
    printed = {erratum.name: erratum.printed for erratum in ERRATA}
    assert printed["picture-of-244"] == stem(244) == "244 → 122 → 61 → 61 → 61 → 30"
    assert printed["resnet-from-244"] == f"decreasing the spatial size to {resnet(244)[-1]} x {resnet(244)[-1]}"
    assert resnet(244)[-1] == 31
    assert printed["divided-by-two"] == "⌊(61 + 2(0) - 1)/2 + 1⌋ = 61 and ⌊(61 + 2(1) - 3)/2 + 1⌋ = 61"


def test_the_table_is_whole_and_says_what_is_only_a_remark() -> None:
    names = [erratum.name for erratum in ERRATA]
    assert sorted(names) == sorted(FOUND)
    assert len(set(names)) == len(names)
    known = {value for name, value in vars(notes).items() if name.isupper()}
    assert {erratum.note for erratum in ERRATA} <= known
    kinds = {erratum.name: erratum.kind for erratum in ERRATA}
    assert set(kinds.values()) == {"slip", "remark"}
    for name in ("same-head", "search-time", "unlike-ends", "two-shortcuts", "shared-bias", "alexnet-connections"):
        assert kinds[name] == "remark"
    for name in ("edge-of-32", "vgg-layers", "basic-block", "picture-of-244", "divided-by-two", "fc6-bias"):
        assert kinds[name] == "slip"
