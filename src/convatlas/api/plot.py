"""The charts of the field as data and as pictures: timeline, efficiency, family tree, detection, initialisation."""

from pathlib import Path
from typing import TYPE_CHECKING

from convatlas.errors import UsageError

if TYPE_CHECKING:
    from convatlas.report.charts.kinds import ChartData


def plot_data(kind: str, *, depth: int | None = None, width: int | None = None, seed: int | None = None) -> "ChartData":
    """What a chart shows, as frozen dataclasses with `to_dict`.

    plot_data("efficiency").points[0].top1
    plot_data("initialisation", depth=50).signals

    kind: "timeline", "efficiency", "family-tree", "detection" or "initialisation". depth, width, seed: of the chain of
    layers that is measured for initialisation (20, 256, 0), and of no other kind.

    Raises UsageError for an unknown kind, with the nearest ones, and for an option that the kind does not have.
    """
    from convatlas.report.charts import initialisation, kinds  # noqa: PLC0415  # matplotlib: half a second

    kinds.check_kind(kind)
    given = {name: value for name, value in (("depth", depth), ("width", width), ("seed", seed)) if value is not None}
    if kind == "initialisation":
        return initialisation.measure(**given)
    if given:
        raise UsageError(f"{', '.join(given)}: only the chart of initialisation is measured; leave out for {kind}")
    return kinds.chart_data(kind)


def plot(
    kind: str,
    *,
    out: str | Path | None = None,
    depth: int | None = None,
    width: int | None = None,
    seed: int | None = None,
) -> "ChartData":
    """Draw a chart into a file and give what it shows, as `plot_data` does.

    plot("timeline")  # timeline.svg
    plot("detection", out="detection.png")

    out: a file that ends in .svg or .png; None: the kind's name and .svg, in the current folder. An earlier one is
    replaced. An SVG is light or dark as its reader is; a PNG is light.

    Raises UsageError as `plot_data` and for another ending, SaveError when the file cannot be written.
    """
    from convatlas.report.charts import kinds  # noqa: PLC0415
    from convatlas.report.figure_file import check_figure_path  # noqa: PLC0415

    kinds.check_kind(kind)
    target = Path(f"{kind}.svg" if out is None else out)
    check_figure_path("out", target)
    data = plot_data(kind, depth=depth, width=width, seed=seed)
    kinds.write_chart(kind, data, target)
    return data
