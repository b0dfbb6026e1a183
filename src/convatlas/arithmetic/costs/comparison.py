"""One comparison of two costs: both numbers, how each comes about, how many times more the one is."""

from dataclasses import dataclass

from convatlas.arithmetic.written import Written


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two: what it is, and its count with the formula written out."""

    name: str
    value: int
    formula: str  # "2·3·3 = 18"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a thing costs, and what its thriftier sister costs."""

    name: str  # as `convatlas costs` lists it: "two-3x3"
    title: str  # "Two 3x3 filters instead of one 5x5"
    counted: str  # what both numbers count: "weights", "multiply-accumulates"
    dearer: Side
    cheaper: Side
    said: str  # what is said of it and where, with what the reader should know

    @property
    def ratio(self) -> float:
        """How many times the cheaper one the dearer one costs."""
        return self.dearer.value / self.cheaper.value

    def to_dict(self) -> dict[str, object]:
        """Names and plain values, for JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "counted": self.counted,
            "dearer": {"name": self.dearer.name, "value": self.dearer.value, "formula": self.dearer.formula},
            "cheaper": {"name": self.cheaper.name, "value": self.cheaper.value, "formula": self.cheaper.formula},
            "ratio": self.ratio,
            "said": self.said,
        }


def side(name: str, *terms: tuple[int, ...]) -> Side:
    """A side whose count is a sum of products."""
    count = Written(*terms)
    return Side(name=name, value=count.value, formula=str(count))
