"""torchvision's names: `layer1.0.conv1` for ResNet, `features.4.1.block.2.fc1` for the networks after it."""

from collections.abc import Iterable, Iterator
from typing import cast

from torch import nn

from convatlas.models.classify.alexnet import AlexNet
from convatlas.models.classify.densenet import DenseBlock, DenseNet
from convatlas.models.classify.efficientnet import EfficientNet, MBConv
from convatlas.models.classify.efficientnet_v2 import EfficientNetV2, FusedMBConv
from convatlas.models.classify.googlenet import GoogLeNet
from convatlas.models.classify.inception_v2 import ConvNorm
from convatlas.models.classify.inception_v3 import InceptionV3
from convatlas.models.classify.mnasnet import MnasNet
from convatlas.models.classify.mobilenet_v2 import MobileNetV2
from convatlas.models.classify.mobilenet_v3 import MobileNetV3
from convatlas.models.classify.resnet import ResNet
from convatlas.models.classify.resnext import ResNeXt
from convatlas.models.classify.se_resnet import SEResNet
from convatlas.models.classify.senet154 import SENet154
from convatlas.models.classify.shufflenet_v2 import ShuffleNetV2
from convatlas.models.classify.squeezenet import Fire, SqueezeNet
from convatlas.models.classify.vgg import VGG
from convatlas.models.classify.vit import ViT


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


def resnet(network: ResNet | ResNeXt | SEResNet | SENet154) -> dict[str, str]:
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


def squeezenet(network: SqueezeNet) -> dict[str, str]:
    """All layers are counted through, poolings and the first activation too; a Fire module is one."""
    names = {"features.0": "stem.conv1", "classifier.1": "head.conv10"}
    layers = [
        (f"stages.{stage}.{name}", module)
        for stage, modules in enumerate(network.stages)
        for name, module in modules.named_children()
    ]
    for number, (ours, module) in enumerate(layers, 2):
        if isinstance(module, Fire):
            names |= {f"features.{number}.{conv}": f"{ours}.{conv}" for conv in ("squeeze", "expand1x1", "expand3x3")}
    return names


def densenet(network: DenseNet) -> dict[str, str]:
    """`denseblock2.denselayer1` is our `stages.1.block.0`; published files have `norm.1` for `norm1`."""
    names = {"features.conv0": "stem.conv", "features.norm0": "stem.norm"}
    for stage, modules in enumerate(network.stages):
        names |= {
            f"features.transition{stage}.{layer}": f"stages.{stage}.transition.{layer}" for layer in ("norm", "conv")
        }
        for index, _ in enumerate(cast(DenseBlock, modules.get_submodule("block"))):
            theirs, ours = f"features.denseblock{stage + 1}.denselayer{index + 1}", f"stages.{stage}.block.{index}"
            for point in ("", "."):
                names |= {f"{theirs}.{layer}{point}1": f"{ours}.{layer}1" for layer in ("norm", "conv")}
                names |= {f"{theirs}.{layer}{point}2": f"{ours}.rest.{layer}2" for layer in ("norm", "conv")}
    return names | {"features.norm5": "head.norm", "classifier": "head.fc"}


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


def mobilenet_v3(network: MobileNetV3) -> dict[str, str]:
    """All blocks are counted through, and the steps of a block: those that it has."""
    names = conv_norm("features.0", "stem")
    number = 0
    for number, (stage, index, block) in enumerate(blocks(network.stages), 1):
        theirs, ours = f"features.{number}.block", f"stages.{stage}.{index}"
        steps = [name for name, part in block.named_children() if not isinstance(part, nn.Identity)]
        for step, part in enumerate(steps):
            if part == "se":
                names[f"{theirs}.{step}.fc1"] = f"{ours}.se.squeeze"
                names[f"{theirs}.{step}.fc2"] = f"{ours}.se.excite"
            else:
                names |= conv_norm(f"{theirs}.{step}", f"{ours}.{part}")
    names |= conv_norm(f"features.{number + 1}", "head.last")
    return names | {"classifier.0": "head.hidden", "classifier.3": "head.fc"}


def shufflenet_v2(network: ShuffleNetV2) -> dict[str, str]:
    """`stage2` is our stage 0; `branch1` is the shortcut of a unit that halves the picture."""
    names = conv_norm("conv1", "stem.conv") | conv_norm("conv5", "head.last") | {"fc": "head.fc"}
    layers = {
        "branch1": {0: "shortcut.depthwise", 2: "shortcut.conv"},
        "branch2": {0: "branch.conv1", 3: "branch.depthwise", 5: "branch.conv2"},
    }
    for stage, index, _ in blocks(network.stages):
        for branch, places in layers.items():
            for place, part in places.items():
                theirs, ours = f"stage{stage + 2}.{index}.{branch}", f"stages.{stage}.{index}.{part}"
                names |= {f"{theirs}.{place}": f"{ours}.conv", f"{theirs}.{place + 1}": f"{ours}.bn"}
    return names


def mnasnet(network: MnasNet) -> dict[str, str]:
    """The layers of the stem and the first block are counted through with the other stages, activations too."""
    names = {"layers.0": "stem.conv", "layers.1": "stem.bn", "classifier.1": "head.fc"}
    for stage, index, block in blocks(network.stages):
        theirs, ours = f"layers.{stage + 7}.{index}.layers", f"stages.{stage}.{index}"
        places = {0: "expand", 3: "depthwise", 6: "project"}
        if isinstance(block.expand, nn.Identity):
            theirs, places = "layers", {3: "depthwise", 6: "project"}
        for place, part in places.items():
            names |= {f"{theirs}.{place}": f"{ours}.{part}.conv", f"{theirs}.{place + 1}": f"{ours}.{part}.bn"}
    last = 7 + len(network.stages)
    return names | {f"layers.{last}": "head.last.conv", f"layers.{last + 1}": "head.last.bn"}


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


def efficientnet_v2(network: EfficientNetV2) -> dict[str, str]:
    """As for EfficientNet; the steps of a FusedMBConv are the convolutions that it has, one or two."""
    names = conv_norm("features.0", "stem")
    for stage, modules in enumerate(network.stages):
        for index, block in modules.named_children():
            theirs, ours = f"features.{stage + 1}.{index}.block", f"stages.{stage}.{index}"
            steps = {0: "expand", 1: "depthwise", 3: "project"}
            if isinstance(block, FusedMBConv):
                steps = {0: "project"} if isinstance(block.expand, nn.Identity) else {0: "expand", 1: "project"}
            else:
                names |= {f"{theirs}.2.fc1": f"{ours}.se.squeeze", f"{theirs}.2.fc2": f"{ours}.se.excite"}
            for step, part in steps.items():
                names |= conv_norm(f"{theirs}.{step}", f"{ours}.{part}")
    names |= conv_norm(f"features.{len(network.stages) + 1}", "head.last")
    return names | {"classifier.1": "head.fc"}


def vit(network: ViT) -> dict[str, str]:
    """Its attention holds the projections to queries, keys and values as tensors of its own.

    Files are older than the library's names of an MLP's layers: `mlp.linear_1` is `mlp.0`, `mlp.linear_2` is `mlp.3`.
    """
    names = {
        "conv_proj": "stem.proj",
        "class_token": "stem.class_token",
        "encoder.pos_embedding": "stem.positions",
        "encoder.ln": "head.norm",
        "heads.head": "head.fc",
    }
    for index in range(network.config.layers):
        theirs, ours = f"encoder.layers.encoder_layer_{index}", f"stages.0.{index}"
        names |= {
            f"{theirs}.ln_1": f"{ours}.norm1",
            f"{theirs}.self_attention.in_proj_weight": f"{ours}.attention.qkv.weight",
            f"{theirs}.self_attention.in_proj_bias": f"{ours}.attention.qkv.bias",
            f"{theirs}.self_attention.out_proj": f"{ours}.attention.out",
            f"{theirs}.ln_2": f"{ours}.norm2",
            f"{theirs}.mlp.0": f"{ours}.mlp.fc1",
            f"{theirs}.mlp.3": f"{ours}.mlp.fc2",
            f"{theirs}.mlp.linear_1": f"{ours}.mlp.fc1",
            f"{theirs}.mlp.linear_2": f"{ours}.mlp.fc2",
        }
    return names


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
