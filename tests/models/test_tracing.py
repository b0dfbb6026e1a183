"""What torch.export and ONNX make of every network of the catalog, each against the network.

The smallest member of each design is tried in a short form, and with `every_variant` all of them as they are.
"""

import copy
import functools
import io

import onnxruntime
import pytest
import torch
from torch import nn

from convatlas.catalog import card
from tests.models.members import ALWAYS, SHORTER, images, settled, traced, with_auxiliary

ANY_BATCH = ({0: torch.export.Dim("N", min=1)},)

LONG_IN_ONNX = {"inception_v4", "mnasnet_small", "nasnet_mobile", "shufflenet_v2_large"}  # seconds each


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def test_each_design_is_traced_in_a_short_form():
    assert set(SHORTER) == set(ALWAYS)


@functools.lru_cache(maxsize=1)  # the tests of one network follow each other (conftest.py)
def exported(name: str, changes: tuple[tuple[str, object], ...]) -> tuple[nn.Module, torch.export.ExportedProgram]:
    network = settled(name, **dict(changes))
    with torch.random.fork_rng():
        return network, torch.export.export(network, (images(name),), dynamic_shapes=ANY_BATCH)


@traced(always=ALWAYS)
def test_torch_export_agrees_for_any_batch(name, changes):
    network, program = exported(name, tuple(changes.items()))
    x = images(name, count=5)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(x), network(x))


@traced(always=set(ALWAYS) - LONG_IN_ONNX)
def test_onnx_agrees_for_any_batch(name, changes):
    network, program = exported(name, tuple(changes.items()))
    graph = io.BytesIO()
    torch.onnx.export(program, dynamo=True, verbose=False).save(graph)
    session = onnxruntime.InferenceSession(graph.getvalue(), providers=["CPUExecutionProvider"])
    x = images(name, count=5)
    (answers,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    # Another library adds up in another order: it may be about as far from what float64 gives as torch's float32 is,
    # which a hundred layers of random weights bring to 7e-4 of the largest output, or the exporter's own bound.
    with torch.no_grad():
        expected = network(x)
        exact = copy.deepcopy(network).double()(x.double())
    bound = max(4 * (expected - exact).abs().max().item(), 1e-4 * exact.abs().max().item())
    assert (torch.from_numpy(answers) - exact).abs().max() <= bound


@with_auxiliary("googlenet", "inception_v3")
def test_auxiliary_classifiers_are_traced_too(name, changes):
    side = card(name).input[1]
    network = settled(name, side=side, aux=True, **changes)
    x = images(name, count=3, side=side)
    program = torch.export.export(network, (x,), dynamic_shapes=ANY_BATCH)
    torch.compiler.reset()
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        answers = network(x)
        for others in (program.module()(x), compiled(x)):
            assert type(others) is type(answers)
            torch.testing.assert_close(others, answers)
