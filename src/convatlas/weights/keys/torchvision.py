"""torchvision's names: `layer1.0.conv1` for ResNet, `features.4.1.block.2.fc1` for the networks after it."""

from collections.abc import Iterable, Iterator
from typing import cast

from torch import nn

from convatlas.models.classify.alexnet import AlexNet
from convatlas.models.classify.efficientnet import EfficientNet, MBConv
from convatlas.models.classify.googlenet import GoogLeNet
from convatlas.models.classify.inception_v2 import ConvNorm
from convatlas.models.classify.inception_v3 import InceptionV3
from convatlas.models.classify.mobilenet_v2 import MobileNetV2
from convatlas.models.classify.resnet import ResNet
from convatlas.models.classify.vgg import VGG


def alexnet(_network: AlexNet) -> dict[str, str]:
    """All layers are counted through, poolings, activations and dropouts too."""
    return {
        "features.0": "stages.0.conv1",
        "features.3": "stages.1.conv2",
        "features.6": "stages.2.conv3",
        "features.8": "stages.2.conv4",
        "features.10": "stages.2.conv5",
        "classifier.1": "head.fc6",
        "classifier.4": "head.fc7",
        "classifier.6": "head.fc8",
    }


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


def vgg(network: VGG) -> dict[str, str]:
    """All layers are counted through, poolings, normalisations and activations too."""
    return vgg_features(network) | {"classifier.0": "head.fc6", "classifier.3": "head.fc7", "classifier.6": "head.fc8"}


def vgg_features(network: VGG) -> dict[str, str]:
    """The layers before the dense ones, which timm calls so too."""
    steps = [
        f"stages.{stage}.{name}" for stage, layers in enumerate(network.stages) for name, _ in layers.named_children()
    ]
    return {f"features.{number}": ours for number, ours in enumerate(steps)}


def googlenet(network: GoogLeNet) -> dict[str, str]:
    """`inception4a.branch3.1` is our stage 1, its module a, the 3x3 in place of the paper's 5x5."""
    names = {"fc": "head.fc"}
    for theirs, ours in (("conv1", "conv1"), ("conv2", "reduce"), ("conv3", "conv2")):
        names |= conv_and_bn(theirs, f"stem.{ours}")
    paths = {
        "branch1": "branch1x1",
        "branch2.0": "branch3x3.reduce",
        "branch2.1": "branch3x3.conv",
        "branch3.0": "branch5x5.reduce",
        "branch3.1": "branch5x5.conv",
        "branch4.1": "branch_pool.proj",
    }
    for stage, modules in enumerate(network.stages):
        for letter, _ in modules.named_children():
            for theirs, ours in paths.items():
                names |= conv_and_bn(f"inception{stage + 3}{letter}.{theirs}", f"stages.{stage}.{letter}.{ours}")
    for aux in ("aux1", "aux2"):
        names |= conv_and_bn(f"{aux}.conv", f"{aux}.conv")
        names |= {f"{aux}.{dense}": f"{aux}.{dense}" for dense in ("fc1", "fc2")}
    return names


def inception_v3(network: InceptionV3) -> dict[str, str]:
    """`Mixed_5b` is our `stages.0.1`; steps of a branch are counted from 1: `branch3x3dbl_3a` is `branch3x3dbl.2.a`."""
    stem = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
    names = {"fc": "head.fc", "AuxLogits.fc": "aux.fc"}
    for number, theirs in enumerate(stem, 1):
        names |= conv_and_bn(theirs, f"stem.conv{number}")
    for step in ("conv0", "conv1"):
        names |= conv_and_bn(f"AuxLogits.{step}", f"aux.{step}")
    for ours, module in network.stages.named_modules():
        if isinstance(module, ConvNorm):
            stage, place, branch, *steps = ours.split(".")
            counted = [str(int(step) + 1) if step.isdigit() else step for step in steps if step != "proj"]
            theirs = "_".join([branch, "".join(counted)]) if counted else branch
            letter = chr(ord("a") + int(place))
            names |= conv_and_bn(f"Mixed_{int(stage) + 5}{letter}.{theirs}", f"stages.{ours}")
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


def conv_and_bn(theirs: str, ours: str) -> dict[str, str]:
    """A convolution and its normalisation, where torchvision names them as we do."""
    return {f"{theirs}.conv": f"{ours}.conv", f"{theirs}.bn": f"{ours}.bn"}


def conv_norm(theirs: str, ours: str) -> dict[str, str]:
    """A convolution and its normalisation."""
    return {f"{theirs}.0": f"{ours}.conv", f"{theirs}.1": f"{ours}.bn"}


def blocks(stages: nn.ModuleList) -> Iterator[tuple[int, int, MBConv]]:
    """(stage, place in the stage, block) for every block, in order."""
    for number, stage in enumerate(stages):
        yield from ((number, index, block) for index, block in enumerate(cast(Iterable[MBConv], stage)))
