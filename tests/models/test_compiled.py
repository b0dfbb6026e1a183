"""Every network of the catalog as one graph of torch.compile, against the network.

Each design's short form is compiled to learn, its gradients with it; with `every_variant` every network as it is, to
answer: what a graph of gradients adds is the same for each block.
"""

import pytest
import torch

from tests.models.members import SHORTER, images, settled, traced

# A chain, response normalisation, branches, shortcuts, zero-padded ones, concatenation, groups and shuffles, separable
# convolutions, squeeze-and-excitation, padding that depends on the size, attention.
COMPILED = {
    "lenet5",
    "zfnet",
    "googlenet",
    "resnet18",
    "resnet20_cifar",
    "densenet121",
    "shufflenet_v1_g3",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "efficientnet_lite0",
    "vit_ti_16",
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@traced(always=COMPILED)  # what export can follow, the compiler can
def test_compiles_as_one_graph(name, changes):
    torch.compiler.reset()
    network = settled(name, **changes)
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    x = images(name)
    with torch.set_grad_enabled(changes == SHORTER.get(name)):
        expected = network(x)
        torch.testing.assert_close(compiled(x), expected)
        if expected.requires_grad:
            first = next(network.parameters())
            torch.testing.assert_close(
                torch.autograd.grad(compiled(x).square().mean(), first),
                torch.autograd.grad(expected.square().mean(), first),
            )
