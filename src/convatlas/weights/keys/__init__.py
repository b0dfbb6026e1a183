"""Other libraries' names for the parts of our networks: one file a library, one function a family.

A function takes a network and returns {their name of a module: our name of it}; what follows the module's name in a
key (weight, bias, running_mean) is torch's own and the same everywhere. Reading the names off the network itself keeps
one function right for every depth and width of the family.
"""

from collections.abc import Callable

from torch import nn

from convatlas.models.classify.alexnet import AlexNet
from convatlas.models.classify.efficientnet import EfficientNet
from convatlas.models.classify.efficientnet_lite import EfficientNetLite
from convatlas.models.classify.googlenet import GoogLeNet
from convatlas.models.classify.inception_v3 import InceptionV3
from convatlas.models.classify.mobilenet_v2 import MobileNetV2
from convatlas.models.classify.resnet import ResNet
from convatlas.models.classify.vgg import VGG
from convatlas.weights.keys import efficientnet_pytorch, timm, torchvision
from convatlas.weights.weight_set import Source

# Each function takes the class it stands beside.
NAMES: dict[Source, dict[type[nn.Module], Callable[..., dict[str, str]]]] = {
    "torchvision": {
        AlexNet: torchvision.alexnet,
        VGG: torchvision.vgg,
        GoogLeNet: torchvision.googlenet,
        InceptionV3: torchvision.inception_v3,
        ResNet: torchvision.resnet,
        MobileNetV2: torchvision.mobilenet_v2,
        EfficientNet: torchvision.efficientnet,
    },
    "timm": {
        VGG: timm.vgg,
        InceptionV3: torchvision.inception_v3,  # timm's inception_v3.py keeps torchvision's names
        ResNet: torchvision.resnet,  # timm's resnet.py keeps torchvision's names
        MobileNetV2: timm.inverted_residuals,
        EfficientNet: timm.inverted_residuals,
        EfficientNetLite: timm.inverted_residuals,
    },
    "efficientnet_pytorch": {
        EfficientNet: efficientnet_pytorch.efficientnet,
        EfficientNetLite: efficientnet_pytorch.efficientnet,
    },
}

# Dense layers of ours that another library has as convolutions, and the side of their kernels.
_AS_CONVOLUTIONS: dict[Source, dict[type[nn.Module], dict[str, int]]] = {
    "timm": {VGG: {"head.fc6.weight": 7, "head.fc7.weight": 1}},
}


def as_convolutions(network: nn.Module, source: Source) -> dict[str, int]:
    """{our name of a dense layer's weight: side of the kernel that it has in this library}."""
    return _AS_CONVOLUTIONS.get(source, {}).get(type(network), {})
