"""A window slides over the input, and at each place one dot product becomes one number of the output."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from convatlas.arithmetic.scratch.convolution import convolve
from convatlas.arithmetic.scratch.window import Window, window
from convatlas.report.animations.animation import Animation, Numbers, check_range, check_steps, drawn_numbers
from convatlas.report.animations.drawing import MARGIN, MINUS, Drawing, Grid, Label, Reel, Shape, number
from convatlas.report.animations.layout import HEADING, by, finished, labels, show_grid, side_by_side

_KERNEL_CELL = 24
_SMALL_KERNEL_CELL = 22  # of five columns, beside which there are five products


@dataclass(frozen=True, kw_only=True)
class Convolution(Animation):
    """A square input, one channel, and one square filter; all numbers are whole.

    size: 2 to 12, with its padding at most 14; kernel: 1 to 5; stride: 1 to 5; padding: 0 to 4; dilation: 1 to 4.
    Raises UsageError that names the field, also for a kernel that does not fit and for more than 50 places.
    """

    kind = "convolution"

    size: int = 5
    kernel: int = 3
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("size", self.size, 2, 12)
        check_range("kernel", self.kernel, 1, 5)
        check_range("stride", self.stride, 1, 5)
        check_range("padding", self.padding, 0, 4)
        check_range("dilation", self.dilation, 1, 4)
        check_range("size + 2 * padding", self.size + 2 * self.padding, 2, 14)
        check_steps(self.out**2, "size, stride: take a smaller input or a larger stride")

    @property
    def at(self) -> Window:
        """Where the kernel lies."""
        kernel = (self.kernel, self.kernel)
        return window(kernel, stride=self.stride, padding=self.padding, dilation=self.dilation)

    @property
    def out(self) -> int:
        """The side of the output."""
        return self.at.out((self.size, self.size))[0]

    def numbers(self) -> Mapping[str, Numbers]:
        """input (size, size), kernel (kernel, kernel), output (out, out)."""
        x = drawn_numbers(self.seed, (self.size, self.size), 0, 3)
        weight = drawn_numbers(self.seed + 1, (self.kernel, self.kernel), -1, 2)
        y = convolve(
            x[None, None], weight[None, None], stride=self.stride, padding=self.padding, dilation=self.dilation
        )
        return {"input": x, "kernel": weight, "output": np.asarray(y[0, 0], np.float64)}

    def drawing(self) -> Drawing:
        """One step for each place of the window, row by row."""
        given = self.numbers()
        n, p, k, s, out = self.size, self.padding, self.kernel, self.stride, self.out
        headings = f"input {by(n)}" + (f", padding {p}" if p else ""), f"output {by(out)}"
        source, target = side_by_side(n + 2 * p, out, headings)
        weights = Grid(
            MARGIN, max(source.bottom, target.bottom) + HEADING, _SMALL_KERNEL_CELL if k > 4 else _KERNEL_CELL, k, k
        )
        reel = Reel(out * out)
        show_padded(reel, source, given["input"], p, headings[0])
        show_grid(reel, target, headings[1])
        moves = f"kernel {by(k)}, stride {s}" + (f", dilation {self.dilation}" if self.dilation > 1 else "")
        reel.always(
            weights.shape("window", weights.every_cell()),
            *labels(weights, given["kernel"], weights.every_cell()),
            Label(x=weights.x, y=weights.y - 8, text=moves),
        )
        padded, extent = np.pad(given["input"], p), self.at.extent[0]
        for step, (row, column) in enumerate(target.every_cell()):
            top, left, y = row * s, column * s, given["output"][row, column]
            rows, columns = (np.arange(k) * self.dilation + first for first in (top, left))
            taps = [(int(a), int(b)) for a in rows for b in columns]
            if self.dilation > 1:
                around = source.box(top, left, rows=extent, columns=extent)
                reel.at(step, Shape(boxes=(around,), role="reach"))
            reel.at(step, source.shape("window", taps), target.shape("now", [(row, column)]))
            reel.since(step, target.label(row, column, number(y)))
            for a, line in enumerate(dot_product(given["kernel"], padded[np.ix_(rows, columns)], y)):
                reel.at(step, Label(x=weights.right + 11, y=weights.label(a, 0, "").y, text=line))
        formula = f"out = ⌊({n} + 2·{p} {MINUS} {extent}) / {s}⌋ + 1 = {out}"
        reel.always(Label(x=MARGIN, y=weights.bottom + 24, text=formula, role="muted"))
        description = (
            f"A kernel of {by(k)} slides over an input of {by(n)} in steps of {s}, with padding {p} and dilation "
            f"{self.dilation}. At each of {out * out} places the products of its weights and the numbers below them "
            f"add up to one number of the output of {by(out)}."
        )
        return finished(reel, title=self._title(), description=description, bottom=weights.bottom + 24)

    def _title(self) -> str:
        settings = (("stride", self.stride, 1), ("padding", self.padding, 0), ("dilation", self.dilation, 1))
        more = [f"{name} {value}" for name, value, usual in settings if value != usual]
        return ", ".join([f"Convolution of {by(self.size)} with {by(self.kernel)}", *more])


def show_padded(reel: Reel, grid: Grid, values: Numbers, padding: int, heading: str) -> None:
    """The input with its zeros around it, at every step; the grid has room for both."""
    inner = [(row + padding, column + padding) for row, column in np.ndindex(*values.shape)]
    outer = [place for place in grid.every_cell() if place not in set(inner)]
    padded = np.pad(values, padding)
    if outer:
        reel.always(grid.shape("padding", outer), *(grid.label(*place, "0", "muted") for place in outer))
    reel.always(grid.shape("cell", inner), *labels(grid, padded, inner))
    reel.always(Label(x=grid.x, y=grid.y - 8, text=heading))


def dot_product(weight: Numbers, seen: Numbers, total: float) -> list[str]:
    """A line for each row of the kernel: "2·1 + 0·3 +", and at the end of the last one the sum."""
    rows = [
        " + ".join(f"{number(w)}·{number(v)}" for w, v in zip(*pair, strict=True))
        for pair in zip(weight, seen, strict=True)
    ]
    return [*(f"{row} +" for row in rows[:-1]), f"{rows[-1]} = {number(total)}"]
