"""The pictures that pages hold, each from the part of `report` that draws it, imported when it is wanted."""

from typing import TYPE_CHECKING

from convatlas.catalog import Card

if TYPE_CHECKING:
    from convatlas.arithmetic.tracing.trace import Trace


def network_diagram(trace: "Trace", card: Card) -> str:
    """The diagram of a network for its page; its ids begin with "picture"."""
    from convatlas.report.diagrams import diagram  # noqa: PLC0415

    return diagram(trace, title=card.name, part_names=card.part_names).inline("picture")


def animation_names() -> tuple[str, ...]:
    """The names of the animations that a page can show."""
    from convatlas.report.animations.presets import PRESETS  # noqa: PLC0415

    return tuple(PRESETS)


def animation(preset: str, name: str) -> str:
    """An animation for a page; its ids begin with `name`."""
    from convatlas.report.animations.presets import PRESETS  # noqa: PLC0415

    return PRESETS[preset].inline(name)
