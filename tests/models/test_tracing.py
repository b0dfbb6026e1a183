"""What tracers make of every network of the catalog: torch.export, ONNX and torch.compile, each against the network.

The smallest member of each design is tried in a short form, and with `every_variant` all of them as they are.
"""

import io

import onnxruntime
import pytest
import torch

from convatlas.catalog import card
from tests.models.members import (
    ALWAYS,
    NAMES,
    SHORTER,
    images,
    marked,
    settled,
    with_auxiliary,
)

TOO_LONG_TO_TRACE = {"resnet1202_cifar"}  # 600 blocks that are all alike: minutes

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

traced = pytest.mark.parametrize(
    ("name", "changes"),
    [
        *SHORTER.items(),
        *(marked(name, {}) for name in NAMES if SHORTER.get(name) != {} and name not in TOO_LONG_TO_TRACE),
    ],
)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def test_each_design_is_traced_in_a_short_form():
    assert set(SHORTER) == set(ALWAYS)


@traced
def test_torch_export_and_onnx_agree_for_any_batch(name, changes):
    network = settled(name, **changes)
    program = torch.export.export(network, (images(name),), dynamic_shapes=({0: torch.export.Dim("N", min=1)},))
    x = images(name, count=5)
    with torch.no_grad():
        expected = network(x)
        torch.testing.assert_close(program.module()(x), expected)
    graph = io.BytesIO()
    torch.onnx.export(program, dynamo=True, verbose=False).save(graph)
    session = onnxruntime.InferenceSession(graph.getvalue(), providers=["CPUExecutionProvider"])
    (answers,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    # Another library adds up in another order: it may be about as far from what float64 gives as torch's float32 is,
    # which a hundred layers of random weights bring to 7e-4 of the largest output, or the exporter's own bound.
    with torch.no_grad():
        exact = network.double()(x.double())
    bound = max(4 * (expected - exact).abs().max().item(), 1e-4 * exact.abs().max().item())
    assert (torch.from_numpy(answers) - exact).abs().max() <= bound


# What export can follow, the compiler can: in `make test` it shows that on one design of each kind.
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        *((name, each) if name in COMPILED else marked(name, each) for name, each in SHORTER.items()),
        *(marked(name, {}) for name in NAMES if SHORTER.get(name) != {} and name not in TOO_LONG_TO_TRACE),
    ],
)
def test_compiles_as_one_graph(name, changes):
    torch.compiler.reset()
    network = settled(name, **changes)
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    x = images(name)
    torch.testing.assert_close(compiled(x), network(x))


@with_auxiliary("googlenet", "inception_v3")
def test_auxiliary_classifiers_are_traced_too(name, changes):
    side = card(name).input[1]
    network = settled(name, side=side, aux=True, **changes)
    x = images(name, count=3, side=side)
    program = torch.export.export(network, (x,), dynamic_shapes=({0: torch.export.Dim("N", min=1)},))
    torch.compiler.reset()
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        answers = network(x)
        for others in (program.module()(x), compiled(x)):
            assert type(others) is type(answers)
            torch.testing.assert_close(others, answers)
