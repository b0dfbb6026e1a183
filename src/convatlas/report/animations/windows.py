"""Looking for something everywhere: one window after the other, or all windows at once by convolution.

Sermanet et al., "OverFeat", https://arxiv.org/abs/1312.6229, Section 3.5 and Figure 5: a network for a window,
applied to a larger picture as convolutions, gives the scores of all windows; what they share is computed once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from convatlas.arithmetic.scratch.convolution import convolve
from convatlas.arithmetic.scratch.pooling import max_pool
from convatlas.arithmetic.scratch.window import window as make_window
from convatlas.errors import UsageError
from convatlas.report.animations.animation import Animation, Numbers, check_range, check_steps
from convatlas.report.animations.drawing import MARGIN, WIDTH, Drawing, Grid, Label, Reel, Shape, ShapeRole, number
from convatlas.report.animations.layout import HEADING, LINE, TOP, by, finished, show_grid
from convatlas.report.animations.pixel_scene import pixel_scene, shading, template

_POOL: Final = 2
_GAP: Final = 22


@dataclass(frozen=True, kw_only=True)
class SlidingWindow(Animation):
    """A window goes over a picture; each place is scored by how much it looks like a cross, 1 for a whole one.

    size: pixels of the picture, 8 to 16; window: 3 to 7; stride: 1 to 4; threshold: 0..1, what counts as found. Raises
    UsageError that names the field.
    """

    kind = "sliding-window"

    size: int = 13
    window: int = 5
    stride: int = 2
    threshold: float = 0.8
    seed: int = 2
    seconds: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("size", self.size, 8, 16)
        check_range("window", self.window, 3, 7)
        check_range("stride", self.stride, 1, 4)
        check_share("threshold", self.threshold)
        check_steps(self.out**2 + 1, "size, stride: take a smaller picture or a larger stride")

    @property
    def out(self) -> int:
        """Places of the window along each side."""
        return make_window((self.window, self.window), stride=self.stride).out((self.size, self.size))[0]

    def numbers(self) -> Mapping[str, Numbers]:
        """input (size, size) in 0..1, kernel (window, window), output (out, out): the scores, at least 0."""
        x = pixel_scene(self.size, self.window, self.seed, step=self.stride)
        weight = template(self.window)
        y = np.empty((self.out, self.out))
        for row, column in np.ndindex(*y.shape):  # each window by itself, as in the time before convolutions
            top, left = row * self.stride, column * self.stride
            y[row, column] = max(0.0, float((x[top : top + self.window, left : left + self.window] * weight).sum()))
        return {"input": x, "kernel": weight, "output": y}

    def drawing(self) -> Drawing:
        """One step for each place, row by row, and one for what was found."""
        given = self.numbers()
        n, w, s, out = self.size, self.window, self.stride, self.out
        cell = min(30, (WIDTH - 2 * MARGIN - _GAP - 9 * n) // out)
        pixel = min(14, (WIDTH - 2 * MARGIN - _GAP - cell * out) // n)
        picture = Grid(MARGIN, TOP, pixel, n, n)
        scores = Grid(picture.right + _GAP, TOP, cell, out, out)
        reel = Reel(out * out + 1)
        show_grid(reel, picture, f"picture {by(n)}")
        reel.always(*shading(picture, given["input"]))
        show_grid(reel, scores, f"scores {by(out)}")
        below = max(picture.bottom, scores.bottom) + 24
        for step, (row, column) in enumerate(scores.every_cell()):
            y = float(given["output"][row, column])
            reel.at(step, _outline("window", picture, row * s, column * s, w), scores.shape("now", [(row, column)]))
            reel.since(step, scores.label(row, column, number(round(y, 1))))
            reel.at(step, Label(x=MARGIN, y=below, text=f"window {step + 1} of {out * out}: score {number(y)}"))
        found = [(int(a), int(b)) for a, b in np.argwhere(given["output"] >= self.threshold)]
        reel.at(reel.steps - 1, *(_outline("kept", picture, a * s, b * s, w) for a, b in found))
        reel.at(reel.steps - 1, scores.shape("kept", found))
        words = f"{len(found)} of {out * out} windows score {number(self.threshold)} or more"
        reel.at(reel.steps - 1, Label(x=MARGIN, y=below, text=words, role="strong"))
        reel.always(Label(x=MARGIN, y=below + LINE, text=f"window {by(w)}, stride {s}", role="muted"))
        description = (
            f"A window of {by(w)} goes over a picture of {by(n)} in steps of {s}. Each of {out * out} places is cut "
            f"out and scored by itself: how much it looks like a cross. {words}."
        )
        return finished(reel, title=f"Sliding window, stride {s}", description=description, bottom=below + LINE)


@dataclass(frozen=True, kw_only=True)
class ConvolutionalWindows(Animation):
    """The same for a network: convolution, ReLU, 2x2 max pooling, and a dense layer that is run as a convolution.

    size: pixels of the picture, 8 to 24; window: pixels that the network was made for, 6 to 20, even as the size is;
    kernel: 3 or 5. At most 5 x 5 windows. Raises UsageError that names the field.
    """

    kind = "convolutional-windows"

    size: int = 18
    window: int = 14
    kernel: int = 5
    seed: int = 1
    seconds: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("size", self.size, 8, 24)
        check_range("window", self.window, 6, 20)
        check_range("kernel", self.kernel, 3, 5)
        for field, value, odd in (("size", self.size, 0), ("window", self.window, 0), ("kernel", self.kernel, 1)):
            if value % 2 != odd:
                raise UsageError(
                    f"{field} must be {'odd' if odd else 'even'}, so that pooling leaves no pixel, not {value}"
                )
        if not 0 <= self.size - self.window <= 8:
            raise UsageError(f"window must be from {self.size - 8} to the size of {self.size}, not {self.window}")

    @property
    def out(self) -> int:
        """Windows along each side: the network halves the picture once, so they are two pixels apart."""
        return (self.size - self.window) // _POOL + 1

    @property
    def dense(self) -> int:
        """The side of what the dense layer sees of one window."""
        return (self.window - self.kernel + 1) // _POOL

    def numbers(self) -> Mapping[str, Numbers]:
        """input (size, size), kernel (kernel, kernel), features, pooled, dense (dense, dense), output (out, out)."""
        x = pixel_scene(self.size, self.kernel, self.seed)
        weight = template(self.kernel)
        steps = np.minimum(np.arange(self.dense), np.arange(self.dense)[::-1]) + 1.0  # the middle counts most
        last = np.outer(steps, steps) / steps.max() ** 2
        features = np.maximum(convolve(x[None, None], weight[None, None]), 0)
        pooled = max_pool(features, _POOL).y
        y = convolve(pooled, last[None, None])
        named = {"features": features, "pooled": pooled, "output": y}
        return {"input": x, "kernel": weight, "dense": last, **{key: value[0, 0] for key, value in named.items()}}

    def costs(self) -> tuple[int, int]:
        """Multiply-accumulates of all windows at once, and of one after the other."""
        windows, sees, taps = self.out**2, self.dense**2, self.kernel**2
        at_once = taps * (self.size - self.kernel + 1) ** 2 + sees * windows
        return at_once, windows * (taps * (self.window - self.kernel + 1) ** 2 + sees)

    def drawing(self) -> Drawing:
        """Four steps in which the maps appear, then one for each window."""
        given = self.numbers()
        n, w, k, out = self.size, self.window, self.kernel, self.out
        conv = n - k + 1
        pixel = (WIDTH - 2 * MARGIN - 2 * _GAP) // (n + conv + conv // _POOL)
        picture = Grid(MARGIN, TOP, pixel, n, n)
        features = Grid(picture.right + _GAP, TOP, pixel, conv, conv)
        pooled = Grid(features.right + _GAP, TOP, pixel, conv // _POOL, conv // _POOL)
        scores = Grid(MARGIN, picture.bottom + HEADING, 31, out, out)
        reel = Reel(4 + out * out)
        show_grid(reel, picture, f"picture {by(n)}")
        reel.always(*shading(picture, given["input"]))
        for first, grid, key, heading in (
            (1, features, "features", f"convolved {by(conv)}"),
            (2, pooled, "pooled", "pooled"),
        ):
            show_grid(reel, grid, heading)
            reel.since(first, *shading(grid, given[key]))
        show_grid(reel, scores, f"scores {by(out)}")
        values = [scores.label(a, b, number(given["output"][a, b])) for a, b in scores.every_cell()]
        reel.since(3, *values)
        at_once, apart = self.costs()
        beside = max(scores.right, 100) + 18

        def say(step: int, *lines: str) -> None:
            for row, line in enumerate(lines):
                reel.at(step, Label(x=beside, y=scores.y + 12 + row * LINE, text=line))

        say(0, f"a network for {by(w)}", f"meets a picture of {by(n)}")
        say(1, f"the convolution, {by(k)},", "goes over all of it once")
        say(2, "and so does", "the pooling, 2 by 2")
        say(3, "the dense layer is", f"a kernel of {by(self.dense)}:", f"{out * out} scores at once")
        seen = w - k + 1
        for step, (row, column) in enumerate(scores.every_cell(), 4):
            top, left = _POOL * row, _POOL * column
            reel.at(
                step,
                _outline("window", picture, top, left, w),
                _outline("window", features, top, left, seen),
                _outline("window", pooled, row, column, self.dense),
                scores.shape("now", [(row, column)]),
            )
            alone = number(given["output"][row, column])
            say(step, f"window {step - 3} of {out * out}:", "cut out by itself,", f"it would score {alone} too")
        below = max(scores.bottom, scores.y + 3 * LINE) + 24
        counted = f"{at_once:,} multiply-accumulates at once;"
        compared = f"{apart:,} window by window: {apart / at_once:.1f} times as many"
        reel.always(
            Label(x=MARGIN, y=below, text=counted, role="muted"),
            Label(x=MARGIN, y=below + LINE, text=compared, role="muted"),
        )
        description = (
            f"A network made for windows of {by(w)} is applied to a picture of {by(n)} as convolutions. Its "
            f"{out * out} scores, {by(out)}, are those that its windows would get one by one: {counted} {compared}."
        )
        title = "All windows at once, by convolution"
        return finished(reel, title=title, description=description, bottom=below + LINE)


def check_share(field: str, value: object) -> None:
    """Raise UsageError naming the field unless the value is a number in 0..1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UsageError(f"{field} must be a number from 0 to 1, not {value!r}")


def _outline(role: ShapeRole, grid: Grid, row: int, column: int, side: int) -> Shape:
    return Shape(boxes=(grid.box(row, column, rows=side, columns=side),), role=role)
