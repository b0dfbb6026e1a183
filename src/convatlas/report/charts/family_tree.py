"""The family tree: which network was made from which, from the cards' parents, oldest at the top.

At a desk Graphviz lays it out, families as boxes with the years beside them. On a phone every family has a line of its
own and its heirs hang on a branch to its left, as a history of versions is drawn; so it is drawn everywhere where
Graphviz is not installed (the extra `atlas` brings it).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path

from convatlas.catalog import Card
from convatlas.report.charts.canvas import NARROW, Panel, Sheet, text_size
from convatlas.report.svg import PIXELS_AN_INCH

_ROW: Final = 27.0  # of the phone's drawing
_YEAR: Final = 42.0  # room for the years
_LANE: Final = 13.0
_BOX: Final = 22.0


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family, the year of its first network, and the families that its networks were made from."""

    name: str
    year: int
    parents: tuple[str, ...]
    networks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FamilyTree:
    """All families, parents before their children, oldest first."""

    families: tuple[Family, ...]

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """(parent, child), by child."""
        return tuple((parent, family.name) for family in self.families for parent in family.parents)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        return {"kind": "family-tree", "families": [asdict(each) for each in self.families], "edges": self.edges}


def family_tree(cards: Sequence[Card]) -> FamilyTree:
    """The families of the cards: one is another's parent when a network of it is a parent on a card of the other."""
    home = {card.name: card.family for card in cards}
    families: dict[str, Family] = {}
    for name in sorted({card.family for card in cards}):
        own = [card for card in cards if card.family == name]
        parents = {home[parent] for card in own for parent in card.parents} - {name}
        families[name] = Family(
            name=name,
            year=min(card.year for card in own),
            parents=tuple(sorted(parents, key=str.lower)),
            networks=tuple(card.name for card in own),
        )
    generation = _generations(families)
    ordered = sorted(families.values(), key=lambda each: (each.year, generation[each.name], each.name.lower()))
    return FamilyTree(families=tuple(ordered))


def _generations(families: dict[str, Family]) -> dict[str, int]:
    """How many steps a family comes after those of its own year that it is made from."""
    found: dict[str, int] = {}

    def of(name: str, seen: tuple[str, ...] = ()) -> int:
        if name in seen:
            raise ValueError(f"the cards' parents go round: {' from '.join((*seen, name))}")
        if name not in found:
            year = families[name].year
            found[name] = max(
                (of(p, (*seen, name)) + 1 for p in families[name].parents if families[p].year == year), default=0
            )
        return found[name]

    for name in families:
        of(name)
    return found


def panels(tree: FamilyTree) -> tuple[Panel, ...]:
    """The one drawing of the tree."""
    told = "; ".join(
        f"{family.name} ({family.year})" + (f" from {', '.join(family.parents)}" if family.parents else "")
        for family in tree.families
    )
    lanes = _lanes(tree)
    height = 26 + _ROW * len(tree.families)
    wide = _Layout.of(tree).size if _graphviz() else (NARROW + 150, height)
    return (
        Panel(
            name="family-tree",
            title="Family tree of the networks",
            description=f"Which family was made from which, oldest first. {told}.",
            wide=wide,
            narrow=(max(NARROW, _YEAR + _LANE * (max(lanes.values(), default=0) + 1) + 150), height),
            draw=lambda sheet: _draw(sheet, tree, wide),
        ),
    )


def rows(tree: FamilyTree) -> tuple[tuple[str, ...], ...]:
    """A header and one row a family, as text."""
    return (
        ("family", "year", "made from", "networks"),
        *((f.name, str(f.year), ", ".join(f.parents) or "-", ", ".join(f.networks)) for f in tree.families),
    )


def _draw(sheet: Sheet, tree: FamilyTree, wide: tuple[float, float]) -> None:
    if _graphviz() and (sheet.width, sheet.height) == wide:
        _draw_boxes(sheet, tree)
    else:
        _draw_lanes(sheet, tree)


def _graphviz() -> bool:
    try:
        import pygraphviz  # noqa: F401, PLC0415  # of the extra `atlas`
    except ImportError:
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Places in CSS pixels from the top left corner: middles of boxes, curves of edges, and heights of years."""

    size: tuple[float, float]
    boxes: dict[str, tuple[float, float]]
    curves: dict[tuple[str, str], tuple[tuple[float, float], ...]]
    years: dict[int, float]

    @classmethod
    def of(cls, tree: FamilyTree) -> "_Layout":
        """By Graphviz's dot: a row for each year, or for each generation where a year has several."""
        import pygraphviz  # noqa: PLC0415

        graph = pygraphviz.AGraph(directed=True, nodesep=0.14, ranksep=0.42, splines="true")
        generation = _generations({family.name: family for family in tree.families})
        ranks: dict[tuple[int, int], list[Family]] = {}
        for family in tree.families:
            ranks.setdefault((family.year, generation[family.name]), []).append(family)
            width = (text_size(family.name)[0] + 16) / PIXELS_AN_INCH
            graph.add_node(
                family.name, shape="box", label="", width=width, height=_BOX / PIXELS_AN_INCH, fixedsize=True
            )
        before = ""
        for (year, row), members in ranks.items():
            anchor = f"year {year} {row}"
            # Without a label, as the boxes: Graphviz would look for fonts, and may complain of them on stderr.
            graph.add_node(anchor, shape="point", label="", width=0.01, height=0.01, style="invis")
            graph.add_subgraph([anchor, *(family.name for family in members)], rank="same")
            if before:
                graph.add_edge(before, anchor, style="invis", weight=100)
            before = anchor
        for edge in tree.edges:
            graph.add_edge(*edge)
        graph.layout("dot")
        _, _, right, top = map(float, graph.graph_attr["bb"].split(","))

        def place(at: str) -> tuple[float, float]:
            x, y = map(float, at.split(","))
            return x + _YEAR + 6, top - y + 10

        return cls(
            size=(right + _YEAR + 14, top + 20),
            boxes={family.name: place(graph.get_node(family.name).attr["pos"]) for family in tree.families},
            curves={
                edge: tuple(
                    place(point.removeprefix("e,"))
                    for point in _tip_last(graph.get_edge(*edge).attr["pos"].replace("\\\n", "").split())
                )
                for edge in tree.edges
            },
            years={year: place(graph.get_node(f"year {year} {row}").attr["pos"])[1] for year, row in reversed(ranks)},
        )


def _tip_last(points: list[str]) -> list[str]:
    """Graphviz puts the arrow's tip, marked by "e,", before the curve that leads to it."""
    return [*(p for p in points if not p.startswith("e,")), *(p for p in points if p.startswith("e,"))]


def _draw_boxes(sheet: Sheet, tree: FamilyTree) -> None:
    layout, palette = _Layout.of(tree), sheet.palette
    inches = sheet.figure.dpi_scale_trans
    for year, y in layout.years.items():
        sheet.text(4, y, str(year), color=palette.muted)
        _stroke(sheet, [(_YEAR, y), (sheet.width, y)], palette.line, 1, zorder=0)
    for edge, curve in layout.curves.items():
        path = [sheet.point(*point) for point in curve]
        codes = [Path.MOVETO, *[Path.CURVE4] * (len(curve) - 2), Path.LINETO]
        sheet.figure.add_artist(
            PathPatch(
                Path(path, codes), transform=inches, facecolor="none", edgecolor=palette.muted, lw=1.1, gid=_gid(edge)
            )
        )
        _tip(sheet, curve[-2], curve[-1])
    for family in tree.families:
        x, y = layout.boxes[family.name]
        width = text_size(family.name)[0] + 16
        left, bottom = sheet.point(x - width / 2, y + _BOX / 2)
        sheet.figure.add_artist(
            FancyBboxPatch(
                (left, bottom),
                width / PIXELS_AN_INCH,
                _BOX / PIXELS_AN_INCH,
                boxstyle=f"round,pad=0,rounding_size={4 / PIXELS_AN_INCH}",
                transform=inches,
                facecolor=palette.cell,
                edgecolor=palette.answer,
                linewidth=1,
                gid=family.name,
                zorder=3,
            )
        )
        sheet.text(x, y, family.name, color=palette.ink, side="center").set_zorder(4)


def _tip(sheet: Sheet, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A small arrowhead at `end`."""
    (x0, y0), (x1, y1) = start, end
    length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-6)
    across, down = (x1 - x0) / length, (y1 - y0) / length
    corners = [
        (x1, y1),
        (x1 - 7 * across + 3 * down, y1 - 7 * down - 3 * across),
        (x1 - 7 * across - 3 * down, y1 - 7 * down + 3 * across),
    ]
    path = Path([sheet.point(*corner) for corner in corners] + [sheet.point(*corners[0])], closed=True)
    sheet.figure.add_artist(
        PathPatch(path, transform=sheet.figure.dpi_scale_trans, facecolor=sheet.palette.muted, edgecolor="none")
    )


def _lanes(tree: FamilyTree) -> dict[str, int]:
    """The lane of each family's branch to its heirs, counted from the names outwards; no two share a line in one."""
    row = {family.name: index for index, family in enumerate(tree.families)}
    until: dict[str, int] = {}
    for parent, child in tree.edges:
        until[parent] = max(until.get(parent, 0), row[child])
    lanes: dict[str, int] = {}
    for name in sorted(
        until, key=lambda each: (until[each] - row[each], row[each])
    ):  # short branches next to the names
        lane = 0
        while any(lanes[other] == lane and row[other] <= until[name] and row[name] <= until[other] for other in lanes):
            lane += 1
        lanes[name] = lane
    return lanes


def _draw_lanes(sheet: Sheet, tree: FamilyTree) -> None:
    palette, lanes = sheet.palette, _lanes(tree)
    names = _YEAR + _LANE * (max(lanes.values(), default=0) + 1) + 10
    height = {family.name: 18 + _ROW * index for index, family in enumerate(tree.families)}
    before = None
    for family in tree.families:
        y = height[family.name]
        if family.year != before:
            sheet.text(4, y, str(family.year), color=palette.muted)
            if before is not None:
                _stroke(sheet, [(4, y - _ROW / 2), (sheet.width, y - _ROW / 2)], palette.line, 1, zorder=0)
        before = family.year
        sheet.text(names + 10, y, family.name, color=palette.ink, bold=True)
    for parent, child in tree.edges:
        x = names - _LANE * (lanes[parent] + 1)
        # A branch leaves below its family's line and arrives above its heir's, so that the two do not run into one.
        top, bottom = height[parent] + 2.5, height[child] - 2.5
        turn = 5.0
        corners = [
            (names, top),
            (x + turn, top),
            (x, top),
            (x, top + turn),
            (x, bottom - turn),
            (x, bottom),
            (x + turn, bottom),
            (names, bottom),
        ]
        codes = [Path.MOVETO, Path.LINETO, Path.CURVE3, Path.CURVE3, Path.LINETO, Path.CURVE3, Path.CURVE3, Path.LINETO]
        sheet.figure.add_artist(
            PathPatch(
                Path([sheet.point(*corner) for corner in corners], codes),
                transform=sheet.figure.dpi_scale_trans,
                facecolor="none",
                edgecolor=palette.answer if lanes[parent] % 2 == 0 else palette.mistake,
                linewidth=1.3,
                gid=_gid((parent, child)),
            )
        )
    for family in tree.families:
        across, up = sheet.point(names, height[family.name])
        sheet.figure.add_artist(
            Line2D(
                [across],
                [up],
                transform=sheet.figure.dpi_scale_trans,
                linestyle="",
                marker="o",
                markersize=8,
                markerfacecolor=palette.page,
                markeredgecolor=palette.ink,
                markeredgewidth=1.5,
                gid=family.name,
                zorder=3,
            )
        )


def _gid(edge: tuple[str, str]) -> str:
    return " to ".join(edge)


def _stroke(sheet: Sheet, points: Sequence[tuple[float, float]], colour: str, width: float, *, zorder: float) -> None:
    across, up = zip(*(sheet.point(*point) for point in points), strict=True)
    sheet.figure.add_artist(
        Line2D(across, up, transform=sheet.figure.dpi_scale_trans, color=colour, linewidth=width, zorder=zorder)
    )
