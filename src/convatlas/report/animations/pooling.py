"""Windows become one number each: their largest, or their mean. Nothing is learned."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from convatlas.arithmetic.scratch.pooling import average_pool, max_pool
from convatlas.arithmetic.scratch.window import window
from convatlas.errors import UsageError, did_you_mean
from convatlas.report.animations.animation import Animation, Numbers, check_range, check_steps, drawn_numbers
from convatlas.report.animations.drawing import MARGIN, Drawing, Label, Reel, number
from convatlas.report.animations.layout import LINE, by, finished, show_grid, show_numbers, side_by_side

Mode = Literal["max", "average"]


@dataclass(frozen=True, kw_only=True)
class Pooling(Animation):
    """One square map of numbers from 0 to 9.

    size: 2 to 12; kernel: 1 to 5; stride: 1 to 5; mode: "max" or "average". Raises UsageError that names the field,
    also for a window that does not fit and for more than 50 places.
    """

    kind = "pooling"

    size: int = 6
    kernel: int = 2
    stride: int = 2
    mode: Mode = "max"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("size", self.size, 2, 12)
        check_range("kernel", self.kernel, 1, 5)
        check_range("stride", self.stride, 1, 5)
        if self.mode not in get_args(Mode):
            hint = did_you_mean(str(self.mode), get_args(Mode))
            raise UsageError(f'mode must be "max" or "average", not {self.mode!r}.{hint}')
        check_steps(self.out**2, "size, stride: take a smaller input or a larger stride")

    @property
    def out(self) -> int:
        """The side of the output."""
        return window((self.kernel, self.kernel), stride=self.stride).out((self.size, self.size))[0]

    def numbers(self) -> Mapping[str, Numbers]:
        """input (size, size), output (out, out)."""
        x = drawn_numbers(self.seed, (self.size, self.size), 0, 9)
        given = x[None, None]
        pooled = (
            max_pool(given, self.kernel, stride=self.stride).y
            if self.mode == "max"
            else average_pool(given, self.kernel, stride=self.stride)
        )
        return {"input": x, "output": np.asarray(pooled[0, 0], np.float64)}

    def drawing(self) -> Drawing:
        """One step for each place of the window, row by row."""
        given = self.numbers()
        n, k, s, out = self.size, self.kernel, self.stride, self.out
        headings = f"input {by(n)}", f"output {by(out)}"
        source, target = side_by_side(n, out, headings)
        reel = Reel(out * out)
        show_numbers(reel, source, given["input"], headings[0])
        show_grid(reel, target, headings[1])
        below = max(source.bottom, target.bottom) + 24
        reel.always(Label(x=MARGIN, y=below, text=f"window {by(k)}, stride {s}", role="muted"))
        name = "largest" if self.mode == "max" else "mean"
        for step, (row, column) in enumerate(target.every_cell()):
            places = [(row * s + a, column * s + b) for a in range(k) for b in range(k)]
            values = [given["input"][place] for place in places]
            y = given["output"][row, column]
            reel.at(step, source.shape("window", places), target.shape("now", [(row, column)]))
            if self.mode == "max":
                reel.at(step, source.shape("kept", [places[int(np.argmax(values))]]))
            reel.since(step, target.label(row, column, number(round(float(y), 1))))
            for line, text in enumerate(_said(name, values, y, k)):
                reel.at(step, Label(x=MARGIN, y=below + (line + 1) * LINE, text=text))
        lines = len(_said(name, [0.0] * k * k, 0.0, k))
        title = f"{'Max' if self.mode == 'max' else 'Average'} pooling of {by(n)} with {by(k)}, stride {s}"
        description = (
            f"A window of {by(k)} moves over a map of {by(n)} in steps of {s}; the {name} of its numbers is one number "
            f"of the output of {by(out)}."
        )
        return finished(reel, title=title, description=description, bottom=below + lines * LINE)


def _said(name: str, values: list[float], result: float, kernel: int) -> list[str]:
    """The sentence of one place; that of a large window is broken after each row."""
    rows = [", ".join(map(number, values[i : i + kernel])) for i in range(0, len(values), kernel)]
    if len(values) <= 9:
        rows = [", ".join(map(number, values))]
    lines = [f"{row}," for row in rows[:-1]] + [f"{rows[-1]} → {number(result)}"]
    return [f"{name} of {lines[0]}", *lines[1:]]
