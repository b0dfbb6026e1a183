"""From 3-D to 2-D: a filter is as deep as its input, and all channels add up to one number."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from convatlas.arithmetic.scratch.convolution import convolve
from convatlas.arithmetic.scratch.window import window
from convatlas.errors import UsageError
from convatlas.report.animations.animation import Animation, Numbers, check_range, check_steps, drawn_numbers
from convatlas.report.animations.drawing import MARGIN, TIMES, WIDTH, Drawing, Grid, Label, Reel, number
from convatlas.report.animations.layout import HEADING, LINE, TOP, by, finished, labels, show_grid, show_numbers

_GAP: Final = 8
_LEAST_CELL: Final = 19.5  # holds two characters
_MOST_CELL: Final = 24.0


@dataclass(frozen=True, kw_only=True)
class Channels(Animation):
    """A volume of some channels, and one filter of as many slices; all numbers are whole.

    size: 3 to 8; channels: 1 to 4; kernel: 1 to 3; stride: 1 to 3. Raises UsageError that names the field, also for
    channels that find no room beside each other.
    """

    kind = "channels"

    size: int = 5
    channels: int = 3
    kernel: int = 3
    stride: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("size", self.size, 3, 8)
        check_range("channels", self.channels, 1, 4)
        check_range("kernel", self.kernel, 1, 3)
        check_range("stride", self.stride, 1, 3)
        if self._cell < _LEAST_CELL:
            raise UsageError(
                f"size, channels: {self.channels} channels of {self.size}x{self.size} do not fit beside each other: "
                "take fewer channels or a smaller size"
            )
        check_steps(self.out**2, "size, stride: take a smaller input or a larger stride")

    @property
    def out(self) -> int:
        """The side of the output."""
        return window((self.kernel, self.kernel), stride=self.stride).out((self.size, self.size))[0]

    @property
    def _cell(self) -> float:
        room = WIDTH - 2 * MARGIN - (self.channels - 1) * _GAP
        return min(_MOST_CELL, 2 * room // (self.channels * self.size) / 2)

    def numbers(self) -> Mapping[str, Numbers]:
        """input (channels, size, size), kernel (channels, kernel, kernel), output (out, out)."""
        x = drawn_numbers(self.seed, (self.channels, self.size, self.size), 0, 3)
        weight = drawn_numbers(self.seed + 1, (self.channels, self.kernel, self.kernel), -1, 2)
        y = convolve(x[None], weight[None], stride=self.stride)
        return {"input": x, "kernel": weight, "output": np.asarray(y[0, 0], np.float64)}

    def drawing(self) -> Drawing:
        """One step for each place of the window, row by row."""
        given = self.numbers()
        x, weight, y = given["input"], given["kernel"], given["output"]
        n, k, s, out, cell = self.size, self.kernel, self.stride, self.out, self._cell
        maps = [Grid(MARGIN + c * (n * cell + _GAP), TOP, cell, n, n) for c in range(self.channels)]
        slices = [Grid(each.x, each.bottom + HEADING, cell, k, k) for each in maps]
        sums = slices[0].bottom + LINE
        target = Grid(MARGIN, sums + HEADING, 26, out, out)
        reel = Reel(out * out)
        for c, (grid, part) in enumerate(zip(maps, slices, strict=True)):
            show_numbers(reel, grid, x[c], f"channel {c + 1}")
            reel.always(
                part.shape("window", part.every_cell()),
                *labels(part, weight[c], part.every_cell()),
                Label(x=part.x, y=part.y - 8, text="filter" if c == 0 else ""),
            )
        show_grid(reel, target, f"output {by(out)}, one channel")
        for step, (row, column) in enumerate(target.every_cell()):
            places = [(row * s + a, column * s + b) for a in range(k) for b in range(k)]
            parts = []
            for c, (grid, part) in enumerate(zip(maps, slices, strict=True)):
                seen = x[c, row * s : row * s + k, column * s : column * s + k]
                parts.append(number(float((seen * weight[c]).sum())))
                reel.at(step, grid.shape("window", places))
                reel.at(step, Label(x=part.x, y=sums, text=f"sum {parts[-1]}", role="strong"))
            reel.at(step, target.shape("now", [(row, column)]))
            reel.since(step, target.label(row, column, number(y[row, column])))
            total = f"{' + '.join(parts)} = {number(y[row, column])}"
            reel.at(step, Label(x=max(target.right, 120) + 14, y=target.y + LINE, text=total))
        words = f"{self.channels}{TIMES}{n}{TIMES}{n} becomes {by(out)}"
        reel.always(Label(x=max(target.right, 120) + 14, y=target.y + 2 * LINE, text=words, role="muted"))
        title = f"A filter over {self.channels} channels of {by(n)}"
        description = (
            f"A filter of {by(k)} with a slice for each of {self.channels} channels moves over all of them at once. At "
            f"each of {out * out} places the sums of the slices add up to one number: the output, {by(out)}, has one "
            "channel, however many the input has."
        )
        return finished(reel, title=title, description=description, bottom=max(target.bottom, target.y + 2 * LINE + 6))
