"""Every network by name. A name is imported only when it is asked for."""

import dataclasses
import importlib
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from convatlas.catalog import resolve
from convatlas.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Entry:
    """Where a network is defined: a module of this room, and the class in it. Its config is `CONFIGS[name]` there."""

    module: str
    network: str


MODELS: dict[str, Entry] = {
    "lenet5": Entry("classify.lenet5", "LeNet5"),
    "lenet5_modern": Entry("classify.lenet5_modern", "LeNet5Modern"),
    "alexnet": Entry("classify.alexnet", "AlexNet"),
    "alexnet_paper": Entry("classify.alexnet", "AlexNet"),
    "zfnet": Entry("classify.zfnet", "ZFNet"),
    "zfnet_512": Entry("classify.zfnet", "ZFNet"),
    "cnn_f": Entry("classify.cnn_fms", "CNN"),
    "cnn_m": Entry("classify.cnn_fms", "CNN"),
    "cnn_s": Entry("classify.cnn_fms", "CNN"),
    "cnn_m_1024": Entry("classify.cnn_fms", "CNN"),
    "nin_cifar10": Entry("classify.nin", "NIN"),
    "nin_cifar100": Entry("classify.nin", "NIN"),
    "nin_imagenet": Entry("classify.nin", "NIN"),
    "overfeat_fast": Entry("classify.overfeat", "OverFeat"),
    "overfeat_accurate": Entry("classify.overfeat", "OverFeat"),
    "sppnet_zf5": Entry("classify.sppnet", "SPPNet"),
    "vgg11": Entry("classify.vgg", "VGG"),
    "vgg13": Entry("classify.vgg", "VGG"),
    "vgg16": Entry("classify.vgg", "VGG"),
    "vgg19": Entry("classify.vgg", "VGG"),
    "vgg11_bn": Entry("classify.vgg", "VGG"),
    "vgg13_bn": Entry("classify.vgg", "VGG"),
    "vgg16_bn": Entry("classify.vgg", "VGG"),
    "vgg19_bn": Entry("classify.vgg", "VGG"),
    "googlenet": Entry("classify.googlenet", "GoogLeNet"),
    "googlenet_paper": Entry("classify.googlenet", "GoogLeNet"),
    "bn_inception": Entry("classify.bn_inception", "BNInception"),
    "inception_v2": Entry("classify.inception_v2", "InceptionV2"),
    "inception_v3": Entry("classify.inception_v3", "InceptionV3"),
    "inception_v4": Entry("classify.inception_v4", "InceptionV4"),
    "inception_resnet_v1": Entry("classify.inception_resnet", "InceptionResNet"),
    "inception_resnet_v2": Entry("classify.inception_resnet", "InceptionResNet"),
    "inception_resnet_v2_paper": Entry("classify.inception_resnet", "InceptionResNet"),
    "xception": Entry("classify.xception", "Xception"),
    "resnet18": Entry("classify.resnet", "ResNet"),
    "resnet34": Entry("classify.resnet", "ResNet"),
    "resnet50": Entry("classify.resnet", "ResNet"),
    "resnet101": Entry("classify.resnet", "ResNet"),
    "resnet152": Entry("classify.resnet", "ResNet"),
    "resnet50_paper": Entry("classify.resnet", "ResNet"),
    "resnet101_paper": Entry("classify.resnet", "ResNet"),
    "resnet152_paper": Entry("classify.resnet", "ResNet"),
    "plain18": Entry("classify.resnet", "ResNet"),
    "plain34": Entry("classify.resnet", "ResNet"),
    "resnet20_cifar": Entry("classify.resnet_cifar", "ResNetCifar"),
    "resnet32_cifar": Entry("classify.resnet_cifar", "ResNetCifar"),
    "resnet44_cifar": Entry("classify.resnet_cifar", "ResNetCifar"),
    "resnet56_cifar": Entry("classify.resnet_cifar", "ResNetCifar"),
    "resnet110_cifar": Entry("classify.resnet_cifar", "ResNetCifar"),
    "resnet1202_cifar": Entry("classify.resnet_cifar", "ResNetCifar"),
    "plain20_cifar": Entry("classify.resnet_cifar", "ResNetCifar"),
    "plain56_cifar": Entry("classify.resnet_cifar", "ResNetCifar"),
    "resnext50_32x4d": Entry("classify.resnext", "ResNeXt"),
    "resnext101_32x4d": Entry("classify.resnext", "ResNeXt"),
    "resnext101_32x8d": Entry("classify.resnext", "ResNeXt"),
    "resnext101_64x4d": Entry("classify.resnext", "ResNeXt"),
    "se_resnet18": Entry("classify.se_resnet", "SEResNet"),
    "se_resnet34": Entry("classify.se_resnet", "SEResNet"),
    "se_resnet50": Entry("classify.se_resnet", "SEResNet"),
    "se_resnet101": Entry("classify.se_resnet", "SEResNet"),
    "se_resnet152": Entry("classify.se_resnet", "SEResNet"),
    "se_resnext50_32x4d": Entry("classify.se_resnet", "SEResNet"),
    "se_resnext101_32x4d": Entry("classify.se_resnet", "SEResNet"),
    "senet154": Entry("classify.senet154", "SENet154"),
    "se_bn_inception": Entry("classify.se_bn_inception", "SEBNInception"),
    "se_inception_resnet_v2": Entry("classify.se_inception_resnet_v2", "SEInceptionResNetV2"),
    "se_mobilenet_v1": Entry("classify.se_mobilenet_v1", "SEMobileNetV1"),
    "se_shufflenet_v1": Entry("classify.se_shufflenet_v1", "SEShuffleNetV1"),
    "mobilenet_v1": Entry("classify.mobilenet_v1", "MobileNetV1"),
    "squeezenet1_0": Entry("classify.squeezenet", "SqueezeNet"),
    "squeezenet1_1": Entry("classify.squeezenet", "SqueezeNet"),
    "densenet121": Entry("classify.densenet", "DenseNet"),
    "densenet161": Entry("classify.densenet", "DenseNet"),
    "densenet169": Entry("classify.densenet", "DenseNet"),
    "densenet201": Entry("classify.densenet", "DenseNet"),
    "densenet264": Entry("classify.densenet", "DenseNet"),
    "densenet40_k12_cifar": Entry("classify.densenet", "DenseNet"),
    "densenet100_k12_cifar": Entry("classify.densenet", "DenseNet"),
    "densenet100_k24_cifar": Entry("classify.densenet", "DenseNet"),
    "densenet_bc100_k12_cifar": Entry("classify.densenet", "DenseNet"),
    "densenet_bc250_k24_cifar": Entry("classify.densenet", "DenseNet"),
    "densenet_bc190_k40_cifar": Entry("classify.densenet", "DenseNet"),
    "nasnet_mobile": Entry("classify.nasnet", "NASNet"),
    "nasnet_large": Entry("classify.nasnet", "NASNet"),
    "nasnet_cifar": Entry("classify.nasnet", "NASNet"),
    "mobilenet_v2": Entry("classify.mobilenet_v2", "MobileNetV2"),
    "mobilenet_v3_large": Entry("classify.mobilenet_v3", "MobileNetV3"),
    "mobilenet_v3_small": Entry("classify.mobilenet_v3", "MobileNetV3"),
    "shufflenet_v1_g1": Entry("classify.shufflenet_v1", "ShuffleNetV1"),
    "shufflenet_v1_g2": Entry("classify.shufflenet_v1", "ShuffleNetV1"),
    "shufflenet_v1_g3": Entry("classify.shufflenet_v1", "ShuffleNetV1"),
    "shufflenet_v1_g4": Entry("classify.shufflenet_v1", "ShuffleNetV1"),
    "shufflenet_v1_g8": Entry("classify.shufflenet_v1", "ShuffleNetV1"),
    "shufflenet_v2_x0_5": Entry("classify.shufflenet_v2", "ShuffleNetV2"),
    "shufflenet_v2_x1_0": Entry("classify.shufflenet_v2", "ShuffleNetV2"),
    "shufflenet_v2_x1_5": Entry("classify.shufflenet_v2", "ShuffleNetV2"),
    "shufflenet_v2_x2_0": Entry("classify.shufflenet_v2", "ShuffleNetV2"),
    "shufflenet_v2_50": Entry("classify.shufflenet_v2", "ShuffleNetV2"),
    "shufflenet_v2_plus_small": Entry("classify.shufflenet_v2_plus", "ShuffleNetV2Plus"),
    "shufflenet_v2_plus_medium": Entry("classify.shufflenet_v2_plus", "ShuffleNetV2Plus"),
    "shufflenet_v2_plus_large": Entry("classify.shufflenet_v2_plus", "ShuffleNetV2Plus"),
    "shufflenet_v2_large": Entry("classify.shufflenet_v2_large", "ShuffleNetV2Large"),
    "shufflenet_v2_exlarge": Entry("classify.shufflenet_v2_exlarge", "ShuffleNetV2ExLarge"),
    "mnasnet_a1": Entry("classify.mnasnet", "MnasNet"),
    "mnasnet_b1": Entry("classify.mnasnet", "MnasNet"),
    "mnasnet_small": Entry("classify.mnasnet", "MnasNet"),
    "efficientnet_b0": Entry("classify.efficientnet", "EfficientNet"),
    "efficientnet_b1": Entry("classify.efficientnet", "EfficientNet"),
    "efficientnet_b2": Entry("classify.efficientnet", "EfficientNet"),
    "efficientnet_b3": Entry("classify.efficientnet", "EfficientNet"),
    "efficientnet_b4": Entry("classify.efficientnet", "EfficientNet"),
    "efficientnet_b5": Entry("classify.efficientnet", "EfficientNet"),
    "efficientnet_b6": Entry("classify.efficientnet", "EfficientNet"),
    "efficientnet_b7": Entry("classify.efficientnet", "EfficientNet"),
    "efficientnet_lite0": Entry("classify.efficientnet_lite", "EfficientNetLite"),
    "efficientnet_v2_s": Entry("classify.efficientnet_v2", "EfficientNetV2"),
    "efficientnet_v2_m": Entry("classify.efficientnet_v2", "EfficientNetV2"),
    "efficientnet_v2_l": Entry("classify.efficientnet_v2", "EfficientNetV2"),
    "efficientnet_v2_xl": Entry("classify.efficientnet_v2", "EfficientNetV2"),
    "vit_ti_16": Entry("classify.vit", "ViT"),
    "vit_s_16": Entry("classify.vit", "ViT"),
    "vit_s_32": Entry("classify.vit", "ViT"),
    "vit_b_16": Entry("classify.vit", "ViT"),
    "vit_b_32": Entry("classify.vit", "ViT"),
    "vit_l_14": Entry("classify.vit", "ViT"),
    "vit_l_16": Entry("classify.vit", "ViT"),
    "vit_l_32": Entry("classify.vit", "ViT"),
    "vit_h_14": Entry("classify.vit", "ViT"),
}


def family_module(name: str) -> ModuleType:
    """The module that defines the network `name` (any alias). Imports torch."""
    return importlib.import_module(f"{__name__}.{MODELS[resolve(name)].module}")


def network_class(name: str) -> type["nn.Module"]:
    """The class of the network `name` (any alias). Imports torch."""
    network: type[nn.Module] = getattr(family_module(name), MODELS[resolve(name)].network)
    return network


def model_config(name: str, **changes: object) -> Any:
    """The frozen config of `name` with `changes` applied.

    Raises UsageError for an unknown name or field, with the nearest ones, or for an impossible value.
    """
    canonical = resolve(name)
    config = family_module(canonical).CONFIGS[canonical]
    fields = [field.name for field in dataclasses.fields(config)]
    for field in changes:
        if field not in fields:
            raise UsageError(
                f"{canonical} has no option {field!r}.{did_you_mean(field, fields)} It has: {', '.join(fields)}"
            )
    kinds = typing.get_type_hints(type(config))
    fitting = {field: _fitting(f"{canonical}.{field}", value, kinds[field]) for field, value in changes.items()}
    return dataclasses.replace(config, **fitting)


def real_changes(name: str, changes: Mapping[str, object]) -> dict[str, object]:
    """Those of the changes that make the config another one than the name's. Raises what `model_config` raises."""
    plain, changed = model_config(name), model_config(name, **changes)
    return {field: value for field, value in changes.items() if getattr(changed, field) != getattr(plain, field)}


def _fitting(name: str, value: object, kind: object) -> object:
    """The value, a list (as JSON knows them) as the tuple that is meant; the config itself checks the rest.

    Raises UsageError for a flag that is neither True nor False: any other value would silently count as one of them.
    """
    if typing.get_origin(kind) is tuple and isinstance(value, list):
        return tuple(value)
    if kind is bool and not isinstance(value, bool):
        raise UsageError(f"{name} must be True or False, not {value!r}")
    return value


def create_model(name: str, **changes: object) -> "nn.Module":
    """Build a network by its name, freshly initialised as its paper says.

    name: a name or alias that `list_models()` gives, such as "lenet5_modern".
    changes: fields of its config to change, such as `in_channels=3`, `num_classes=7`.
    Raises UsageError for an unknown name or field, with the nearest ones, or for an impossible value.
    """
    network: nn.Module = network_class(name)(model_config(name, **changes))
    return network
