"""torchvision's names: `layer1.0.conv1` for ResNet, `features.4.1.block.2.fc1` for the networks after it."""

from collections.abc import Iterable, Iterator
from typing import cast

from torch import nn

from convatlas.models.classify.efficientnet import EfficientNet, MBConv
from convatlas.models.classify.mobilenet_v2 import MobileNetV2
from convatlas.models.classify.resnet import ResNet


def resnet(network: ResNet) -> dict[str, str]:
    """`layer1` is our stage 0, and `downsample` the projection of a block's shortcut."""
    names = {"conv1": "stem.conv", "bn1": "stem.bn", "fc": "head.fc"}
    for stage, index, _ in blocks(network.stages):
        theirs, ours = f"layer{stage + 1}.{index}", f"stages.{stage}.{index}"
        for layer in (1, 2, 3):
            names[f"{theirs}.conv{layer}"] = f"{ours}.residual.conv{layer}"
            names[f"{theirs}.bn{layer}"] = f"{ours}.residual.bn{layer}"
        names[f"{theirs}.downsample.0"] = f"{ours}.shortcut.conv"
        names[f"{theirs}.downsample.1"] = f"{ours}.shortcut.bn"
    return names


def mobilenet_v2(network: MobileNetV2) -> dict[str, str]:
    """All blocks are counted through, between the stem `features.0` and the last convolution.

    The steps of a block are too: expansion and depthwise convolution are pairs (convolution, normalisation), the
    projection is two steps.
    """
    names = conv_norm("features.0", "stem")
    number = 0
    for number, (stage, index, block) in enumerate(blocks(network.stages), 1):
        theirs, ours = f"features.{number}.conv", f"stages.{stage}.{index}"
        pairs = ["depthwise"] if isinstance(block.expand, nn.Identity) else ["expand", "depthwise"]
        for step, part in enumerate(pairs):
            names |= conv_norm(f"{theirs}.{step}", f"{ours}.{part}")
        names[f"{theirs}.{len(pairs)}"] = f"{ours}.project.conv"
        names[f"{theirs}.{len(pairs) + 1}"] = f"{ours}.project.bn"
    names |= conv_norm(f"features.{number + 1}", "head.last")
    return names | {"classifier.1": "head.fc"}


def efficientnet(network: EfficientNet) -> dict[str, str]:
    """`features.1` is our stage 0; the steps of a block are counted through, whether or not it expands."""
    names = conv_norm("features.0", "stem")
    for stage, index, block in blocks(network.stages):
        theirs, ours = f"features.{stage + 1}.{index}.block", f"stages.{stage}.{index}"
        first = 0 if isinstance(block.expand, nn.Identity) else 1
        names |= conv_norm(f"{theirs}.0", f"{ours}.expand") if first else {}
        names |= conv_norm(f"{theirs}.{first}", f"{ours}.depthwise")
        names[f"{theirs}.{first + 1}.fc1"] = f"{ours}.se.squeeze"
        names[f"{theirs}.{first + 1}.fc2"] = f"{ours}.se.excite"
        names |= conv_norm(f"{theirs}.{first + 2}", f"{ours}.project")
    names |= conv_norm(f"features.{len(network.stages) + 1}", "head.last")
    return names | {"classifier.1": "head.fc"}


def conv_norm(theirs: str, ours: str) -> dict[str, str]:
    """A convolution and its normalisation."""
    return {f"{theirs}.0": f"{ours}.conv", f"{theirs}.1": f"{ours}.bn"}


def blocks(stages: nn.ModuleList) -> Iterator[tuple[int, int, MBConv]]:
    """(stage, place in the stage, block) for every block, in order."""
    for number, stage in enumerate(stages):
        yield from ((number, index, block) for index, block in enumerate(cast(Iterable[MBConv], stage)))
