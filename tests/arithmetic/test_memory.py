"""Memory in closed form, against what torch keeps and allocates."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from convatlas.arithmetic import (
    Layer,
    batch_norm,
    complexity,
    convolution,
    dense,
    inference_memory,
    kept_for_backward,
    pooling,
    tensor_bytes,
    training_memory,
    vgg_layers,
)
from convatlas.arithmetic.memory import BYTES
from convatlas.errors import UsageError

pytestmark = pytest.mark.row("A-04")

BATCH = 4


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(32 * 8 * 8, 64), nn.ReLU(),
        nn.Linear(64, 10),
    )  # fmt: skip


def layers() -> tuple[Layer, ...]:
    """The same by hand."""
    side, half = (32, 32), (16, 16)
    return (
        convolution(side, in_channels=3, out_channels=16, kernel=3, padding=1, name="conv1"),
        convolution(side, in_channels=16, out_channels=16, kernel=3, padding=1, name="conv2"),
        pooling(side, channels=16, kernel=2),
        convolution(half, in_channels=16, out_channels=32, kernel=3, padding=1, bias=False, name="conv3"),
        batch_norm(32, half),
        pooling(half, channels=32, kernel=2),
        dense(32 * 8 * 8, 64),
        dense(64, 10),
    )


def kept_bytes(module: nn.Module, pictures: Tensor, targets: Tensor) -> int:
    """The bytes of the batch that autograd keeps, each storage once; parameters and targets are there anyway."""
    kept: dict[int, int] = {}
    known = {tensor.untyped_storage().data_ptr() for tensor in (*module.parameters(), *module.buffers(), targets)}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known and tensor.numel() >= len(pictures) * 10:  # not BatchNorm's 32 means
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = F.cross_entropy(module(pictures), targets)
    assert loss.requires_grad
    return sum(kept.values())


def test_autograd_keeps_what_the_closed_form_says() -> None:
    torch.manual_seed(0)
    pictures, targets = torch.randn(BATCH, 3, 32, 32), torch.arange(BATCH)
    assert kept_bytes(network(), pictures, targets) == kept_for_backward(layers(), batch=BATCH)


def test_in_half_the_bytes_all_but_the_positions_of_maxima_halve() -> None:
    whole, half = kept_for_backward(layers()), kept_for_backward(layers(), dtype="bfloat16")
    positions = 8 * (16 * 16 * 16 + 32 * 8 * 8)
    assert half == (whole - positions) / 2 + positions


def peak_bytes(call) -> int:
    """The most bytes that torch's processor allocator held at once beyond what it held before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        call()
    held = peak = 0
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak


def test_the_measured_peak_of_prediction() -> None:
    """With channels last, where a convolution need not copy its input into another layout first."""
    module = network().eval().to(memory_format=torch.channels_last)
    pictures = torch.randn(16, 3, 32, 32).to(memory_format=torch.channels_last)
    predicted = inference_memory(layers(), batch=16)
    with torch.inference_mode():
        module(pictures)
        measured = peak_bytes(lambda: module(pictures))
    assert predicted.largest == "conv2"
    assert predicted.weights == 4 * sum(parameter.numel() for parameter in module.parameters())
    assert predicted.activations <= measured <= 1.02 * predicted.activations


@pytest.mark.parametrize("batch", [16, 64])
def test_the_measured_peak_of_a_training_step(batch: int) -> None:
    """Beyond what is kept there are the gradients of the maps that the backward pass is at: here a fifth."""
    torch.manual_seed(0)
    module, pictures, targets = network(), torch.randn(batch, 3, 32, 32), torch.arange(batch) % 10
    F.cross_entropy(module(pictures), targets).backward()
    module.zero_grad()
    measured = peak_bytes(lambda: F.cross_entropy(module(pictures), targets).backward())
    kept = kept_for_backward(layers(), batch=batch) - pictures.nbytes  # the pictures were there before
    parameters = sum(layer.parameters for layer in layers())
    predicted = training_memory(parameters=parameters, activations=kept)
    assert predicted.weights == predicted.gradients == 4 * parameters
    assert 1 < measured / (predicted.activations + predicted.gradients) < 1.25


@pytest.mark.parametrize(
    ("optimizer", "make"),
    [
        ("sgd", lambda parameters: torch.optim.SGD(parameters, lr=0.1)),
        ("momentum", lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9)),
        ("rmsprop", lambda parameters: torch.optim.RMSprop(parameters, lr=0.1)),
        ("rmsprop-momentum", lambda parameters: torch.optim.RMSprop(parameters, lr=0.1, momentum=0.9)),
        ("adam", lambda parameters: torch.optim.Adam(parameters, lr=0.1)),
        ("adamw", lambda parameters: torch.optim.AdamW(parameters, lr=0.1)),
    ],
)
def test_what_optimisers_remember(optimizer: str, make) -> None:
    module = nn.Linear(30, 20)
    stepper = make(module.parameters())
    module(torch.ones(1, 30)).sum().backward()
    stepper.step()
    held = sum(
        value.nbytes
        for state in stepper.state.values()
        for value in state.values()
        if isinstance(value, Tensor) and value.dim()  # not the counter of steps
    )
    memory = training_memory(parameters=620, activations=0, optimizer=optimizer)
    assert (memory.weights, memory.gradients, memory.optimizer) == (2480, 2480, held)
    assert memory.total == 4960 + held


def test_vgg16_by_hand() -> None:
    """CS231n's sheet on VGGNet: 138 M parameters and about 15 M values a picture, at 4 bytes each."""
    found = complexity(vgg_layers())
    assert (found.macs, found.parameters, found.activations) == (15_470_264_320, 138_357_544, 15_087_080)
    assert found.stored == 138_357_544 + 15_087_080
    memory = inference_memory(vgg_layers())
    assert memory.largest == "conv1_2"
    assert memory.activations == 2 * 64 * 224 * 224 * 4
    assert memory.total == memory.weights + memory.activations


@pytest.mark.parametrize("dtype", sorted(BYTES))
def test_bytes_of_a_tensor(dtype: str) -> None:
    assert tensor_bytes((2, 3, 5), dtype) == torch.empty(2, 3, 5, dtype=getattr(torch, dtype)).nbytes


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tensor_bytes((2, -1)), "shape must be"),
        (lambda: tensor_bytes((2,), "float23"), 'dtype must be one of .*not "float23".*Did you mean "float32"'),
        (lambda: kept_for_backward((), batch=1), "layers must hold"),
        (lambda: kept_for_backward(layers(), batch=0), "batch must be"),
        (lambda: inference_memory(layers(), dtype="half"), "dtype must be one of"),
        (lambda: training_memory(parameters=-1, activations=0), "parameters must be"),
        (lambda: training_memory(parameters=1, activations=0.5), "activations must be"),
        (
            lambda: training_memory(parameters=1, activations=0, optimizer="adamm"),
            'optimizer must .*Did you mean "adam',
        ),
    ],
)
def test_refusals_name_the_field(call, message) -> None:
    with pytest.raises(UsageError, match=message):
        call()
