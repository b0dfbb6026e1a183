"""Weights of torchvision's and timm's own constructors, at random values, give the outputs that those networks give."""

from collections.abc import Iterable, Iterator

import pytest
import timm
import torch
from benchmarks.peers import Pair, largest_difference, timm_pairs, torchvision_pairs

from convatlas.models import create_model
from convatlas.weights.fetch import fetch_weights
from convatlas.weights.load import load_weights
from convatlas.weights.names import our_names
from convatlas.weights.read import read_state_dict


def cases(of: Iterable[Pair], *, quick: set[str]) -> list[object]:
    """All but `quick`, their names, for `make test-all` alone."""
    marks = {True: (), False: pytest.mark.every_variant}
    return [pytest.param(pair, id=pair.name, marks=marks[pair.name in quick]) for pair in of]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors: where cores are shared, threads wait for each other a thousand times longer than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.mark.filterwarnings("ignore:The default weight initialization of")  # of googlenet and inception_v3: not used
@pytest.mark.parametrize(
    "pair",
    cases(
        torchvision_pairs(),
        quick={"resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "mnasnet0_5", "efficientnet_b0"},
    ),
)
def test_torchvision_weights_give_torchvisions_outputs(pair: Pair) -> None:
    assert largest_difference(pair) <= 1e-10


@pytest.mark.parametrize(
    "pair",
    cases(
        timm_pairs(),
        quick={
            "mobilenetv1_100",
            "mobilenetv2_050",
            "mnasnet_small",
            "efficientnet_b0",
            "tf_efficientnet_lite0",
            "vit_tiny_patch16_224",
        },
    ),
)
def test_timm_weights_give_timms_outputs(pair: Pair) -> None:
    assert largest_difference(pair) <= 1e-10


def test_the_packaged_lite0_gives_the_outputs_that_timm_gives_with_it() -> None:
    path = fetch_weights("package/efficientnet_lite0", offline=True).path
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    # The same tensors in the same order; the names differ.
    theirs.load_state_dict(dict(zip(theirs.state_dict(), read_state_dict(path).values(), strict=True)))
    ours = create_model("efficientnet_lite0")
    load_weights(ours, path, source="efficientnet_pytorch")
    x = torch.randn(1, 3, 45, 54, dtype=torch.float64)
    with torch.no_grad():
        wanted, got = theirs.double().eval()(x), ours.double().eval()(x)
    assert wanted.std() > 1e-6
    assert (got - wanted).abs().max() <= 1e-10 * wanted.abs().max()


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
