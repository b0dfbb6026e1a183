"""One line of the table that README and docs show: what was measured, beside what was to be reached."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """what: the work, and with whom it is compared. measured, goal: ready to print. why: where a goal is missed.

    Without a goal (None) what was measured is told and not judged: met is None too.
    """

    what: str
    measured: str
    goal: str | None = None
    met: bool | None = None
    why: str = ""

    def __post_init__(self) -> None:
        if (self.goal is None) != (self.met is None):
            raise ValueError(f"{self.what}: a goal is met or missed, and without one nothing is")
        if (self.met is False) != bool(self.why):
            raise ValueError(f"{self.what}: a missed goal needs a reason, and nothing else has one")

    def __str__(self) -> str:
        if self.goal is None:
            return f"{self.what}: {self.measured}"
        verdict = "met" if self.met else f"missed: {self.why}"
        return f"{self.what}: {self.measured} (goal {self.goal}: {verdict})"
