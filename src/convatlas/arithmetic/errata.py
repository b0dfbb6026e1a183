"""Slips of the five study notes, and remarks on them, found by working every number again. docs/errata.md shows them.

What is right is computed here, from the closed forms and the catalog, so that the page cannot drift from the code; a
test computes it in another way. The notes are named as in `convatlas.arithmetic.notes`.
"""

from dataclasses import dataclass
from typing import Final, Literal

from convatlas.arithmetic import notes
from convatlas.arithmetic.axes import Padding
from convatlas.arithmetic.costs import compare_costs
from convatlas.arithmetic.layers import convolution, dense
from convatlas.arithmetic.sizes import convolution_size, pooling_size
from convatlas.arithmetic.worked import VGG_DEPTHS, alexnet_layers, googlenet_stem, total_parameters, vgg_layers
from convatlas.catalog import card


@dataclass(frozen=True, kw_only=True)
class Erratum:
    """One slip or remark: where it stands, what is printed there, what is right, and why.

    kind: "slip" where what is printed is not so; "remark" where it is rounded, shortened or left open, so that a reader
    who works it again finds something else.
    """

    name: str
    note: str
    place: str
    kind: Literal["slip", "remark"]
    printed: str
    right: str
    why: str


def _stem(size: int) -> str:
    """GoogLeNet's sides from the picture to the first inception module."""
    return " → ".join(map(str, [size, *(side for _, side in googlenet_stem(size))]))


def _resnet(size: int) -> int:
    """The side after the first downsampling of ResNet-18: 7x7 with stride 2, pooling, 1x1 with stride 2."""
    pooled = pooling_size(convolution_size(size, kernel=7, stride=2, padding=3), kernel=3, stride=2, padding=1)
    return convolution_size(pooled, kernel=1, stride=2)


def _wrongly_halved(kernel: int, padding: Padding) -> int:
    """What the notes' line gives with the divisor 2 that it has."""
    return convolution_size(_POOLED, kernel=kernel, stride=2, padding=padding)


_POOLED = dict(googlenet_stem(244))["maxpool1"]
_DEPTHS = [sum(layer.kind in ("convolution", "dense") for layer in vgg_layers(name)) for name in VGG_DEPTHS]
_BASIC, _BOTTLENECK = (compare_costs("bottleneck")[0].dearer.value, compare_costs("bottleneck")[0].cheaper.value)
_ENDS = compare_costs("inverted-residual")[0]
_HEAD = compare_costs("vgg-head")[0].dearer.value
_ALEXNET = alexnet_layers()
_ALEXNET_HEAD = [layer for layer in _ALEXNET if layer.kind == "dense"]
_FC6 = dense(7 * 7 * 512, 4096)
_SHORTCUT = convolution((56, 56), in_channels=64, out_channels=128, kernel=1, stride=2, bias=False)
_FPN_ANCHORS = {64: 512, 4: 32}  # stride and anchor of the highest map and the largest: Lin et al. 2017, Section 4.1
_GPUS, _DAYS = 500, 4  # Zoph et al. 2018, Section 4
_MOBILENET_V2_BLOCKS = 2 + 16 * 3  # Table 2: 17 bottlenecks, the first without expansion

ERRATA: Final[tuple[Erratum, ...]] = (
    Erratum(
        name="edge-of-32",
        note=notes.COURSE,
        place="Filters, Kernels, about Size: the formula and the diagram beneath it",
        kind="slip",
        printed="18 = (32 - 5)/1 + 1, and an output of 18 x 18 x 1",
        right="{0}, and {0} x {0} x 1".format(convolution_size(32, kernel=5)),
        why=f"(32 - 5)/1 + 1 = {convolution_size(32, kernel=5)}; the {convolution_size(32, kernel=3)} of the 3x3 "
        "filter beside it is right.",
    ),
    Erratum(
        name="vgg-layers",
        note=notes.COURSE,
        place="VGG Net",
        kind="slip",
        printed="152 layers for ImageNet.",
        right=f"{min(_DEPTHS)} to {max(_DEPTHS)} layers",
        why=f"VGG's deepest column, E, has {sum(VGG_DEPTHS['vgg19'])} convolutions and 3 dense layers. 152 layers has "
        "the deepest ResNet for ImageNet.",
    ),
    Erratum(
        name="shared-bias",
        note=notes.COURSE,
        place="Convolution Layers, step 4",
        kind="remark",
        printed="plus an (N-F+1) x (N-F+1) x 1 shared bias",
        right=f"{convolution((32, 32), in_channels=3, out_channels=1, kernel=5).biases} number for each filter",
        why="Shared means the same at every place. The summary at the top of the note counts it so: F·F·D·K + K.",
    ),
    Erratum(
        name="pooled-depth",
        note=notes.COURSE,
        place="Summary, Pool",
        kind="slip",
        printed="a volume of size ((W2-F)/S+1) x ((H2-F)/S+1)",
        right="((W2-F)/S+1) x ((H2-F)/S+1) x K",
        why="Pooling leaves the number of maps as it is, as the note says further down.",
    ),
    Erratum(
        name="basic-block",
        note=notes.ARCHITECTURES,
        place="ResNet, bottleneck",
        kind="slip",
        printed="3x3x256x256 * 2 = 11796496",
        right=f"{_BASIC:,}",
        why=f"9·256·256 = {_BASIC // 2:,}, and two of them. {_BOTTLENECK} for the bottleneck is right.",
    ),
    Erratum(
        name="sixteen-times",
        note=notes.ARCHITECTURES,
        place="ResNet, bottleneck",
        kind="remark",
        printed="16 times (16倍) the parameters",
        right=f"{_BASIC / _BOTTLENECK:.1f} times",
        why=f"{_BASIC:,} / {_BOTTLENECK:,} = {_BASIC / _BOTTLENECK:.2f}. From the printed 11796496 it would be "
        f"{11796496 / _BOTTLENECK:.0f} times.",
    ),
    Erratum(
        name="channels-once",
        note=notes.ARCHITECTURES,
        place="VGG",
        kind="remark",
        printed="3 * (C * 3 * 3) = 27C and 1 * (C * 7 * 7) = 49C",
        right=f"{3 * 3 * 3}C² and {7 * 7}C²",
        why="C·3·3 are the weights of one filter; a layer that keeps C channels has C of them. The ratio is the same.",
    ),
    Erratum(
        name="anchor-cells",
        note=notes.ARCHITECTURES,
        place="Feature Pyramid Networks, with Faster R-CNN",
        kind="remark",
        printed="an anchor of, for example, 5x5 cells is 512x512 pixels on the highest map, 32x32 on the largest",
        right="{0} x {0} cells".format(*{side // stride for stride, side in _FPN_ANCHORS.items()}),
        why="The strides are {} and {}: {}. 5 cells would be {} pixels.".format(
            *_FPN_ANCHORS,
            " and ".join(f"{side}/{stride} = {side // stride}" for stride, side in _FPN_ANCHORS.items()),
            " and ".join(str(5 * stride) for stride in _FPN_ANCHORS),
        ),
    ),
    Erratum(
        name="mbconv-expansion",
        note=notes.ARCHITECTURES,
        place="EfficientNet, MBConv",
        kind="slip",
        printed="a depthwise separable convolution enlarges the channels, then a pointwise one narrows them",
        right="a 1x1 convolution enlarges them",
        why="Then comes the depthwise one, which leaves their number as it is, and a 1x1 that narrows them.",
    ),
    Erratum(
        name="picture-of-244",
        note=notes.OVERVIEW,
        place="GoogLeNet V1, spatial dimensions up to the first inception module",
        kind="slip",
        printed=_stem(244),
        right=_stem(224),
        why="The network's pictures have 224 pixels a side. From 244 all the sizes are right.",
    ),
    Erratum(
        name="divided-by-two",
        note=notes.OVERVIEW,
        place="GoogLeNet V1, the same: both lines conv2",
        kind="slip",
        printed=f"⌊({_POOLED} + 2(0) - 1)/2 + 1⌋ = {_POOLED} and ⌊({_POOLED} + 2(1) - 3)/2 + 1⌋ = {_POOLED}",
        right=f"⌊({_POOLED} + 2(0) - 1)/1 + 1⌋ = {convolution_size(_POOLED, kernel=1)} and "
        f"⌊({_POOLED} + 2(1) - 3)/1 + 1⌋ = {convolution_size(_POOLED, kernel=3, padding=1)}",
        why=f"Both convolutions have stride 1. With the 2 that is printed it would be {_wrongly_halved(1, 0)} and "
        f"{_wrongly_halved(3, 1)}.",
    ),
    Erratum(
        name="resnet-from-244",
        note=notes.OVERVIEW,
        place="ResNet18, the first downsampling",
        kind="slip",
        printed=f"decreasing the spatial size to {_resnet(244)} x {_resnet(244)}",
        right="{0} x {0}".format(_resnet(224)),
        why=f"{_resnet(244)} is what a picture of 244 pixels leads to; 224 gives 112, 56 and then {_resnet(224)}.",
    ),
    Erratum(
        name="two-shortcuts",
        note=notes.OVERVIEW,
        place="ResNet18, the dotted skip connections",
        kind="remark",
        printed="a 1x1 convolution of stride 2, and then padding with zero channels",
        right="one or the other",
        why=f"The convolution makes all {_SHORTCUT.outputs[0]} channels (option B of the paper, 64·128 = "
        f"{_SHORTCUT.weights:,} weights); zero channels are option A.",
    ),
    Erratum(
        name="fc6-bias",
        note=notes.OVERVIEW,
        place="VGG16, the linear part, layer (0)",
        kind="slip",
        printed="7·7·512·4096 = 102,764,544",
        right=f"7·7·512·4096 + 4096 = {_FC6.parameters:,}",
        why=f"The product alone is {_FC6.weights:,}; the printed number has the {_FC6.biases:,} biases, the formula "
        "does not.",
    ),
    Erratum(
        name="alexnet-connections",
        note=notes.OVERVIEW,
        place="AlexNet",
        kind="remark",
        printed="~600 Million Connections",
        right=f"{sum(layer.macs for layer in _ALEXNET):,} without biases",
        why="On 227 x 227 pixels with the paper's two groups. The five convolutions alone have "
        f"{sum(layer.macs for layer in _ALEXNET if layer.kind == 'convolution'):,}.",
    ),
    Erratum(
        name="googlenet-parameters",
        note=notes.OVERVIEW,
        place="GoogleNet V1, Total Parameters",
        kind="remark",
        printed="~6 Million",
        right=f"{card('googlenet_paper').params:,}",
        why=f"In the paper, without auxiliary classifiers; {card('googlenet').params:,} in torchvision's form with 3x3 "
        "for 5x5.",
    ),
    Erratum(
        name="googlenet-depthwise",
        note=notes.OVERVIEW,
        place="GoogLeNet V1, So why does this work?",
        kind="slip",
        printed="Depth wise convolutions reduce the number of parameters",
        right="1x1 convolutions do",
        why="No convolution of GoogLeNet is depthwise or grouped: modules are joined along the depth.",
    ),
    Erratum(
        name="shufflenet-groups",
        note=notes.OVERVIEW,
        place="ShuffleNet V1, Importance",
        kind="slip",
        printed="GoogleLeNet's group convolutions",
        right="AlexNet's and ResNeXt's",
        why="GoogLeNet has none; ShuffleNet's paper names AlexNet, which introduced them, and ResNeXt.",
    ),
    Erratum(
        name="inception-v4-address",
        note=notes.OVERVIEW,
        place="GoogleNet, Iterations",
        kind="slip",
        printed="Inception-v4 at arxiv.org/pdf/1512.00567v3",
        right=card("inception_v4").url,
        why=f"{card('inception_v3').url.rsplit('/', 1)[1]} is the paper of Inception v2 and v3.",
    ),
    Erratum(
        name="resnet-parameters",
        note=notes.OVERVIEW,
        place="ResNets, Total Parameters",
        kind="remark",
        printed="~23 Million",
        right=f"{card('resnet50').params:,}",
        why="That of ResNet-50 with its 1,000 classes; "
        f"{card('resnet50').params - dense(2048, 1000).parameters:,} are those without the dense layer.",
    ),
    Erratum(
        name="mobilenet-v2-year",
        note=notes.OVERVIEW,
        place="MobileNet V2",
        kind="remark",
        printed="MobileNet V2 (2019)",
        right=f"{card('mobilenet_v2').year}",
        why=f"arXiv {card('mobilenet_v2').url.rsplit('/', 1)[1]} is of January 2018, as its number says, and appeared "
        "at CVPR 2018; it was revised after that.",
    ),
    Erratum(
        name="mobilenet-v2-layers",
        note=notes.OVERVIEW,
        place="MobileNet V2, Overall Architecture",
        kind="slip",
        printed="53 total layers (not including the avgpool and conv2d layers)",
        right=f"{_MOBILENET_V2_BLOCKS + 3} with its conv2d layers",
        why=f"The bottlenecks have {_MOBILENET_V2_BLOCKS} convolutions; with the first, the last and the classifier "
        f"there are {_MOBILENET_V2_BLOCKS + 3}.",
    ),
    Erratum(
        name="mobilenet-v2-cost",
        note=notes.OVERVIEW,
        place="MobileNet V2",
        kind="remark",
        printed="The computational cost can be calculated as .",
        right="h·w·t·d·(d + k² + d')",
        why="Expansion, depthwise and projection: 14·14·6·64·(64 + 9 + 64) = "
        f"{compare_costs('inverted-residual-macs')[0].cheaper.value:,} for 64 channels and t = 6.",
    ),
    Erratum(
        name="paper-titles",
        note=notes.OVERVIEW,
        place="LeNet-5, ResNets, ResNeXt: Paper",
        kind="slip",
        printed="Gradient-based learning applied to document learning; Deep residual networks for image recognition; "
        "Aggregated Residual Transformers for Deep Neural Networks",
        right="; ".join(card(name).title for name in ("lenet5", "resnet50", "resnext50_32x4d")),
        why="Recognition, not learning; learning, not networks; transformations, not transformers.",
    ),
    Erratum(
        name="batch-norm-names",
        note=notes.OVERVIEW,
        place="Remark on batch normalization",
        kind="slip",
        printed="two learnable parameters λ and β",
        right="gamma and beta",
        why="The paper scales by gamma and shifts by beta. 2C parameters is right.",
    ),
    Erratum(
        name="one-channel-filters",
        note=notes.MODELS,
        place="1x1 Filter?",
        kind="slip",
        printed="an ordinary filter works on a single channel only",
        right="on all channels",
        why="A 3x3 filter on RGB has 3·3·3 = "
        f"{convolution((8, 8), in_channels=3, out_channels=1, kernel=3, bias=False).weights} weights, as the note's "
        "own 3x3x8 filters do on 8 channels.",
    ),
    Erratum(
        name="squeezenet-pooling",
        note=notes.MODELS,
        place="SqueezeNet",
        kind="slip",
        printed="max pooling of 2x2, stride 2",
        right="3 x 3, stride 2",
        why="Table 1 of the paper: maxpool 3x3/2, three times.",
    ),
    Erratum(
        name="search-time",
        note=notes.MODELS,
        place="NASNet",
        kind="remark",
        printed="several hundred (幾百個) GPU days",
        right=f"{_GPUS * _DAYS:,}",
        why=f"The search took {_GPUS} GPUs {_DAYS} days (Zoph et al. 2018, whose text calls that GPU-hours).",
    ),
    Erratum(
        name="unlike-ends",
        note=notes.MODELS,
        place="MobileNet, inverted residual bottleneck",
        kind="remark",
        printed="from ResNet's 1.1M down to 52k",
        right=f"{_ENDS.dearer.value:,} and {_ENDS.cheaper.value:,}",
        why=f"1024-256-1024 and 64-384-64 give these figures: the ends have {1024 // 64} times fewer channels in the "
        "second.",
    ),
    Erratum(
        name="same-head",
        note=notes.MODELS,
        place="VGG19",
        kind="remark",
        printed="the same prediction head as AlexNet",
        right=f"{_HEAD:,} parameters beside {total_parameters(_ALEXNET_HEAD):,}",
        why="The same three dense layers of 4096, 4096 and 1000, but VGG's first reads 7·7·512 = "
        f"{7 * 7 * 512:,} values, AlexNet's 6·6·256 = {_ALEXNET_HEAD[0].inputs[0]:,}.",
    ),
)
