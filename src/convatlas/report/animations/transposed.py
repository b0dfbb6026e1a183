"""Each number of the input stamps a kernel into the output; where stamps overlap, they add."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from convatlas.arithmetic.scratch.transposed import transpose_convolve
from convatlas.report.animations.animation import Animation, Numbers, check_range, check_steps, drawn_numbers
from convatlas.report.animations.drawing import MARGIN, MINUS, Drawing, Grid, Label, Reel, number
from convatlas.report.animations.layout import (
    HEADING,
    MOST_CELL,
    TOP,
    by,
    finished,
    labels,
    show_grid,
    show_numbers,
    side_by_side,
)


@dataclass(frozen=True, kw_only=True)
class TransposedConvolution(Animation):
    """A square input, one channel, and one square filter; all numbers are whole.

    size: 1 to 6; kernel: 1 to 5; stride: 1 to 4; padding: 0 to 4; output_padding: below the stride. The output is at
    most 12 wide, with what the padding cuts off 14. Raises UsageError that names the field.
    """

    kind = "transposed"

    size: int = 3
    kernel: int = 3
    stride: int = 2
    padding: int = 0
    output_padding: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("size", self.size, 1, 6)
        check_range("kernel", self.kernel, 1, 5)
        check_range("stride", self.stride, 1, 4)
        check_range("padding", self.padding, 0, 4)
        check_range("output_padding", self.output_padding, 0, max(0, self.stride - 1))
        check_range("padding: the side of the output", self.out, 1, 12)
        check_range("size, stride: the output with what the padding cuts off", self.out + 2 * self.padding, 1, 14)
        check_steps(self.size**2, "size: take a smaller input")

    @property
    def out(self) -> int:
        """The side of the output."""
        return (self.size - 1) * self.stride - 2 * self.padding + self.kernel + self.output_padding

    def numbers(self) -> Mapping[str, Numbers]:
        """input (size, size), kernel (kernel, kernel), output (out, out)."""
        x = drawn_numbers(self.seed, (self.size, self.size), 1, 3)
        weight = drawn_numbers(self.seed + 1, (self.kernel, self.kernel), -1, 2)
        return {"input": x, "kernel": weight, "output": self._stamped(x, weight)}

    def _stamped(self, x: Numbers, weight: Numbers) -> Numbers:
        y = transpose_convolve(
            x[None, None],
            weight[None, None],
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
        )
        return np.asarray(y[0, 0], np.float64)

    def drawing(self) -> Drawing:
        """One step for each number of the input, row by row."""
        given = self.numbers()
        x, weight = given["input"], given["kernel"]
        n, k, s, p, out = self.size, self.kernel, self.stride, self.padding, self.out
        full = out + 2 * p
        heading = f"output {by(out)}" + (f", {p} cut off around it" if p else "")
        source, kernel, whole = _places(n, k, full, heading)
        target = Grid(whole.x + p * whole.cell, whole.y + p * whole.cell, whole.cell, out, out)
        reel = Reel(n * n)
        show_numbers(reel, source, x, f"input {by(n)}")
        reel.always(
            kernel.shape("window", kernel.every_cell()),
            *labels(kernel, weight, kernel.every_cell()),
            Label(x=kernel.x, y=kernel.y - 8, text=f"kernel {by(k)}"),
        )
        if p:
            edge = [(a, b) for a, b in whole.every_cell() if not (p <= a < p + out and p <= b < p + out)]
            reel.always(whole.shape("padding", edge))
        show_grid(reel, target, "")
        reel.always(Label(x=whole.x, y=whole.y - 8, text=heading))
        below = max(kernel.bottom, whole.bottom) + 24
        part = np.zeros_like(x)
        written: dict[tuple[int, int], tuple[int, str]] = {}
        for step, (row, column) in enumerate(source.every_cell()):
            part[row, column] = x[row, column]
            stamp = [(row * s + a, column * s + b) for a in range(k) for b in range(k)]
            reel.at(step, source.shape("now", [(row, column)]), whole.shape("window", stamp))
            said = f"{number(x[row, column])} times the kernel is added to the marked cells"
            reel.at(step, Label(x=MARGIN, y=below, text=said))
            now = self._stamped(part, weight)
            for place in ((a - p, b - p) for a, b in stamp if p <= a < p + out and p <= b < p + out):
                _rewrite(reel, target, written, place, step, number(now[place]))
        for place, (first, text) in written.items():
            reel.since(first, target.label(*place, text))
        untouched = [place for place in target.every_cell() if place not in written]
        reel.at(reel.steps - 1, *(target.label(*place, "0") for place in untouched))
        formula = f"out = ({n} {MINUS} 1)·{s} {MINUS} 2·{p} + {k}" + (
            f" + {self.output_padding}" if self.output_padding else ""
        )
        reel.always(Label(x=MARGIN, y=below + 20, text=f"{formula} = {out}", role="muted"))
        description = (
            f"Each of the {n * n} numbers of an input of {by(n)} multiplies a kernel of {by(k)} and is added to the "
            f"output, {s} cells after the one before it; {p} rows and columns are cut off at each side. The output is "
            f"{by(out)}."
        )
        title = f"Transposed convolution of {by(n)} with {by(k)}, stride {s}, padding {p}"
        return finished(reel, title=title, description=description, bottom=below + 20)


def _places(size: int, kernel: int, full: int, heading: str) -> tuple[Grid, Grid, Grid]:
    """Input above kernel, and beside or below them the output with its margin."""
    wide = max(size, kernel, 3)
    source, whole = side_by_side(wide, full, (f"kernel {by(kernel)}", heading))
    if whole.y > TOP:  # no room beside: input and kernel share the first row
        cell = min(source.cell, MOST_CELL)
        source = Grid(source.x, TOP, cell, size, size)
        beside = Grid(source.x + max(size, 3) * cell + 26, TOP, cell, kernel, kernel)
        bottom = max(source.bottom, beside.bottom)
        return source, beside, Grid(whole.x, bottom + HEADING, whole.cell, full, full)
    source = Grid(source.x, source.y, source.cell, size, size)
    return source, Grid(source.x, source.bottom + HEADING, source.cell, kernel, kernel), whole


def _rewrite(
    reel: Reel,
    grid: Grid,
    written: dict[tuple[int, int], tuple[int, str]],
    place: tuple[int, int],
    step: int,
    text: str,
) -> None:
    """From this step on the cell says something else; what it said until now is seen until the step before."""
    if place in written:
        first, before = written[place]
        if before == text:
            return
        reel.during(first, step - 1, grid.label(*place, before))
    written[place] = (step, text)
