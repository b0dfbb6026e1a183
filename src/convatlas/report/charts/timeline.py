"""The history of the networks: every family in the year of its paper, with what was new in it.

At a desk the years stand in columns, on a phone one under the other, where two strokes across the line stand for years
without a network.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from matplotlib.lines import Line2D

from convatlas.catalog.milestones import Milestone
from convatlas.report.charts.canvas import NARROW, TEXT, WIDE, Panel, Sheet, text_size, wrapped

_LINE: Final = 1.25 * TEXT  # from one line of text to the next
_GAP: Final = 9.0  # between two families
_DOT: Final = 4.0
_BESIDE: Final = 16.0  # from the left of a column to its words
_BETWEEN: Final = 12.0  # from the words of a column to the next column
_HEADING: Final = 26.0  # from a year to its first family
_AFTER: Final = 10.0  # below the last family of a year


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """All milestones, oldest first."""

    milestones: tuple[Milestone, ...]

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        return {"kind": "timeline", "milestones": [asdict(each) for each in self.milestones]}


def panels(timeline: Timeline) -> tuple[Panel, ...]:
    """The one drawing of the timeline."""
    years = _by_year(timeline.milestones)
    described = " ".join(
        f"{year}: {'; '.join(f'{each.label}, {each.novelty}' for each in of_year)}." for year, of_year in years.items()
    )
    columns = _columns(years)
    tallest = max(
        sum(_year_height(years[year], width) for year in column)
        for column, width in zip(columns, _widths(years, columns), strict=True)
    )
    lines = sum(_year_height(of_year, NARROW - 78, heading=False) for of_year in years.values())
    return (
        Panel(
            name="timeline",
            title=f"Families of networks by year, {min(years)} to {max(years)}",
            description=f"Landmarks are marked by a filled dot. {described}",
            wide=(WIDE, tallest + 4),
            narrow=(NARROW, lines + 4),
            draw=lambda sheet: _draw(sheet, years),
        ),
    )


def rows(timeline: Timeline) -> tuple[tuple[str, ...], ...]:
    """A header and one row a milestone, as text."""
    header = ("year", "family", "what was new", "landmark", "paper")
    return (
        header,
        *((str(m.year), m.label, m.novelty, "yes" if m.landmark else "", m.title) for m in timeline.milestones),
    )


def _by_year(milestones: Sequence[Milestone]) -> dict[int, list[Milestone]]:
    """Landmarks first within a year."""
    years: dict[int, list[Milestone]] = {}
    for each in sorted(milestones, key=lambda m: (m.year, not m.landmark, m.label.lower())):
        years.setdefault(each.year, []).append(each)
    return years


def _columns(years: dict[int, list[Milestone]]) -> list[list[int]]:
    """Years that share a column at a desk: as many after one another as have no more families than the fullest year."""
    most = max(map(len, years.values()))
    columns: list[list[int]] = []
    for year, of_year in years.items():
        if columns and sum(len(years[other]) for other in columns[-1]) + len(of_year) <= most:
            columns[-1].append(year)
        else:
            columns.append([year])
    return columns


def _widths(years: dict[int, list[Milestone]], columns: list[list[int]]) -> list[float]:
    """Room for the words of each column: that of its longest name, and the same for all as far as the page has it."""
    longest = [
        max(text_size(each.label, weight="bold")[0] for year in column for each in years[year]) for column in columns
    ]
    room = WIDE - len(columns) * (_BESIDE + _BETWEEN)
    least = min(longest)
    while sum(max(width, least + 1) for width in longest) <= room:
        least += 1
    return [max(width, least) for width in longest]


def _height(milestone: Milestone, width: float) -> float:
    return (2 + wrapped(milestone.novelty, width).count("\n")) * _LINE + _GAP


def _year_height(of_year: list[Milestone], width: float, *, heading: bool = True) -> float:
    return (_HEADING if heading else 0) + sum(_height(each, width) for each in of_year) + _AFTER


def _draw(sheet: Sheet, years: dict[int, list[Milestone]]) -> None:
    if sheet.width > 2 * NARROW:
        _draw_columns(sheet, years)
    else:
        _draw_list(sheet, years)


def _draw_columns(sheet: Sheet, years: dict[int, list[Milestone]]) -> None:
    left = 4.0
    columns = _columns(years)
    for column, width in zip(columns, _widths(years, columns), strict=True):
        top = 12.0
        height = sum(_year_height(years[year], width) for year in column)
        _stroke(sheet, (left + _DOT, 26), (left + _DOT, height - _AFTER))
        for year in column:
            _blank(sheet, left + _DOT, top)
            sheet.text(left, top, str(year), color=sheet.palette.ink, bold=True, size=14)
            top = _write_year(sheet, years[year], left + _DOT, left + _BESIDE, top + _HEADING, width)
        left += width + _BESIDE + _BETWEEN


def _draw_list(sheet: Sheet, years: dict[int, list[Milestone]]) -> None:
    top, previous = 14.0, None
    _stroke(sheet, (54, 4), (54, sheet.height - _AFTER - _GAP))
    for year, of_year in years.items():
        if previous is not None and year > previous + 1:
            _gap(sheet, 54, top - 17)
        previous = year
        sheet.text(4, top, str(year), color=sheet.palette.ink, bold=True, size=13)
        top = _write_year(sheet, of_year, 54, 68, top, sheet.width - 78)


def _write_year(sheet: Sheet, of_year: list[Milestone], dots: float, left: float, top: float, width: float) -> float:
    """The families of a year from `top` down; gives where the next year begins."""
    for each in of_year:
        _dot(sheet, each, dots, top)
        _write(sheet, each, left, top, width)
        top += _height(each, width)
    return top + _AFTER


def _write(sheet: Sheet, milestone: Milestone, left: float, top: float, width: float) -> None:
    """The name, and beneath it what was new; `top` is the middle of the first line."""
    ink = sheet.palette.answer if milestone.landmark else sheet.palette.ink
    sheet.text(left, top, milestone.label, color=ink, bold=True)
    top += _LINE
    for line in wrapped(milestone.novelty, width).split("\n"):
        sheet.text(left, top, line, color=sheet.palette.muted)
        top += _LINE


def _dot(sheet: Sheet, milestone: Milestone, x: float, y: float) -> None:
    across, up = sheet.point(x, y)
    colour = sheet.palette.answer if milestone.landmark else sheet.palette.muted
    sheet.figure.add_artist(
        Line2D(
            [across],
            [up],
            transform=sheet.figure.dpi_scale_trans,
            marker="o",
            markersize=2 * _DOT,
            markerfacecolor=colour if milestone.landmark else sheet.palette.page,
            markeredgecolor=colour,
            markeredgewidth=1.5,
            linestyle="",
            gid=milestone.network,
        )
    )


def _stroke(sheet: Sheet, start: tuple[float, float], end: tuple[float, float]) -> None:
    (x0, y0), (x1, y1) = sheet.point(*start), sheet.point(*end)
    sheet.figure.add_artist(
        Line2D(
            (x0, x1), (y0, y1), transform=sheet.figure.dpi_scale_trans, color=sheet.palette.line, linewidth=2, zorder=0
        )
    )


def _blank(sheet: Sheet, x: float, y: float) -> None:
    """Take the line away behind a year."""
    across, up = sheet.point(x, y)
    sheet.figure.add_artist(
        Line2D(
            [across],
            [up],
            transform=sheet.figure.dpi_scale_trans,
            marker="s",
            markersize=24,
            markerfacecolor=sheet.palette.page,
            markeredgecolor="none",
            linestyle="",
            zorder=1,
        )
    )


def _gap(sheet: Sheet, x: float, y: float) -> None:
    """Two short strokes across the line of years: time was left out here."""
    for step in (-3, 3):
        (x0, y0), (x1, y1) = (sheet.point(*end) for end in ((x - 6, y + step + 3), (x + 6, y + step - 3)))
        sheet.figure.add_artist(
            Line2D((x0, x1), (y0, y1), transform=sheet.figure.dpi_scale_trans, color=sheet.palette.muted, linewidth=1.2)
        )
