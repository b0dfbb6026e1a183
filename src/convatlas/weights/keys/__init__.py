"""Other libraries' names for the parts of our networks: one file a library, one function a family.

A function takes a network and returns {their name of a module: our name of it}; what follows the module's name in a
key (weight, bias, running_mean) is torch's own and the same everywhere. Where it is not, the names are tensors'.
Reading the names off the network itself keeps one function right for every depth and width of the family.
"""

from collections.abc import Callable

from torch import nn

from convatlas.models.classify.alexnet import AlexNet
from convatlas.models.classify.densenet import DenseNet
from convatlas.models.classify.efficientnet import EfficientNet
from convatlas.models.classify.efficientnet_lite import EfficientNetLite
from convatlas.models.classify.efficientnet_v2 import EfficientNetV2
from convatlas.models.classify.googlenet import GoogLeNet
from convatlas.models.classify.inception_resnet import InceptionResNet
from convatlas.models.classify.inception_v3 import InceptionV3
from convatlas.models.classify.inception_v4 import InceptionV4
from convatlas.models.classify.mnasnet import MnasNet
from convatlas.models.classify.mobilenet_v1 import MobileNetV1
from convatlas.models.classify.mobilenet_v2 import MobileNetV2
from convatlas.models.classify.mobilenet_v3 import MobileNetV3
from convatlas.models.classify.nasnet import NASNet
from convatlas.models.classify.resnet import ResNet
from convatlas.models.classify.resnext import ResNeXt
from convatlas.models.classify.se_resnet import SEResNet
from convatlas.models.classify.senet154 import SENet154
from convatlas.models.classify.shufflenet_v2 import ShuffleNetV2
from convatlas.models.classify.squeezenet import SqueezeNet
from convatlas.models.classify.vgg import VGG
from convatlas.models.classify.vit import ViT
from convatlas.models.classify.xception import Xception
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
        ResNeXt: torchvision.resnet,
        SqueezeNet: torchvision.squeezenet,
        DenseNet: torchvision.densenet,
        MobileNetV2: torchvision.mobilenet_v2,
        MobileNetV3: torchvision.mobilenet_v3,
        ShuffleNetV2: torchvision.shufflenet_v2,
        MnasNet: torchvision.mnasnet,
        EfficientNet: torchvision.efficientnet,
        EfficientNetV2: torchvision.efficientnet_v2,
        ViT: torchvision.vit,
    },
    "timm": {
        VGG: timm.vgg,
        InceptionV3: torchvision.inception_v3,  # timm's inception_v3.py keeps torchvision's names
        InceptionV4: timm.inception_v4,
        InceptionResNet: timm.inception_resnet_v2,
        Xception: timm.xception,
        ResNet: torchvision.resnet,  # timm's resnet.py keeps torchvision's names
        ResNeXt: torchvision.resnet,
        SEResNet: timm.se_resnet,
        SENet154: timm.senet154,
        DenseNet: torchvision.densenet,  # timm's densenet.py keeps torchvision's names
        NASNet: timm.nasnet,
        MobileNetV1: timm.mobilenet_v1,
        MobileNetV2: timm.inverted_residuals,
        MnasNet: timm.inverted_residuals,
        EfficientNet: timm.inverted_residuals,
        EfficientNetLite: timm.inverted_residuals,
        EfficientNetV2: timm.efficientnet_v2,
        ViT: timm.vit,
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
