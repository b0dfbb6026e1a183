"""timm's names: `blocks.2.0.conv_pwl` in networks of inverted residuals. Its ResNets keep torchvision's names."""

import itertools

from torch import nn

from convatlas.models.classify.efficientnet import EfficientNet
from convatlas.models.classify.efficientnet_lite import EfficientNetLite
from convatlas.models.classify.efficientnet_v2 import EfficientNetV2, FusedMBConv
from convatlas.models.classify.inception_resnet import InceptionResNet, InceptionResNetBlock
from convatlas.models.classify.inception_v2 import Branches, ConvNorm
from convatlas.models.classify.inception_v4 import InceptionV4
from convatlas.models.classify.mnasnet import MnasNet
from convatlas.models.classify.mobilenet_v1 import MobileNetV1
from convatlas.models.classify.mobilenet_v2 import MobileNetV2
from convatlas.models.classify.nasnet import NASNet
from convatlas.models.classify.nasnet_cells import Cell, ReductionCell
from convatlas.models.classify.se_resnet import SEResNet
from convatlas.models.classify.senet154 import SENet154
from convatlas.models.classify.vgg import VGG
from convatlas.models.classify.vit import ViT
from convatlas.models.classify.xception import Xception, XceptionModule
from convatlas.weights.keys.torchvision import blocks, conv_and_bn, resnet, vgg_features


def vgg(network: VGG) -> dict[str, str]:
    """torchvision's names up to the dense layers, of which the hidden ones are convolutions."""
    dense = {"pre_logits.fc1": "head.fc6", "pre_logits.fc2": "head.fc7", "head.fc": "head.fc8"}
    return vgg_features(network) | dense


def se_resnet(network: SEResNet) -> dict[str, str]:
    """The blocks have torchvision's names and `se_module`, as in the files of the authors' weights."""
    return _squeeze_and_excitation(network) | {"layer0.conv1": "stem.conv", "layer0.bn1": "stem.bn"}


def senet154(network: SENet154) -> dict[str, str]:
    """As SE-ResNet; the stem has our names."""
    layers = ("conv1", "bn1", "conv2", "bn2", "conv3", "bn3")
    return _squeeze_and_excitation(network) | {f"layer0.{layer}": f"stem.{layer}" for layer in layers}


def _squeeze_and_excitation(network: SEResNet | SENet154) -> dict[str, str]:
    names = {theirs: ours for theirs, ours in resnet(network).items() if theirs.startswith("layer")}
    for stage, index, _ in blocks(network.stages):
        theirs, ours = f"layer{stage + 1}.{index}.se_module", f"stages.{stage}.{index}.se"
        names |= {f"{theirs}.fc1": f"{ours}.squeeze", f"{theirs}.fc2": f"{ours}.excite"}
    return names | {"last_linear": "head.fc"}


def mobilenet_v1(network: MobileNetV1) -> dict[str, str]:
    """As for inverted residuals, with two convolutions in each block and none in the head."""
    names = {"conv_stem": "stem.conv", "bn1": "stem.bn", "classifier": "head.fc"}
    for stage, index, _ in blocks(network.stages):
        for number, (conv, part) in enumerate((("conv_dw", "depthwise"), ("conv_pw", "pointwise")), 1):
            names[f"blocks.{stage}.{index}.{conv}"] = f"stages.{stage}.{index}.{part}.conv"
            names[f"blocks.{stage}.{index}.bn{number}"] = f"stages.{stage}.{index}.{part}.bn"
    return names


def nasnet(network: NASNet) -> dict[str, str]:
    """Normal cells and reduction cells are counted through, the stem's cells apart; `comb_iter_0` is our `block0`."""
    names = {"conv0.conv": "stem.conv", "conv0.bn": "stem.bn", "last_linear": "head.fc"}
    normal, reduction = itertools.count(), itertools.count(-network.config.stem_cells)
    for ours, cell in network.stages.named_modules(prefix="stages"):
        if not isinstance(cell, Cell):
            continue
        if isinstance(cell, ReductionCell):
            number = next(reduction)
            theirs = f"reduction_cell_{number}" if number >= 0 else f"cell_stem_{number + network.config.stem_cells}"
        else:
            theirs = f"cell_{next(normal)}"
        names |= {f"{theirs}.conv_1x1.{layer}": f"{ours}.current.{layer}" for layer in ("conv", "bn")}
        names |= {f"{theirs}.conv_prev_1x1.{layer}": f"{ours}.previous.{layer}" for layer in ("conv", "bn")}
        names |= {f"{theirs}.path_{path}.conv": f"{ours}.previous.path{path}" for path in (1, 2)}
        names[f"{theirs}.final_path_bn"] = f"{ours}.previous.bn"
        for block, side, step in itertools.product(range(5), ("left", "right"), (1, 2)):
            branch, operation = f"{theirs}.comb_iter_{block}_{side}", f"{ours}.block{block}.{side}"
            for layer in ("depthwise", "pointwise"):
                names[f"{branch}.separable_{step}.{layer}_conv2d"] = f"{operation}.{layer}{step}"
            names[f"{branch}.bn_sep_{step}"] = f"{operation}.bn{step}"
    return names


def inverted_residuals(network: MobileNetV2 | MnasNet | EfficientNet | EfficientNetLite) -> dict[str, str]:
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


def efficientnet_v2(network: EfficientNetV2) -> dict[str, str]:
    """As for the other inverted residuals; a FusedMBConv has `conv_exp` and `conv_pwl`, or `conv` alone."""
    names = {
        "conv_stem": "stem.conv",
        "bn1": "stem.bn",
        "conv_head": "head.last.conv",
        "bn2": "head.last.bn",
        "classifier": "head.fc",
    }
    for stage, modules in enumerate(network.stages):
        for index, block in modules.named_children():
            theirs, ours = f"blocks.{stage}.{index}", f"stages.{stage}.{index}"
            steps = [("conv_pw", "expand"), ("conv_dw", "depthwise"), ("conv_pwl", "project")]
            if isinstance(block, FusedMBConv):
                plain = isinstance(block.expand, nn.Identity)
                steps = [("conv", "project")] if plain else [("conv_exp", "expand"), ("conv_pwl", "project")]
            for number, (conv, part) in enumerate(steps, 1):
                names[f"{theirs}.{conv}"] = f"{ours}.{part}.conv"
                names[f"{theirs}.bn{number}"] = f"{ours}.{part}.bn"
            names[f"{theirs}.se.conv_reduce"] = f"{ours}.se.squeeze"
            names[f"{theirs}.se.conv_expand"] = f"{ours}.se.excite"
    return names


def vit(network: ViT) -> dict[str, str]:
    """Blocks are counted through; the last normalisation stands beside the classifier."""
    names = {
        "patch_embed.proj": "stem.proj",
        "cls_token": "stem.class_token",
        "pos_embed": "stem.positions",
        "norm": "head.norm",
        "head": "head.fc",
    }
    parts = {
        "norm1": "norm1",
        "attn.qkv": "attention.qkv",
        "attn.proj": "attention.out",
        "norm2": "norm2",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
    }
    for index in range(network.config.layers):
        names |= {f"blocks.{index}.{theirs}": f"stages.0.{index}.{ours}" for theirs, ours in parts.items()}
    return names


def inception_v4(network: InceptionV4) -> dict[str, str]:
    """All modules are counted through from the stem's first convolution on."""
    names = {"last_linear": "head.fc"}
    for number in (1, 2, 3):
        names |= conv_and_bn(f"features.{number - 1}", f"stem.conv{number}")
    names |= conv_and_bn("features.3.conv", "stem.mixed1.conv")
    names |= branches("features.4", "stem.mixed2", network.stem.get_submodule("mixed2"))
    names |= conv_and_bn("features.5.conv", "stages.0.0.conv")
    number = 5
    for stage, layers in enumerate(network.stages):
        for index, module in list(layers.named_children())[1 if stage == 0 else 0 :]:
            number += 1
            names |= branches(f"features.{number}", f"stages.{stage}.{index}", module)
    return names


def inception_resnet_v2(network: InceptionResNet) -> dict[str, str]:
    """timm has the public form only: `repeat`, `repeat_1` and `repeat_2` are the blocks of our three stages."""
    if network.config.form != "public":
        return {}
    names = {"classif": "head.fc"}
    for number, theirs in enumerate(("1a", "2a", "2b", "3b", "4a"), 1):
        names |= conv_and_bn(f"conv2d_{theirs}", f"stem.conv{number}")
    for stage, (module, repeat) in enumerate(
        (("mixed_5b", "repeat"), ("mixed_6a", "repeat_1"), ("mixed_7a", "repeat_2"))
    ):
        number = 0
        for index, layer in network.stages[stage].named_children():
            ours = f"stages.{stage}.{index}"
            if isinstance(layer, Branches):
                names |= branches(module, ours, layer)
            elif isinstance(layer, ConvNorm):
                names |= conv_and_bn("conv2d_7b", ours)
            elif isinstance(layer, InceptionResNetBlock):
                linear = isinstance(layer.relu, nn.Identity)  # the last one stands by itself
                theirs = "block8" if linear else f"{repeat}.{number}"
                names |= branches(theirs, f"{ours}.branches", layer.branches)
                names[f"{theirs}.conv2d"] = f"{ours}.expand"
                number += 1
    return names


def branches(theirs: str, ours: str, module: nn.Module) -> dict[str, str]:
    """Branches are counted, and the steps in them; where a branch ends in two, they are `branch1_0`, `branch1_1a`."""
    names: dict[str, str] = {}
    for number, (branch, layers) in enumerate(module.named_children()):
        forked = any(isinstance(layer, Branches) for layer in layers.children())
        for place, layer in layers.named_modules():
            if not isinstance(layer, ConvNorm):
                continue
            steps = place.replace("proj", "1").split(".") if place else []
            path = f"branch{number}_{''.join(steps)}" if forked else ".".join([f"branch{number}", *steps])
            names |= conv_and_bn(f"{theirs}.{path}", ".".join([ours, branch, *([place] if place else [])]))
    return names


def xception(network: Xception) -> dict[str, str]:
    """Modules are `block1` to `block12`; the layers of one are counted through, ReLUs too (the first has one less)."""
    names = {f"{kind}{number}": f"stem.{kind}{number}" for kind in ("conv", "bn") for number in (1, 2)}
    names["fc"] = "head.fc"
    number = 0
    for stage, layers in enumerate(network.stages):
        for index, module in layers.named_children():
            if not isinstance(module, XceptionModule):
                continue
            number += 1
            theirs, ours = f"block{number}", f"stages.{stage}.{index}"
            names |= {f"{theirs}.skip": f"{ours}.shortcut.conv", f"{theirs}.skipbn": f"{ours}.shortcut.bn"}
            for step in range(3):
                place = 3 * step + (0 if number == 1 else 1)
                names |= separable(
                    f"{theirs}.rep.{place}", f"{theirs}.rep.{place + 1}", f"{ours}.residual.conv{step + 1}"
                )
    for step in (1, 2):
        names |= separable(f"conv{step + 2}", f"bn{step + 2}", f"stages.3.conv{step}")
    return names


def separable(conv: str, bn: str, ours: str) -> dict[str, str]:
    """A separable convolution and its normalisation."""
    return {f"{conv}.conv1": f"{ours}.depthwise", f"{conv}.pointwise": f"{ours}.pointwise", bn: f"{ours}.bn"}
