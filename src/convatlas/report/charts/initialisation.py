"""What each scheme of initial weights does to activations through depth: measured now, on noise, in NumPy.

A chain of dense layers without biases, all of one width n, is fed standard normal noise. The size of the activations is
their root mean square. With ReLU, weights of variance s² multiply its square by n·s²/2 in each layer on average: He's
2/n keeps it, N(0, 0.01) multiplies the size by sqrt(n·0.0001/2). A unit is dead when it gives zero for every input.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from convatlas.errors import UsageError
from convatlas.report.charts.canvas import MIDDLE, NARROW, TEXT, Panel, Sheet, pixels, text_size

Weights = NDArray[np.float64]
INPUTS: Final = 256  # pictures of noise
_LEAST_POWER: Final = -300  # of ten: the axis ends before floating-point numbers do


def _orthogonal(random: np.random.Generator, n: int, relu: bool) -> Weights:
    """Rows of length 1, times sqrt(2) before a ReLU, which halves the square: Saxe et al. 2013."""
    q, r = np.linalg.qr(random.standard_normal((n, n)))
    turned: Weights = q * np.sign(np.diagonal(r)) * (math.sqrt(2) if relu else 1.0)
    return turned


# By scheme: n x n weights for layers of n inputs and n outputs; the flag says whether a ReLU follows.
SCHEMES: Final[Mapping[str, Callable[[np.random.Generator, int, bool], Weights]]] = {
    "zeros": lambda random, n, relu: np.zeros((n, n)),
    "N(0, 0.01)": lambda random, n, relu: 0.01 * random.standard_normal((n, n)),
    "LeCun": lambda random, n, relu: random.standard_normal((n, n)) / math.sqrt(n),
    "Xavier": lambda random, n, relu: random.uniform(-1, 1, (n, n)) * math.sqrt(6 / (n + n)),
    "He": lambda random, n, relu: random.standard_normal((n, n)) * math.sqrt(2 / n),
    "orthogonal": _orthogonal,
}
SOURCES: Final[Mapping[str, str]] = {
    "zeros": "all weights 0",
    "N(0, 0.01)": "standard deviation 0.01, as AlexNet (Krizhevsky et al. 2012)",
    "LeCun": "variance 1/n (LeCun et al. 1998)",
    "Xavier": "uniform, variance 2/(n + n) (Glorot and Bengio 2010)",
    "He": "variance 2/n (He et al. 2015)",
    "orthogonal": "orthogonal matrix, times √2 before ReLU (Saxe et al. 2013)",
}
ACTIVATIONS: Final = ("ReLU", "tanh")


@dataclass(frozen=True, kw_only=True)
class Signal:
    """What became of the noise under one scheme and activation; one number a layer, the input's own first in `size`.

    size: root mean square of the activations. spread: standard deviation over the inputs, averaged over units: 0 when
    all inputs look the same. dead: share of units that give zero for every input.
    """

    scheme: str
    activation: str
    size: tuple[float, ...]
    spread: tuple[float, ...]
    dead: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Initialisation:
    """The signals of all schemes with both activations, and what they were measured on."""

    depth: int
    width: int
    seed: int
    signals: tuple[Signal, ...]

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        return {"kind": "initialisation", "inputs": INPUTS, **asdict(self)}


def measure(*, depth: int = 20, width: int = 256, seed: int = 0) -> Initialisation:
    """Run the chain of `depth` layers of `width` units. Raises UsageError for sizes that cannot be measured."""
    for name, value, low, high in (("depth", depth, 1, 200), ("width", width, 8, 1024), ("seed", seed, 0, 2**32 - 1)):
        if not low <= value <= high:
            raise UsageError(f"{name}: expected {low} to {high}, got {value}")
    signals = [
        _signal(scheme, activation, depth, width, np.random.default_rng((seed, number)))
        for activation in ACTIVATIONS
        for number, scheme in enumerate(SCHEMES)
    ]
    return Initialisation(depth=depth, width=width, seed=seed, signals=tuple(signals))


def _signal(scheme: str, activation: str, depth: int, width: int, random: np.random.Generator) -> Signal:
    x = random.standard_normal((INPUTS, width))
    relu = activation == "ReLU"
    size, spread, dead = [_size(x)], [_spread(x)], []
    for _ in range(depth):
        z = x @ SCHEMES[scheme](random, width, relu).T
        x = np.maximum(z, 0) if relu else np.tanh(z)
        size.append(_size(x))
        spread.append(_spread(x))
        dead.append(_rounded(float((x == 0).all(axis=0).mean())))
    return Signal(scheme=scheme, activation=activation, size=tuple(size), spread=tuple(spread), dead=tuple(dead))


def _size(x: Weights) -> float:
    unit, largest = _scaled(x)
    return _rounded(largest * math.sqrt(float((unit * unit).mean())))


def _spread(x: Weights) -> float:
    unit, largest = _scaled(x)
    return _rounded(largest * float(unit.std(axis=0).mean()))


def _scaled(x: Weights) -> tuple[Weights, float]:
    """The activations as parts of the largest, and that one: the squares of numbers below 1e-162 would be zero."""
    largest = float(np.abs(x).max()) or 1.0
    return x / largest, largest


def _rounded(value: float) -> float:
    """Six digits: more would be those of the processor's matrix product."""
    return float(f"{value:.6g}")


def panels(measured: Initialisation) -> tuple[Panel, ...]:
    """The size through depth with either activation, and the dead units with ReLU."""
    return (*(_size_panel(measured, activation) for activation in ACTIVATIONS), _dead_panel(measured))


def rows(measured: Initialisation) -> tuple[tuple[str, ...], ...]:
    """A header and one row a scheme and activation, as text."""
    middle = measured.depth // 2
    header = ("scheme", "weights", "activation", f"size, layer {middle}", f"size, layer {measured.depth}", "dead units")
    return (
        header,
        *(
            (
                signal.scheme,
                SOURCES[signal.scheme],
                signal.activation,
                f"{signal.size[middle]:.3g}",
                f"{signal.size[-1]:.3g}",
                f"{signal.dead[-1]:.1%}",
            )
            for signal in measured.signals
        ),
    )


def _of(measured: Initialisation, activation: str) -> tuple[Signal, ...]:
    return tuple(signal for signal in measured.signals if signal.activation == activation)


def _size_panel(measured: Initialisation, activation: str) -> Panel:
    signals = _of(measured, activation)
    ends = "; ".join(f"{signal.scheme} {signal.size[-1]:.2g}" for signal in signals)
    return Panel(
        name=activation.lower(),
        title=f"Size of activations through depth, {activation}",
        description=f"Root mean square of the activations of each of {measured.depth} dense layers of {measured.width} "
        f"units, on a logarithmic axis; noise of size 1 goes in. In the last layer: {ends}.",
        wide=(MIDDLE, 380),
        narrow=(NARROW, 340),
        draw=lambda sheet: _draw_sizes(sheet, measured, signals),
    )


def _dead_panel(measured: Initialisation) -> Panel:
    signals = _of(measured, "ReLU")
    ends = "; ".join(f"{signal.scheme} {signal.dead[-1]:.0%}" for signal in signals)
    return Panel(
        name="dead",
        title="Dead units through depth, ReLU",
        description=f"Share of units that give zero for each of {INPUTS} inputs. In the last layer: {ends}.",
        wide=(MIDDLE, 280),
        narrow=(NARROW, 280),
        draw=lambda sheet: _draw_dead(sheet, measured, signals),
    )


def _colour(sheet: Sheet, scheme: str) -> str:
    if scheme in ("He", "orthogonal"):
        return sheet.palette.answer
    return sheet.palette.mistake if scheme in ("zeros", "N(0, 0.01)") else sheet.palette.muted


def _style(scheme: str) -> Any:
    return {"orthogonal": (0, (5, 2.5)), "Xavier": (0, (2, 2)), "zeros": (0, (5, 2.5))}.get(scheme, "solid")


def _draw_sizes(sheet: Sheet, measured: Initialisation, signals: Sequence[Signal]) -> None:
    axes = sheet.axes(left=52, right=96, top=14, bottom=46)
    positive = [value for signal in signals for value in signal.size if value > 0]
    low = max(math.floor(math.log10(min(positive))) - 1, _LEAST_POWER)
    high = math.ceil(math.log10(max(positive)) + 0.3)
    axes.set_yscale("log")
    axes.set(xlim=(0, measured.depth), ylim=(10.0**low, 10.0**high))
    step = max(1, math.ceil((high - low) / 6))
    axes.set_yticks([10.0**power for power in range(high, low - 1, -step)])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))
    for signal in signals:
        shown = [max(value, 10.0**low) for value in signal.size]
        axes.plot(
            range(len(shown)),
            shown,
            color=_colour(sheet, signal.scheme),
            linestyle=_style(signal.scheme),
            linewidth=2,
            gid=signal.scheme,
        )
    _number_layers(sheet, axes)
    ends = [
        (pixels(axes, measured.depth, max(s.size[-1], 10.0**low))[1], s.scheme + (": 0" if s.size[-1] == 0 else ""))
        for s in signals
    ]
    _name_ends(sheet, axes, measured, ends)


def _draw_dead(sheet: Sheet, measured: Initialisation, signals: Sequence[Signal]) -> None:
    axes = sheet.axes(left=52, right=96, top=14, bottom=46)
    axes.set(xlim=(0, measured.depth), ylim=(-0.02, 1.02), yticks=[0, 0.25, 0.5, 0.75, 1])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    for signal in signals:
        axes.plot(
            range(1, measured.depth + 1),
            signal.dead,
            color=_colour(sheet, signal.scheme),
            linestyle=_style(signal.scheme),
            linewidth=2,
            marker="o" if measured.depth == 1 else "",
            gid=signal.scheme,
        )
    _number_layers(sheet, axes)
    _name_ends(sheet, axes, measured, [(pixels(axes, measured.depth, s.dead[-1])[1], s.scheme) for s in signals])


def _number_layers(sheet: Sheet, axes: Axes) -> None:
    axes.grid(visible=False, axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel("layer", color=sheet.palette.muted, fontsize=TEXT, labelpad=6)


def _name_ends(sheet: Sheet, axes: Axes, measured: Initialisation, ends: Sequence[tuple[float, str]]) -> None:
    """Each line's name beside its end; lines that end together share the lines of text, one under the other."""
    left = pixels(axes, measured.depth, axes.get_ylim()[1])[0] - sheet.left + 6
    apart = text_size("X")[1] + 1
    heights = sorted((height - sheet.top, scheme) for height, scheme in ends)
    places = [height for height, _ in heights]
    highest, lowest = 8.0, sheet.height - 52  # within the drawing, and above the numbers of the layers
    for _ in range(200):  # push neighbours apart, by the same to either side, until none overlaps
        for upper in range(len(places) - 1):
            short_of = apart - (places[upper + 1] - places[upper])
            if short_of > 1e-6:
                places[upper] -= short_of / 2
                places[upper + 1] += short_of / 2
        below = range(len(places) - 1, -1, -1)
        places = [
            min(max(place, highest + index * apart), lowest - after * apart)
            for (index, place), after in zip(enumerate(places), below, strict=True)
        ]
    for place, (_, label) in zip(places, heights, strict=True):
        scheme = label.removesuffix(": 0")
        sheet.text(left, place, label, color=_colour(sheet, scheme))


def _power(value: float) -> str:
    """10.0 ** -8 -> "10⁻⁸"; 1 -> "1"."""
    power = round(math.log10(value))
    if power == 0:
        return "1"
    return "10" + "".join("⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".index(sign)] for sign in str(power))
