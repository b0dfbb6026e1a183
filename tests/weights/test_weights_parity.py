"""Weights of torchvision's and timm's own constructors, at random values, give the outputs that those networks give."""

from collections.abc import Iterable, Iterator

import pytest
import timm
import torch
import torchvision
from timm.layers import AvgPool2dSame
from torch import nn

from convatlas.models import create_model
from convatlas.weights import list_weights
from convatlas.weights.fetch import fetch_weights
from convatlas.weights.load import load_weights
from convatlas.weights.names import our_names
from convatlas.weights.read import read_state_dict


def cases(of: Iterable[tuple[str, str, dict[str, object]]], *, quick: set[str]) -> list[object]:
    """(their name, our network, its changes), each once; all but `quick` for `make test-all` alone."""
    once = {case[0]: case for case in of}
    marks = {True: (), False: pytest.mark.every_variant}
    return [pytest.param(*case, id=name, marks=marks[name in quick]) for name, case in once.items()]


# Every network that has a published set, and timm's other ones that are ours.
TORCHVISION = cases(
    (
        (each.key.split("/")[1], each.model, dict(each.changes))
        for each in list_weights("torchvision/*")
        if each.model != "vit_h_14"  # ten gigabytes: in test_vit.py, with two of its layers
    ),
    quick={"resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "mnasnet0_5", "efficientnet_b0"},
)
TIMM = cases(
    [
        *((f"vgg{kind}", f"vgg{kind}", {}) for kind in ("11", "13", "16", "19", "11_bn", "13_bn", "16_bn", "19_bn")),
        ("mobilenetv2_035", "mobilenet_v2", {"width": 0.35}),
        ("mobilenetv3_large_075", "mobilenet_v3_large", {"width": 0.75, "norm_eps": 1e-5}),
        ("semnasnet_140", "mnasnet_a1", {"width": 1.4}),
        ("mnasnet_140", "mnasnet_b1", {"width": 1.4}),
        ("mobilenetv2_075", "mobilenet_v2", {"width": 0.75}),
        ("efficientnet_b6", "efficientnet_b6", {"norm_eps": 1e-5}),
        ("efficientnet_b7", "efficientnet_b7", {"norm_eps": 1e-5}),
        *((each.key.split("/")[1].split(".")[0], each.model, dict(each.changes)) for each in list_weights("timm/*")),
    ],
    quick={
        "mobilenetv1_100",
        "mobilenetv2_050",
        "mobilenetv3_small_075",
        "mnasnet_small",
        "efficientnet_b0",
        "tf_efficientnet_lite0",
        "vit_tiny_patch16_224",
    },
)


def scrambled(network: nn.Module) -> nn.Module:
    """The network in float64, its normalisations no identities, so that each tensor matters."""
    network = network.double().eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(std=0.2)
                module.running_mean.normal_(std=0.2)
                module.running_var.uniform_(0.5, 1.5)
            elif isinstance(module, nn.LayerNorm):
                module.weight.uniform_(0.5, 1.5)
        for parameter in network.parameters():
            if not parameter.any():  # biases, and ViT's classifier
                parameter.normal_(std=0.02)
    return network


class AverageOfPixels(nn.AvgPool2d):
    """timm's average pooling with TensorFlow's padding, without counting that padding as black pixels, as it does."""

    def __init__(self, module: AvgPool2dSame) -> None:
        super().__init__(module.kernel_size[0], module.stride[0], ceil_mode=True, count_include_pad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Of 3x3 with stride 2: an odd side is padded at both ends, an even one at its end, as rounding up does.
        self.padding = (x.shape[2] % 2, x.shape[3] % 2)
        return super().forward(x)


def as_tensorflow(network: nn.Module) -> nn.Module:
    """timm's network with the average pooling of the network that its weights come from: NASNet's alone has it."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, AvgPool2dSame):
                setattr(parent, name, AverageOfPixels(child))
    return network


def assert_equal_outputs(ours: nn.Module, theirs: nn.Module) -> None:
    side = max(45, getattr(ours, "smallest", 45))
    wider = 0 if hasattr(ours.config, "image_size") else 9  # odd and even sides on the way tell paddings apart
    x = torch.randn(1, 3, side, side + wider, dtype=torch.float64)
    with torch.no_grad():
        wanted, got = theirs(x), ours.double().eval()(x)
    assert wanted.std() > 1e-6
    assert (got - wanted).abs().max() <= 1e-10 * wanted.abs().max()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors: where cores are shared, threads wait for each other a thousand times longer than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.mark.filterwarnings("ignore:The default weight initialization of")  # of googlenet and inception_v3: not used
@pytest.mark.parametrize(("name", "model", "changes"), TORCHVISION)
def test_torchvision_weights_give_torchvisions_outputs(name: str, model: str, changes: dict[str, object]) -> None:
    size = {field: value for field, value in changes.items() if field == "image_size"}  # which theirs takes too
    theirs = scrambled(torchvision.models.get_model(name, weights=None, **size))
    ours = create_model(model, **changes).double()
    assert load_weights(ours, theirs.state_dict(), source="torchvision").fresh == ()
    assert_equal_outputs(ours, theirs)


@pytest.mark.parametrize(("name", "model", "changes"), TIMM)
def test_timm_weights_give_timms_outputs(name: str, model: str, changes: dict[str, object]) -> None:
    theirs = scrambled(as_tensorflow(timm.create_model(name, pretrained=False)))
    ours = create_model(model, **changes).double()
    load_weights(ours, theirs.state_dict(), source="timm")
    assert_equal_outputs(ours, theirs)


def test_the_packaged_lite0_gives_the_outputs_that_timm_gives_with_it() -> None:
    path = fetch_weights("package/efficientnet_lite0", offline=True).path
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    # The same tensors in the same order; the names differ.
    theirs.load_state_dict(dict(zip(theirs.state_dict(), read_state_dict(path).values(), strict=True)))
    ours = create_model("efficientnet_lite0")
    load_weights(ours, path, source="efficientnet_pytorch")
    assert_equal_outputs(ours, theirs.double().eval())


def test_efficientnet_pytorch_names_with_squeeze_and_excitation() -> None:
    """By the port's published names: each module of B0 has one, and their tensors arrive where they belong."""
    network = create_model("efficientnet_b0")
    own = network.state_dict()
    theirs = {
        "_conv_stem.weight": "stem.conv.weight",
        "_blocks.0._se_reduce.bias": "stages.0.0.se.squeeze.bias",
        "_blocks.3._se_expand.weight": "stages.2.0.se.excite.weight",
        "_blocks.15._project_conv.weight": "stages.6.0.project.conv.weight",
        "_bn1.running_var": "head.last.bn.running_var",
        "_fc.bias": "head.fc.bias",
    }
    assert our_names(network, theirs, "efficientnet_pytorch") == theirs
    assert set(theirs.values()) <= set(own)
