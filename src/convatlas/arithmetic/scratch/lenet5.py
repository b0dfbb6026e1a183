"""LeNet-5 of nothing but NumPy: forward, backward, and stochastic gradient descent with momentum.

The form that is taught today, `lenet5_modern` of this atlas: the layer sizes of LeCun et al. 1998 with ReLU, max
pooling, all of C3's connections and softmax. 61,706 parameters: 156 + 2,416 + 48,120 + 10,164 + 850.

    >>> from convatlas.arithmetic.scratch import lenet5
    >>> (pictures, targets), (unseen, answers) = lenet5.digits()
    >>> parameters = lenet5.train(pictures, targets, lenet5.Settings(epochs=5))
    >>> lenet5.accuracy(parameters, unseen, answers)

`python -m convatlas.arithmetic.scratch.lenet5` does this and tells how it goes.
Shapes: N pictures of 28 x 28, which C1 pads to 32 x 32.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from convatlas.arithmetic.axes import whole
from convatlas.arithmetic.scratch.activations import relu, relu_derivative
from convatlas.arithmetic.scratch.checks import Array
from convatlas.arithmetic.scratch.dense import dense, dense_backward
from convatlas.arithmetic.scratch.im2col import convolve_backward, convolve_im2col
from convatlas.arithmetic.scratch.loss import cross_entropy, cross_entropy_backward
from convatlas.arithmetic.scratch.pooling import MaxPooled, max_pool, max_pool_backward
from convatlas.data.digits import read_digits
from convatlas.errors import UsageError

Pictures = NDArray[np.uint8]
Targets = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Parameters:
    """All that is learned; also their gradients, or their velocities, which have the same shapes."""

    c1_weight: Array  # (6, 1, 5, 5)
    c1_bias: Array
    c3_weight: Array  # (16, 6, 5, 5)
    c3_bias: Array
    c5_weight: Array  # (120, 16, 5, 5)
    c5_bias: Array
    f6_weight: Array  # (84, 120)
    f6_bias: Array
    output_weight: Array  # (10, 84)
    output_bias: Array

    def each(self, change: Callable[..., Array], *others: Self) -> "Parameters":
        """change(array, arrays of the same name in the others ...) for each array."""
        names = [field.name for field in fields(self)]
        return Parameters(**{name: change(*(getattr(one, name) for one in (self, *others))) for name in names})


def initialise(seed: int = 0, *, dtype: DTypeLike = np.float32) -> Parameters:
    """Weights normal with variance 2 / inputs (He et al. 2015; 1 / inputs where no ReLU follows), biases 0."""
    random = np.random.default_rng(seed)

    def weight(*shape: int, gain: float = 2.0) -> Array:
        inputs = int(np.prod(shape[1:]))
        return random.normal(0, np.sqrt(gain / inputs), shape).astype(dtype)

    return Parameters(
        c1_weight=weight(6, 1, 5, 5),
        c1_bias=np.zeros(6, dtype),
        c3_weight=weight(16, 6, 5, 5),
        c3_bias=np.zeros(16, dtype),
        c5_weight=weight(120, 16, 5, 5),
        c5_bias=np.zeros(120, dtype),
        f6_weight=weight(84, 120),
        f6_bias=np.zeros(84, dtype),
        output_weight=weight(10, 84, gain=1.0),
        output_bias=np.zeros(10, dtype),
    )


class Forward(NamedTuple):
    """What the backward pass needs again: the input, each layer before its ReLU and what follows it, and the scores."""

    x: Array  # (N, 1, 28, 28)
    c1: Array  # (N, 6, 28, 28)
    s2: MaxPooled  # (N, 6, 14, 14)
    c3: Array  # (N, 16, 10, 10)
    s4: MaxPooled  # (N, 16, 5, 5)
    c5: Array  # (N, 120, 1, 1)
    f6: Array  # (N, 84)
    scores: Array  # (N, 10)


def forward(p: Parameters, x: Array) -> Forward:
    """Pictures (N, 1, 28, 28) as `prepared` gives them -> scores (N, 10), and all on the way there."""
    c1 = convolve_im2col(x, p.c1_weight, p.c1_bias, padding=2)
    s2 = max_pool(relu(c1), 2)
    c3 = convolve_im2col(s2.y, p.c3_weight, p.c3_bias)
    s4 = max_pool(relu(c3), 2)
    c5 = convolve_im2col(s4.y, p.c5_weight, p.c5_bias)
    f6 = dense(_flat(relu(c5)), p.f6_weight, p.f6_bias)
    scores = dense(relu(f6), p.output_weight, p.output_bias)
    return Forward(x, c1, s2, c3, s4, c5, f6, scores)


def backward(p: Parameters, seen: Forward, d_scores: Array) -> Parameters:
    """dL/dscores (N, 10) -> the gradients of all parameters: the forward pass, line by line, from its end."""
    output = dense_backward(d_scores, relu(seen.f6), p.output_weight)
    f6 = dense_backward(output.x * relu_derivative(seen.f6), _flat(relu(seen.c5)), p.f6_weight)
    c5 = convolve_backward(f6.x.reshape(seen.c5.shape) * relu_derivative(seen.c5), seen.s4.y, p.c5_weight)
    d_c3 = max_pool_backward(c5.x, seen.s4.places, (10, 10)) * relu_derivative(seen.c3)
    c3 = convolve_backward(d_c3, seen.s2.y, p.c3_weight)
    d_c1 = max_pool_backward(c3.x, seen.s2.places, (28, 28)) * relu_derivative(seen.c1)
    c1 = convolve_backward(d_c1, seen.x, p.c1_weight, padding=2)
    return Parameters(
        c1_weight=c1.weight,
        c1_bias=c1.bias,
        c3_weight=c3.weight,
        c3_bias=c3.bias,
        c5_weight=c5.weight,
        c5_bias=c5.bias,
        f6_weight=f6.weight,
        f6_bias=f6.bias,
        output_weight=output.weight,
        output_bias=output.bias,
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to train. The rate falls from `rate` to zero along half a cosine, step by step."""

    epochs: int = 12
    batch: int = 32
    rate: float = 0.03
    momentum: float = 0.9
    weight_decay: float = 5e-4
    seed: int = 0

    def __post_init__(self) -> None:
        whole("epochs", self.epochs, least=1)
        whole("batch", self.batch, least=1)
        if not self.rate > 0:
            raise UsageError(f"rate must be above 0, not {self.rate!r}")
        if not 0 <= self.momentum < 1:
            raise UsageError(f"momentum must lie within 0..1, below 1, not {self.momentum!r}")
        if not self.weight_decay >= 0:
            raise UsageError(f"weight_decay must be 0 or above, not {self.weight_decay!r}")


def train(
    pictures: Pictures,
    targets: Targets,
    settings: Settings | None = None,
    *,
    report: Callable[[int, float], None] | None = None,
) -> Parameters:
    """Pictures (N, 28, 28) uint8 and targets (N,) within 0..9 -> parameters after `settings.epochs` times all of them.

    velocity = momentum * velocity + gradient + weight_decay * parameter;  parameter -= rate * velocity
    report(epoch, mean loss) is called after each epoch. The same settings give the same parameters on one machine.
    """
    how = settings or Settings()
    if targets.shape != (len(pictures),):
        raise UsageError(f"targets must be {len(pictures)} classes, one for each picture, not {targets.shape}")
    random = np.random.default_rng(how.seed)
    parameters = initialise(how.seed)
    velocity = parameters.each(np.zeros_like)
    x = prepared(pictures)
    steps_an_epoch = -(-len(x) // how.batch)
    step = 0
    for epoch in range(1, how.epochs + 1):
        losses = []
        for chosen in np.array_split(random.permutation(len(x)), steps_an_epoch):
            seen = forward(parameters, x[chosen])
            loss, p = cross_entropy(seen.scores, targets[chosen])
            gradients = backward(parameters, seen, cross_entropy_backward(p, targets[chosen]))
            rate = how.rate * 0.5 * (1 + np.cos(np.pi * step / (how.epochs * steps_an_epoch)))
            velocity = velocity.each(lambda v, g, w: how.momentum * v + g + how.weight_decay * w, gradients, parameters)
            parameters = parameters.each(lambda w, v, rate=float(rate): w - rate * v, velocity)
            losses.append(loss * len(chosen))
            step += 1
        if report is not None:
            report(epoch, sum(losses) / len(x))
    return parameters


def predict(parameters: Parameters, pictures: Pictures) -> Targets:
    """Pictures (N, 28, 28) uint8 -> the class of the highest score of each, (N,)."""
    x = prepared(pictures)
    answers = [forward(parameters, x[begin : begin + 200]).scores.argmax(axis=1) for begin in range(0, len(x), 200)]
    return np.concatenate(answers)


def accuracy(parameters: Parameters, pictures: Pictures, targets: Targets) -> float:
    """The share of pictures (N, 28, 28) uint8 that are named right, 0..1."""
    return float(np.mean(predict(parameters, pictures) == targets))


def prepared(pictures: Pictures) -> Array:
    """(N, 28, 28) uint8 -> (N, 1, 28, 28) float32, of mean 0 and deviation 1 over all of MNIST."""
    if pictures.ndim != 3 or pictures.shape[1:] != (28, 28) or pictures.dtype != np.uint8 or len(pictures) == 0:
        raise UsageError(f"pictures must be uint8 (N, 28, 28), one or more, not {pictures.dtype} {pictures.shape}")
    return ((pictures[:, None].astype(np.float32) / 255) - np.float32(0.1307)) / np.float32(0.3081)


def digits() -> tuple[tuple[Pictures, Targets], tuple[Pictures, Targets]]:
    """The embedded digits: 4,000 (28, 28) and their classes to learn from, and 1,000 others to be asked about.

    Raises MissingExtra when the package that carries them is not installed.
    """
    every, parts = read_digits()
    pictures = np.stack([every.read(index)[:, :, 0] for index in range(len(every))])
    for_test = np.array([part == "test" for part in parts])
    return (pictures[~for_test], every.targets[~for_test]), (pictures[for_test], every.targets[for_test])


def _flat(x: Array) -> Array:
    return x.reshape(len(x), -1)


def _main() -> None:
    started = time.perf_counter()
    (pictures, targets), (unseen, answers) = digits()

    def tell(epoch: int, loss: float) -> None:
        sys.stdout.write(f"epoch {epoch:2}  loss {loss:.4f}  {time.perf_counter() - started:4.0f} s\n")
        sys.stdout.flush()

    parameters = train(pictures, targets, report=tell)
    sys.stdout.write(f"{accuracy(parameters, unseen, answers):.2%} of {len(unseen):,} digits it has not seen\n")


if __name__ == "__main__":
    _main()
