"""The history of the networks: of each family and year one, with what was new in it. No torch."""

import functools
import importlib.resources
import tomllib
from collections import Counter
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Final

from convatlas.catalog import Card, list_cards
from convatlas.errors import DataError

LONGEST: Final = 40  # characters of a novelty


@dataclass(frozen=True, kw_only=True)
class Milestone:
    """A family in the year of its paper. `network` is the one that `novelty` is of; a landmark changed the field.

    label: the family's name, or what tells it from an earlier year's entry of the same family.
    """

    network: str
    family: str
    label: str
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

    Raises DataError for a network that no card has, words that are too long, a family's year without words or with two
    networks, and two entries of one label.
    """
    read = tomllib.loads(file.read_text(encoding="utf-8"))
    novelties, landmarks, labels = read["novelties"], read["landmarks"], read["labels"]
    by_name = {card.name: card for card in cards}
    if unknown := sorted(set(novelties) - set(by_name)) + sorted({*landmarks, *labels} - set(novelties)):
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
    entries = tuple(
        Milestone(
            network=name,
            family=family,
            label=labels.get(name, family),
            year=year,
            novelty=novelties[name],
            landmark=name in landmarks,
            title=by_name[name].title,
            url=by_name[name].url,
        )
        for (family, year), name in sorted(found.items(), key=lambda each: (each[0][1], each[0][0].lower()))
    )
    for label, count in Counter(each.label for each in entries).items():
        if count > 1:
            raise DataError(f"{file.name}: {count} entries are called {label}; give the later ones a label")
    return entries
