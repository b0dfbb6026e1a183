"""timm's names for networks of inverted residuals: `blocks.2.0.conv_pwl`. Its ResNets keep torchvision's names."""

from torch import nn

from convatlas.models.classify.efficientnet import EfficientNet
from convatlas.models.classify.efficientnet_lite import EfficientNetLite
from convatlas.models.classify.mobilenet_v2 import MobileNetV2
from convatlas.weights.keys.torchvision import blocks


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
