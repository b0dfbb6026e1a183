"""The names of the first port of EfficientNet from TensorFlow, and of files made with it: `_blocks.3._project_conv`."""

from convatlas.models.classify.efficientnet import EfficientNet
from convatlas.models.classify.efficientnet_lite import EfficientNetLite
from convatlas.weights.keys.torchvision import blocks


def efficientnet(network: EfficientNet | EfficientNetLite) -> dict[str, str]:
    """All blocks are counted through; a block that does not expand has no `_bn0`."""
    names = {
        "_conv_stem": "stem.conv",
        "_bn0": "stem.bn",
        "_conv_head": "head.last.conv",
        "_bn1": "head.last.bn",
        "_fc": "head.fc",
    }
    for number, (stage, index, _) in enumerate(blocks(network.stages)):
        theirs, ours = f"_blocks.{number}", f"stages.{stage}.{index}"
        for step, (conv, part) in enumerate(
            (("_expand_conv", "expand"), ("_depthwise_conv", "depthwise"), ("_project_conv", "project"))
        ):
            names[f"{theirs}.{conv}"] = f"{ours}.{part}.conv"
            names[f"{theirs}._bn{step}"] = f"{ours}.{part}.bn"
        names[f"{theirs}._se_reduce"] = f"{ours}.se.squeeze"
        names[f"{theirs}._se_expand"] = f"{ours}.se.excite"
    return names
