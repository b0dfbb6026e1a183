"""A count with the products that it is made of, so that the formula which is shown and the number cannot disagree."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Written:
    """A sum of one product or more: Written((9, 64, 128), (128,)) is 73,856 and reads `9·64·128 + 128 = 73,856`."""

    terms: tuple[tuple[int, ...], ...]

    def __init__(self, *terms: tuple[int, ...]) -> None:
        object.__setattr__(self, "terms", terms)

    @property
    def value(self) -> int:
        """What it comes to."""
        return sum(math.prod(term) for term in self.terms)

    def __str__(self) -> str:
        if len(self.terms) == 1 and len(self.terms[0]) == 1:
            return f"{self.value:,}"
        return " + ".join("·".join(map(str, term)) for term in self.terms) + f" = {self.value:,}"
