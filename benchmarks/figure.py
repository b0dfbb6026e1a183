"""One line of the table that README and docs show: what was measured, beside what was to be reached."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """what: the work, and with whom it is compared. measured, goal: ready to print. why: where a goal is missed."""

    what: str
    measured: str
    goal: str
    met: bool
    why: str = ""

    def __post_init__(self) -> None:
        if self.met == bool(self.why):
            raise ValueError(f"{self.what}: a missed goal needs a reason, and a met one needs none")

    def __str__(self) -> str:
        verdict = "met" if self.met else f"missed: {self.why}"
        return f"{self.what}: {self.measured} (goal {self.goal}: {verdict})"
