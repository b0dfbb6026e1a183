"""What every animation has: parameters that are checked, numbers that it computes, and its drawing."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from convatlas.arithmetic.axes import whole
from convatlas.errors import UsageError
from convatlas.report.animations.drawing import Drawing
from convatlas.report.animations.film import animated, check_name, frame

Numbers = NDArray[np.float64]
MOST_STEPS = 50  # more would be neither small nor watched


@dataclass(frozen=True, kw_only=True)
class Animation(ABC):
    """A drawing of some steps. seconds: how long each is shown, 0.1 to 10; seed: of the numbers it works on.

    Raises UsageError that names the field for an impossible value.
    """

    kind: ClassVar[str]

    seconds: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.seconds, bool) or not isinstance(self.seconds, int | float):
            raise UsageError(f"seconds must be a number, not {self.seconds!r}")
        if not (math.isfinite(self.seconds) and 0.1 <= self.seconds <= 10):
            raise UsageError(f"seconds must be from 0.1 to 10, not {self.seconds!r}")
        whole("seed", self.seed, 0)

    @abstractmethod
    def drawing(self) -> Drawing:
        """The marks of every step."""

    @abstractmethod
    def numbers(self) -> Mapping[str, Numbers]:
        """What goes in and what comes out, by name: "input", "output" and others, as arrays."""

    def svg(self, step: int | None = None) -> str:
        """A file of its own, light or dark as the reader has it; with `step`, that one frame without motion."""
        if step is not None:
            return frame(self.drawing(), step, name="animation")
        return animated(self.drawing(), seconds=self.seconds, name="animation", standalone=True)

    def inline(self, name: str) -> str:
        """An `<svg>` for HTML, in the page's colours (`templates/palette.css`); ids and keyframes begin with `name`."""
        check_name(name)
        return animated(self.drawing(), seconds=self.seconds, name=name, standalone=False)

    def parameters(self) -> dict[str, object]:
        """The fields and their values, those of the kind itself first."""
        names = [field.name for field in fields(self)]
        common = [field.name for field in fields(Animation)]
        own = [name for name in names if name not in common]
        return {name: getattr(self, name) for name in (*own, *common)}

    def to_dict(self) -> dict[str, object]:
        """All that the animation says, for JSON."""
        drawing = self.drawing()
        return {
            "kind": self.kind,
            "title": drawing.title,
            "description": drawing.description,
            "steps": drawing.steps,
            "parameters": self.parameters(),
            "numbers": {name: values.tolist() for name, values in self.numbers().items()},
        }


def check_range(field: str, value: object, least: int, most: int) -> None:
    """Raise UsageError naming the field unless the value is a whole number within the range, ends included."""
    if whole(field, value, least) > most:
        raise UsageError(f"{field} must be a whole number from {least} to {most}, not {value}")


def check_steps(count: int, advice: str) -> None:
    """Raise UsageError when there are more steps than anyone would watch."""
    if count > MOST_STEPS:
        raise UsageError(f"{advice}: this would take {count} steps, and an animation has at most {MOST_STEPS}")


def drawn_numbers(seed: int, shape: tuple[int, ...], low: int, high: int) -> Numbers:
    """Whole numbers from low to high, the same for the same seed."""
    random = np.random.default_rng(seed)
    return cast("NDArray[Any]", random.integers(low, high, size=shape, endpoint=True)).astype(np.float64)
