"""Numbers by chance that are the same on every machine and with every version of NumPy.

NumPy promises that for a generator's bits, not for what `Generator` makes of them
(https://numpy.org/neps/nep-0019-rng-policy.html), so numbers are made from the bits here.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


class Chance:
    """A stream of numbers that the seed decides: whole numbers, 0 to 2**32 - 1, always as many of them."""

    def __init__(self, *seed: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(seed))

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included, each as likely."""
        return low + (int(self._bits.random_raw()) * (high - low + 1) >> 64)

    def real(self, low: float, high: float) -> float:
        """A number from low to high."""
        return low + (high - low) * ((int(self._bits.random_raw()) >> 11) / 2**53)

    def one_of(self, choices: Sequence[T]) -> T:
        """One of the choices, each as likely."""
        return choices[self.whole(0, len(choices) - 1)]

    def grey(self, height: int, width: int) -> NDArray[np.uint8]:
        """(height, width) values 0..255."""
        words = self._bits.random_raw(-(-height * width // 8)).astype("<u8")
        return words.view(np.uint8)[: height * width].reshape(height, width)
