"""What one way of building a network costs beside another, in one call. Without torch."""

from pathlib import Path

from convatlas.arithmetic.costs import compare_costs
from convatlas.arithmetic.costs.comparison import Comparison


def costs(name: str | None = None, *, out: str | Path | None = None) -> tuple[Comparison, ...]:
    """All comparisons of costs, or the one of this name; with `out`, also a chart of them.

    costs("two-3x3")[0].ratio
    costs(out="costs.svg")

    Each has both counts with their formulas, and `ratio`: how many times the cheaper one the dearer one costs. For
    other numbers than the usual ones call a function of `convatlas.arithmetic`, such as `separable_or_full`.

    out: a file that ends in .svg or .png; an earlier one is replaced.

    Raises UsageError for an unknown name, with the nearest ones, and for another ending; SaveError when the chart
    cannot be written.
    """
    compared = compare_costs(name)
    if out is not None:
        from convatlas.report.cost_chart import write_cost_chart  # noqa: PLC0415  # matplotlib: half a second

        write_cost_chart(compared, Path(out))
    return compared
