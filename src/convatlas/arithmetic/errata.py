"""Slips of the five study notes, found by working every number in them again. docs/errata.md shows this table.

A test computes each right value. The notes are named as in `convatlas.arithmetic.notes`.
"""

from dataclasses import dataclass
from typing import Final

from convatlas.arithmetic import notes


@dataclass(frozen=True, kw_only=True)
class Erratum:
    """One slip: where it stands, what is printed there, what is right, and why."""

    name: str
    note: str
    place: str
    printed: str
    right: str
    why: str


ERRATA: Final = (
    Erratum(
        name="edge-of-32",
        note=notes.COURSE,
        place="Filters, Kernels, about Size: the formula and the diagram beneath it",
        printed="18 = (32 - 5)/1 + 1, and an output of 18 x 18 x 1",
        right="28, and 28 x 28 x 1",
        why="(32 - 5)/1 + 1 = 28; the 30 of the 3x3 filter beside it is right.",
    ),
    Erratum(
        name="vgg-layers",
        note=notes.COURSE,
        place="VGG Net",
        printed="152 layers for ImageNet.",
        right="16 or 19 layers",
        why="VGG's deepest column, E, has 16 convolutions and 3 dense layers. 152 layers has the deepest ResNet.",
    ),
    Erratum(
        name="shared-bias",
        note=notes.COURSE,
        place="Convolution Layers, step 4",
        printed="plus an (N-F+1) x (N-F+1) x 1 shared bias",
        right="one number for each filter",
        why="A shared bias is the same at every place. The summary at the top of the note counts it so: F·F·D·K + K.",
    ),
    Erratum(
        name="pooled-depth",
        note=notes.COURSE,
        place="Summary, Pool",
        printed="a volume of size ((W2-F)/S+1) x ((H2-F)/S+1)",
        right="((W2-F)/S+1) x ((H2-F)/S+1) x K",
        why="Pooling leaves the number of maps as it is, as the note says further down.",
    ),
    Erratum(
        name="basic-block",
        note=notes.ARCHITECTURES,
        place="ResNet, bottleneck",
        printed="3x3x256x256 * 2 = 11796496",
        right="1,179,648",
        why="9·256·256 = 589,824, and two of them. 69632 for the bottleneck is right.",
    ),
    Erratum(
        name="sixteen-times",
        note=notes.ARCHITECTURES,
        place="ResNet, bottleneck",
        printed="16 times fewer parameters",
        right="16.9 times",
        why="1,179,648 / 69,632 = 16.94. From the printed 11796496 it would be 169 times.",
    ),
    Erratum(
        name="channels-once",
        note=notes.ARCHITECTURES,
        place="VGG",
        printed="3 * (C * 3 * 3) = 27C and 1 * (C * 7 * 7) = 49C",
        right="27C² and 49C²",
        why="C·3·3 are the weights of one filter; a layer that keeps C channels has C of them. The ratio is the same.",
    ),
    Erratum(
        name="anchor-cells",
        note=notes.ARCHITECTURES,
        place="Feature Pyramid Networks, with Faster R-CNN",
        printed="an anchor of 5x5 cells is 512x512 pixels on the highest map, 32x32 on the largest",
        right="8 x 8 cells",
        why="The strides are 64 and 4: 512/64 = 32/4 = 8. 5 cells would be 320 and 20 pixels.",
    ),
    Erratum(
        name="picture-of-244",
        note=notes.OVERVIEW,
        place="GoogLeNet V1, spatial dimensions up to the first inception module",
        printed="244 → 122 → 61 → 61 → 61 → 30",
        right="224 → 112 → 56 → 56 → 56 → 28",
        why="The network's pictures have 224 pixels a side. From 244 each step is worked rightly.",
    ),
    Erratum(
        name="resnet-from-244",
        note=notes.OVERVIEW,
        place="ResNet18, the first downsampling",
        printed="decreasing the spatial size to 31 x 31",
        right="28 x 28",
        why="31 is what a picture of 244 pixels leads to; 224 gives 112, 56 and then 28.",
    ),
    Erratum(
        name="two-shortcuts",
        note=notes.OVERVIEW,
        place="ResNet18, the dotted skip connections",
        printed="a 1x1 convolution of stride 2, and then padding with zero channels",
        right="one or the other",
        why="The convolution makes all 128 channels (option B, 64·128 = 8,192 weights); zero channels are option A.",
    ),
    Erratum(
        name="fc6-bias",
        note=notes.OVERVIEW,
        place="VGG16, the linear part, layer (0)",
        printed="7·7·512·4096 = 102,764,544",
        right="7·7·512·4096 + 4096 = 102,764,544",
        why="The product alone is 102,760,448; the printed number has the 4,096 biases, the formula does not.",
    ),
    Erratum(
        name="alexnet-connections",
        note=notes.OVERVIEW,
        place="AlexNet",
        printed="~600 Million Connections",
        right="724,406,816 without biases",
        why="On 227 x 227 pixels with the paper's two groups. The five convolutions alone have 665,784,864.",
    ),
    Erratum(
        name="googlenet-parameters",
        note=notes.OVERVIEW,
        place="GoogleNet V1, Total Parameters",
        printed="~6 Million",
        right="6,998,552",
        why="In the paper, without auxiliary classifiers; 6,624,904 in torchvision's form with 3x3 for 5x5.",
    ),
    Erratum(
        name="googlenet-depthwise",
        note=notes.OVERVIEW,
        place="GoogLeNet V1, So why does this work?",
        printed="Depth wise convolutions reduce the number of parameters",
        right="1x1 convolutions do",
        why="No convolution of GoogLeNet is depthwise or grouped: modules are joined along the depth.",
    ),
    Erratum(
        name="inception-v4-address",
        note=notes.OVERVIEW,
        place="GoogleNet, Iterations",
        printed="Inception-v4 at arxiv.org/pdf/1512.00567v3",
        right="https://arxiv.org/abs/1602.07261",
        why="1512.00567 is the paper of Inception v2 and v3.",
    ),
    Erratum(
        name="resnet-parameters",
        note=notes.OVERVIEW,
        place="ResNets, Total Parameters",
        printed="~23 Million",
        right="25,557,032",
        why="That of ResNet-50 with its 1,000 classes; 23,508,032 are those without the dense layer.",
    ),
    Erratum(
        name="mobilenet-v2-year",
        note=notes.OVERVIEW,
        place="MobileNet V2",
        printed="MobileNet V2 (2019)",
        right="2018",
        why="arXiv 1801.04381 is of January 2018, as its number says, and appeared at CVPR 2018.",
    ),
    Erratum(
        name="mobilenet-v2-layers",
        note=notes.OVERVIEW,
        place="MobileNet V2, Overall Architecture",
        printed="53 total layers (not including the avgpool and conv2d layers)",
        right="53 with its conv2d layers",
        why="The bottlenecks have 50 convolutions; with the first, the last and the classifier there are 53.",
    ),
    Erratum(
        name="mobilenet-v2-cost",
        note=notes.OVERVIEW,
        place="MobileNet V2",
        printed="The computational cost can be calculated as .",
        right="h·w·t·d·(d + k² + d')",
        why="Expansion, depthwise and projection: 14·14·6·64·(64 + 9 + 64) = 10,311,168 for 64 channels and t = 6.",
    ),
    Erratum(
        name="batch-norm-names",
        note=notes.OVERVIEW,
        place="Remark on batch normalization",
        printed="two learnable parameters λ and β",
        right="gamma and beta",
        why="The paper scales by gamma and shifts by beta. 2C parameters is right.",
    ),
    Erratum(
        name="one-channel-filters",
        note=notes.MODELS,
        place="1x1 Filter?",
        printed="an ordinary filter works on a single channel only",
        right="on all channels",
        why="A 3x3 filter on RGB has 3·3·3 = 27 weights, as the note's own 3x3x8 filters do on 8 channels.",
    ),
    Erratum(
        name="squeezenet-pooling",
        note=notes.MODELS,
        place="SqueezeNet",
        printed="max pooling of 2x2, stride 2",
        right="3 x 3, stride 2",
        why="Table 1 of the paper: maxpool 3x3/2, three times.",
    ),
    Erratum(
        name="search-time",
        note=notes.MODELS,
        place="NASNet",
        printed="several hundred (幾百個) GPU days",
        right="2,000",
        why="The paper's search took 500 GPUs four days (Zoph et al. 2018).",
    ),
    Erratum(
        name="unlike-ends",
        note=notes.MODELS,
        place="MobileNet, inverted residual bottleneck",
        printed="from ResNet's 1.1M down to 52k",
        right="1,114,112 and 52,608",
        why="1024-256-1024 and 64-384-64 give these figures: the ends have 16 times fewer channels in the second.",
    ),
    Erratum(
        name="same-head",
        note=notes.MODELS,
        place="VGG19",
        printed="the same prediction head as AlexNet",
        right="123,642,856 parameters, not 58,631,144",
        why="Three dense layers in both, but VGG's first reads 7·7·512 = 25,088 values, AlexNet's 6·6·256 = 9,216.",
    ),
)
