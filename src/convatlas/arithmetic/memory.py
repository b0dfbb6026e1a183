"""What a network computes and stores: its complexity, and the memory that prediction and training take.

Bytes, without what a library adds: work space of convolutions, what the allocator keeps, the program itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from convatlas.arithmetic.axes import whole
from convatlas.arithmetic.layers import Layer
from convatlas.errors import UsageError, did_you_mean

BYTES: Final = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint8": 1,
    "bool": 1,
}

# Numbers that an optimiser remembers for each parameter. AMSGrad, centred RMSProp and the like need one more.
OPTIMIZER_STATES: Final = {"sgd": 0, "momentum": 1, "rmsprop": 1, "rmsprop-momentum": 2, "adam": 2, "adamw": 2}

POSITION_BYTES: Final = 8  # torch notes the place of each maximum as an int64


@dataclass(frozen=True, kw_only=True)
class Complexity:
    """计算复杂度 and 存储复杂度: what one picture costs to compute, and what there is to store."""

    macs: int  # Σ W H K² C M / g
    parameters: int  # Σ K² C M / g + M
    activations: int  # Σ W H M: the values of all layers

    @property
    def stored(self) -> int:
        """Parameters and activations: numbers, not bytes."""
        return self.parameters + self.activations


@dataclass(frozen=True, kw_only=True)
class InferenceMemory:
    """Bytes while a chain of layers predicts: nothing is kept but what the next layer reads.

    A kernel that first copies its input into a layout of its own needs that map once more.
    """

    weights: int
    activations: int  # of the layer whose input and output are largest together
    largest: str  # that layer's name, or its kind where it has none

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.activations


@dataclass(frozen=True, kw_only=True)
class TrainingMemory:
    """Bytes of what training must hold at once.

    The gradients of the maps that the backward pass is just at come on top, as what it has passed is freed: measured,
    a fifth more for a small chain.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.optimizer + self.activations


def complexity(layers: Sequence[Layer]) -> Complexity:
    """Multiply-accumulates, parameters and values of a network, one picture."""
    return Complexity(
        macs=sum(layer.macs for layer in layers),
        parameters=sum(layer.parameters for layer in layers),
        activations=sum(layer.neurons for layer in layers),
    )


def tensor_bytes(shape: Sequence[int], dtype: str = "float32") -> int:
    """tensor_bytes((64, 112, 112)) -> 3,211,264. Raises UsageError for a negative side or an unknown dtype."""
    return math.prod(whole("shape", side, 0) for side in shape) * value_bytes("dtype", dtype)


def value_bytes(field: str, dtype: str) -> int:
    """The bytes of one number. Raises UsageError naming the field for an unknown dtype."""
    if dtype not in BYTES:
        raise UsageError(f'{field} must be one of {", ".join(BYTES)}, not "{dtype}".{did_you_mean(str(dtype), BYTES)}')
    return BYTES[dtype]


def inference_memory(layers: Sequence[Layer], *, batch: int = 1, dtype: str = "float32") -> InferenceMemory:
    """A chain of layers, each reading the one before it: the weights, and the input and output of the largest layer."""
    each = value_bytes("dtype", dtype)
    largest = max(_filled(layers), key=lambda layer: math.prod(layer.inputs) + layer.neurons)
    return InferenceMemory(
        weights=sum(layer.parameters for layer in layers) * each,
        activations=(math.prod(largest.inputs) + largest.neurons) * each * whole("batch", batch, 1),
        largest=largest.name or largest.kind,
    )


def kept_for_backward(layers: Sequence[Layer], *, batch: int = 1, dtype: str = "float32") -> int:
    """The bytes that a chain of layers keeps from its forward pass until its backward pass.

    The picture and every layer's output once: the next layer needs it as its input, or the ReLU after it as its
    result, which are the same numbers. Each max pooling also keeps where its maxima were, 8 bytes each. Dropout's masks
    are left out.
    """
    each = value_bytes("dtype", dtype)
    values = math.prod(_filled(layers)[0].inputs) + sum(layer.neurons for layer in layers)
    positions = sum(layer.neurons for layer in layers if layer.kind == "max pooling")
    return whole("batch", batch, 1) * (values * each + positions * POSITION_BYTES)


def training_memory(
    *,
    parameters: int,
    activations: int,
    optimizer: str = "sgd",
    dtype: str = "float32",
) -> TrainingMemory:
    """What training holds: weights, gradients, the optimiser's memory, and what is kept for the backward pass.

    parameters: how many are trained.
    activations: bytes of the whole batch, such as `kept_for_backward` gives them; with autocast about half, while
    weights, gradients and the optimiser stay in float32.
    optimizer: "sgd", "momentum", "rmsprop", "rmsprop-momentum", "adam" or "adamw": what it remembers of each parameter.
    dtype: that of weights, gradients and the optimiser's memory.

    Raises UsageError for negative counts and unknown names.
    """
    if optimizer not in OPTIMIZER_STATES:
        known = ", ".join(OPTIMIZER_STATES)
        raise UsageError(
            f'optimizer must be one of {known}, not "{optimizer}".{did_you_mean(str(optimizer), OPTIMIZER_STATES)}'
        )
    weights = whole("parameters", parameters, 0) * value_bytes("dtype", dtype)
    return TrainingMemory(
        weights=weights,
        gradients=weights,
        optimizer=weights * OPTIMIZER_STATES[optimizer],
        activations=whole("activations", activations, 0),
    )


def _filled(layers: Sequence[Layer]) -> Sequence[Layer]:
    if not layers:
        raise UsageError("layers must hold one layer or more")
    return layers
