"""What the site holds, and where each thing stands in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from convatlas.catalog import Card, Published
from convatlas.report.atlas.content import Concept, Content, Question, Reading, Term

PLACES: Final = {
    "concept": "concepts/{}.html",
    "question": "questions/{}.html",
    "network": "networks/{}.html",
    "reading": "reading.html#reading-{}",
    "term": "glossary.html#term-{}",
}
SINGLE: Final = (
    "index.html",
    "concepts.html",
    "questions.html",
    "history.html",
    "charts.html",
    "glossary.html",
    "reading.html",
    "errata.html",
    "about.html",
)
"""The pages of which there is one."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """The networks that have a page, and all words."""

    cards: tuple[Card, ...]
    content: Content
    versions: tuple[tuple[str, str], ...]  # (package, version) of what built it

    @cached_property
    def by_name(self) -> Mapping[str, Card]:
        """The cards."""
        return {card.name: card for card in self.cards}

    @cached_property
    def concepts(self) -> Mapping[str, Concept]:
        """The concepts."""
        return {each.slug: each for each in self.content.concepts}

    @cached_property
    def questions(self) -> Mapping[str, Question]:
        """The questions."""
        return {each.slug: each for each in self.content.questions}

    @cached_property
    def readings(self) -> Mapping[str, Reading]:
        """The readings."""
        return {each.key: each for each in self.content.readings}

    def place(self, kind: str, key: str) -> str | None:
        """The address from the site's root; None for a network that this site has no page for."""
        if kind == "network" and key not in self.by_name:
            return None
        return PLACES[kind].format(key)

    def children(self, name: str) -> tuple[Card, ...]:
        """The networks that name this one as a parent."""
        return tuple(card for card in self.cards if name in card.parents)

    def relatives(self, card: Card) -> tuple[Card, ...]:
        """The other networks of its family."""
        return tuple(each for each in self.cards if each.family == card.family and each.name != card.name)

    def concepts_of(self, name: str) -> tuple[Concept, ...]:
        """The concepts that name this network as a place to see them."""
        return tuple(each for each in self.content.concepts if name in each.networks)

    def questions_of(self, slug: str) -> tuple[Question, ...]:
        """The questions that lead to this concept."""
        return tuple(each for each in self.content.questions if slug in each.see)

    def terms_of(self, slug: str) -> tuple[Term, ...]:
        """The words that this concept explains."""
        return tuple(each for each in self.content.glossary if each.page == f"concept:{slug}")


def on_imagenet(card: Card) -> Published | None:
    """The top-1 figure on ImageNet that stands for the network: one crop before many, an accuracy before an error."""
    figures = [each for each in _top1(card) if each.on == "ImageNet val"]
    return min(figures, key=lambda each: ("1-crop" not in each.protocol, each.measure != "accuracy"), default=None)


def elsewhere(card: Card) -> tuple[Published, ...]:
    """Its top-1 figures on other data."""
    return tuple(each for each in _top1(card) if each.on != "ImageNet val")


def accuracy(figure: Published) -> float:
    """In percent, of an error too."""
    return figure.value if "accuracy" in figure.measure else 100 - figure.value


def _top1(card: Card) -> list[Published]:
    return [each for each in card.published if each.measure in ("error", "accuracy")]
