"""Activations: what makes a network more than one linear layer. Each with its derivative, number by number.

Any shape in, the same shape out. At a kink (ReLU at 0) the derivative is the one on the flat side. Backwards an
activation is one product: dL/dx = dL/dy * derivative(x).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from convatlas.arithmetic.scratch.checks import Array, floats


def sigmoid(x: ArrayLike) -> Array:
    """1 / (1 + exp(-x)), within 0..1."""
    x = floats("x", x)
    small = np.exp(-np.abs(x))  # never above 1: exp(-x) itself would overflow for x far below 0
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def sigmoid_derivative(x: ArrayLike) -> Array:
    """s (1 - s) with s = sigmoid(x): 1/4 at most, at 0, and hardly anything beyond 5. Deep stacks of it fall silent."""
    s = sigmoid(x)
    return s * (1 - s)


def tanh(x: ArrayLike) -> Array:
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x)) = 2 sigmoid(2x) - 1, within -1..1."""
    return np.tanh(floats("x", x))


def tanh_derivative(x: ArrayLike) -> Array:
    """1 - tanh(x)^2: 1 at 0."""
    return 1 - tanh(x) ** 2


def scaled_tanh(x: ArrayLike) -> Array:
    """LeNet-5's 1.7159 tanh(2x / 3): passes through (1, 1) and (-1, -1) (LeCun et al. 1998, Appendix A)."""
    x = floats("x", x)
    return x.dtype.type(1.7159) * np.tanh(x * x.dtype.type(2 / 3))


def scaled_tanh_derivative(x: ArrayLike) -> Array:
    """1.7159 * 2/3 * (1 - tanh(2x / 3)^2): 1.144 at 0."""
    x = floats("x", x)
    return x.dtype.type(1.7159 * 2 / 3) * (1 - np.tanh(x * x.dtype.type(2 / 3)) ** 2)


def relu(x: ArrayLike) -> Array:
    """max(x, 0)."""
    x = floats("x", x)
    return np.maximum(x, x.dtype.type(0))


def relu_derivative(x: ArrayLike) -> Array:
    """1 above 0, else 0: what passes, passes undamped."""
    return _where(floats("x", x), above=0)


def relu6(x: ArrayLike) -> Array:
    """min(max(x, 0), 6): bounded, so that few bits hold it (MobileNetV2)."""
    x = floats("x", x)
    return np.clip(x, x.dtype.type(0), x.dtype.type(6))


def relu6_derivative(x: ArrayLike) -> Array:
    """1 between 0 and 6, else 0."""
    return _where(floats("x", x), above=0, below=6)


def silu(x: ArrayLike) -> Array:
    """x sigmoid(x), also called swish: smooth, with a minimum of -0.278 at -1.278 (EfficientNet)."""
    return floats("x", x) * sigmoid(x)


def silu_derivative(x: ArrayLike) -> Array:
    """s (1 + x (1 - s)) with s = sigmoid(x)."""
    x = floats("x", x)
    s = sigmoid(x)
    return s * (1 + x * (1 - s))


def h_sigmoid(x: ArrayLike) -> Array:
    """relu6(x + 3) / 6: sigmoid in three straight lines (MobileNetV3)."""
    x = floats("x", x)
    return relu6(x + x.dtype.type(3)) / x.dtype.type(6)


def h_sigmoid_derivative(x: ArrayLike) -> Array:
    """1/6 between -3 and 3, else 0."""
    x = floats("x", x)
    return _where(x, above=-3, below=3) / x.dtype.type(6)


def h_swish(x: ArrayLike) -> Array:
    """x h_sigmoid(x): SiLU without an exponential (MobileNetV3)."""
    return floats("x", x) * h_sigmoid(x)


def h_swish_derivative(x: ArrayLike) -> Array:
    """0 up to -3, (2x + 3) / 6 between, 1 from 3."""
    x = floats("x", x)
    return h_sigmoid(x) + x * h_sigmoid_derivative(x)


@dataclass(frozen=True, kw_only=True)
class Activation:
    """A function and its derivative, and how both are written. `kinks`: where the derivative jumps."""

    name: str
    formula: str
    derivative_formula: str
    function: Callable[[ArrayLike], Array]
    derivative: Callable[[ArrayLike], Array]
    kinks: tuple[float, ...] = ()

    def backward(self, grad: ArrayLike, x: ArrayLike) -> Array:
        """dL/dy and the input, of one shape -> dL/dx."""
        return floats("grad", grad) * self.derivative(x)


ACTIVATIONS = (
    Activation(
        name="sigmoid",
        formula="s = 1 / (1 + exp(-x))",
        derivative_formula="s (1 - s)",
        function=sigmoid,
        derivative=sigmoid_derivative,
    ),
    Activation(
        name="tanh", formula="tanh x", derivative_formula="1 - tanh² x", function=tanh, derivative=tanh_derivative
    ),
    Activation(
        name="scaled tanh",
        formula="1.7159 tanh(2x/3)",
        derivative_formula="1.1439 (1 - tanh²(2x/3))",
        function=scaled_tanh,
        derivative=scaled_tanh_derivative,
    ),
    Activation(
        name="ReLU",
        formula="max(x, 0)",
        derivative_formula="1 where x > 0",
        function=relu,
        derivative=relu_derivative,
        kinks=(0,),
    ),
    Activation(
        name="ReLU6",
        formula="min(max(x, 0), 6)",
        derivative_formula="1 where 0 < x < 6",
        function=relu6,
        derivative=relu6_derivative,
        kinks=(0, 6),
    ),
    Activation(
        name="SiLU",
        formula="x s",
        derivative_formula="s (1 + x (1 - s))",
        function=silu,
        derivative=silu_derivative,
    ),
    Activation(
        name="h-sigmoid",
        formula="ReLU6(x + 3) / 6",
        derivative_formula="1/6 where |x| < 3",
        function=h_sigmoid,
        derivative=h_sigmoid_derivative,
        kinks=(-3, 3),
    ),
    Activation(
        name="h-swish",
        formula="x ReLU6(x + 3) / 6",
        derivative_formula="(2x + 3) / 6 where |x| < 3",
        function=h_swish,
        derivative=h_swish_derivative,
        kinks=(-3, 3),
    ),
)


def _where(x: Array, *, above: float, below: float = np.inf) -> Array:
    return ((x > above) & (x < below)).astype(x.dtype)
