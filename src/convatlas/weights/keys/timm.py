"""timm's names: `blocks.2.0.conv_pwl` in networks of inverted residuals. Its ResNets keep torchvision's names."""

from torch import nn

from convatlas.models.classify.efficientnet import EfficientNet
from convatlas.models.classify.efficientnet_lite import EfficientNetLite
from convatlas.models.classify.mobilenet_v2 import MobileNetV2
from convatlas.models.classify.vgg import VGG
from convatlas.weights.keys.torchvision import blocks, vgg_features


def vgg(network: VGG) -> dict[str, str]:
    """torchvision's names up to the dense layers, of which the hidden ones are convolutions."""
    dense = {"pre_logits.fc1": "head.fc6", "pre_logits.fc2": "head.fc7", "head.fc": "head.fc8"}
    return vgg_features(network) | dense


def inverted_residuals(network: MobileNetV2 | EfficientNet | EfficientNetLite) -> dict[str, str]:
    """The normalisations of a block are counted from its first convolution on, which is not always the expansion."""
    names = {
        "conv_stem": "stem.conv",
        "bn1": "stem.bn",
        "conv_head": "head.last.conv",
        "bn2": "head.last.bn",
        "classifier": "head.fc",
    }
    for stage, index, block in blocks(network.stages):
        theirs, ours = f"blocks.{stage}.{index}", f"stages.{stage}.{index}"
        if isinstance(block.expand, nn.Identity):
            steps = [("conv_dw", "depthwise"), ("conv_pw", "project")]
        else:
            steps = [("conv_pw", "expand"), ("conv_dw", "depthwise"), ("conv_pwl", "project")]
        for number, (conv, part) in enumerate(steps, 1):
            names[f"{theirs}.{conv}"] = f"{ours}.{part}.conv"
            names[f"{theirs}.bn{number}"] = f"{ours}.{part}.bn"
        names[f"{theirs}.se.conv_reduce"] = f"{ours}.se.squeeze"
        names[f"{theirs}.se.conv_expand"] = f"{ours}.se.excite"
    return names
