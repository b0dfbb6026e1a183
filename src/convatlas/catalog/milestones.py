"""The history of the networks: of each family and year one, with what was new in it. No torch."""

import functools
import importlib.resources
import tomllib
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Final

from convatlas.catalog import Card, list_cards
from convatlas.errors import DataError

LONGEST: Final = 40  # characters of a novelty


@dataclass(frozen=True, kw_only=True)
class Milestone:
    """A family in the year of its paper. `network` is the one that `novelty` is of; a landmark changed the field."""

    network: str
    family: str
    year: int
    novelty: str
    landmark: bool
    title: str
    url: str


@functools.cache
def milestones() -> tuple[Milestone, ...]:
    """One milestone for each family, and one for each later year in which it grew; oldest first, then by family."""
    return read_milestones(importlib.resources.files("convatlas.catalog") / "novelties.toml", list_cards())


def read_milestones(file: Traversable, cards: tuple[Card, ...]) -> tuple[Milestone, ...]:
    """The milestones that the file has words for.

    Raises DataError for a network that no card has, words that are too long, and a family's year without words or with
    two networks.
    """
    read = tomllib.loads(file.read_text(encoding="utf-8"))
    novelties, landmarks = read["novelties"], read["landmarks"]
    by_name = {card.name: card for card in cards}
    if unknown := sorted({*novelties, *landmarks} - set(by_name)) + sorted(set(landmarks) - set(novelties)):
        raise DataError(f"{file.name}: no card, or no novelty, is named {unknown[0]!r}")
    if long := [name for name, words in novelties.items() if not 0 < len(words) <= LONGEST]:
        raise DataError(f"{file.name}: {long[0]}: expected 1 to {LONGEST} characters")
    found: dict[tuple[str, int], str] = {}
    for name in novelties:
        place = (by_name[name].family, by_name[name].year)
        if place in found:
            raise DataError(f"{file.name}: {found[place]} and {name} are of the same family and year; keep one")
        found[place] = name
    if without := sorted({(card.family, card.year) for card in cards} - set(found)):
        raise DataError(f"{file.name}: lacks a novelty of {without[0][0]} in {without[0][1]}")
    return tuple(
        Milestone(
            network=name,
            family=family,
            year=year,
            novelty=novelties[name],
            landmark=name in landmarks,
            title=by_name[name].title,
            url=by_name[name].url,
        )
        for (family, year), name in sorted(found.items(), key=lambda each: (each[0][1], each[0][0].lower()))
    )
