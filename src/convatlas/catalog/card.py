"""A card: what is known of one network, read from a family's TOML file. No torch."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Published:
    """A figure that a source prints: `value` in percent."""

    measure: str  # "error" or "accuracy", top-1 unless it says top-5
    value: float
    on: str
    protocol: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """One network of the catalog.

    params: trainable parameters at `num_classes`. macs: multiply-accumulates of convolutions and dense layers for one
    image of shape `input` (channels, height, width). connections: as the paper counts them, where it does.
    parents: the networks whose design it takes further, by their catalog names; none of them is younger.
    part_names: the paper's names of parts ("conv2_x") by the dotted path of the module in ours ("stages.0"); what
    a paper repeats has one name at several paths. Empty where the paper names nothing.
    """

    name: str
    aliases: tuple[str, ...] = ()
    summary: str
    family: str
    task: str
    year: int
    title: str
    authors: str
    venue: str
    url: str
    idea: str
    features: tuple[str, ...]
    use: tuple[str, ...]
    parents: tuple[str, ...] = ()
    params: int
    params_source: str
    macs: int
    macs_source: str
    connections: int | None = None
    input: tuple[int, int, int]
    num_classes: int
    published: tuple[Published, ...] = ()
    part_names: Mapping[str, str] = field(default_factory=dict, hash=False)


def read_family(file: Traversable) -> tuple[Card, ...]:
    """The cards of one family's file: a variant's own fields, whole tables too, over those that the family shares."""
    family = tomllib.loads(file.read_text(encoding="utf-8"))
    variants = family.pop("variants")
    return tuple(_card({**family, **variant}) for variant in variants)


def _card(fields: dict[str, Any]) -> Card:
    published = tuple(Published(**figure) for figure in fields.pop("published", ()))
    values: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in fields.items()}
    values |= {"idea": " ".join(fields["idea"].split()), "published": published}
    return Card(**values)
