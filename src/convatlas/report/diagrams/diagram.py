"""The diagram of a network: what it shows, in words and as SVG."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from convatlas.arithmetic.tracing.trace import Trace
from convatlas.errors import UsageError
from convatlas.report.diagrams.fitting import COLUMN, as_column, as_slide, slide_size
from convatlas.report.diagrams.folding import Box, Folded, Frame, Link
from convatlas.report.diagrams.layout import LINE_HEIGHT, TEXT, Layout, shape_text
from convatlas.report.diagrams.lettering import wrap
from convatlas.report.diagrams.svg import HEADING, MARGIN, write_svg

_KEY = "On the arrows: channels by height by width. In the boxes: kernel, channels, /stride."


@dataclass(frozen=True, kw_only=True)
class Diagram:
    """A network's diagram.

    title: what it is called. description: the sequence of its parts in words. boxes, frames, links: what is drawn, with
    the modules and operations that each stands for; a link names boxes by their place. width, height: in CSS px.
    """

    title: str
    description: str
    slide: bool
    width: float
    height: float
    _folded: Folded
    _laid: Layout
    _key: tuple[str, ...]

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The boxes in order of execution; the first are the inputs, the last is the output."""
        return self._folded.boxes

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The opened parts around them."""
        return self._folded.frames

    @property
    def links(self) -> tuple[Link, ...]:
        """The arrows."""
        return self._folded.links

    @cached_property
    def svg(self) -> str:
        """A file of its own: with its colours, light and dark, and a page behind it."""
        return self._written("diagram", standalone=True)

    def inline(self, name: str) -> str:
        """An `<svg>` element for a page, in the page's colours; `name` makes its ids unique there."""
        return self._written(name, standalone=False)

    def _written(self, name: str, *, standalone: bool) -> str:
        return write_svg(
            self._folded,
            self._laid,
            name=name,
            title=self.title,
            description=self.description,
            key=self._key,
            standalone=standalone,
            heading=self.title if self.slide else "",
            size=(self.width, self.height),
        )


def diagram(
    trace: Trace,
    *,
    title: str,
    part_names: Mapping[str, str] | None = None,
    depth: int | None = None,
    slide: bool = False,
) -> Diagram:
    """Draw a network as it ran.

    part_names: the path of a module -> what the paper calls it, such as {"stages.0": "conv2_x"}. depth: how deep calls
    of modules are opened, from 0, the network as one box; by default as deep as one block of each kind takes.
    slide: 16:9 from left to right in rows, in place of a column for a page and a phone.

    Raises UsageError for a negative depth and for a trace that stopped, and MissingExtra without pygraphviz, which the
    extra `atlas` brings.
    """
    if depth is not None and depth < 0:
        raise UsageError(f"depth: expected a whole number of at least 0, got {depth}")
    if trace.stopped:
        raise UsageError(f"{title}: stopped half-way; only a network that runs to its end can be drawn")
    names = dict(part_names or {})
    if slide:
        folded, laid = as_slide(trace, names, depth, HEADING)
        size = slide_size(laid, HEADING)
        key: tuple[str, ...] = ()
    else:
        folded, laid = as_column(trace, names, depth, COLUMN)
        key = wrap((_KEY,), TEXT, max(laid.width, 200))
        size = (max(laid.width, 200) + 2 * MARGIN, laid.height + 2 * MARGIN + len(key) * LINE_HEIGHT + 6)
    return Diagram(
        title=title,
        description=_described(title, folded),
        slide=slide,
        width=size[0],
        height=size[1],
        _folded=folded,
        _laid=laid,
        _key=key,
    )


def _described(title: str, folded: Folded) -> str:
    """The sequence of the parts in words."""
    given: dict[int, list[Link]] = {}
    gets: dict[int, list[Link]] = {}
    for link in folded.links:
        given.setdefault(link.source, []).append(link)
        gets.setdefault(link.target, []).append(link)
    said: list[str] = []
    entered: set[int] = set()
    for index, box in enumerate(folded.boxes):
        frame = box.frame
        news: list[str] = []
        while frame is not None and frame not in entered:
            entered.add(frame)
            news.insert(0, _frame_in_words(folded.frames[frame]))
            frame = folded.frames[frame].parent
        words = ", ".join(filter(None, (box.name, *box.texts)))
        words += f", {box.run} in a row" if box.run > 1 else ""
        words += f", from {len(gets[index])} parts" if len(gets.get(index, ())) > 1 else ""
        shapes = list(dict.fromkeys(shape_text(link.shapes) for link in given.get(index, ())))
        words += f": {' and '.join(shapes)}" if shapes else ""
        said.append("".join(f"{each}: " for each in news) + words)
    return f"The parts of {title} in order, each with the shape that it gives. " + "; ".join(said) + "."


def _frame_in_words(frame: Frame) -> str:
    times = f", {frame.run} in a row" if frame.run > 1 else ""
    return f"in {frame.title}{times}" + (f" ({frame.note})" if frame.note else "")
