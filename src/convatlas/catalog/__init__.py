"""What is known of every network, as data: one TOML file a family under `cards/`. No torch."""

import fnmatch
import functools
import importlib.resources
from collections.abc import Mapping

from convatlas.catalog.card import Card, Published, read_family
from convatlas.errors import UsageError, did_you_mean

__all__ = ["Card", "Published", "card", "list_cards", "list_models", "resolve"]


@functools.cache
def _cards() -> Mapping[str, Card]:
    folder = importlib.resources.files(__name__) / "cards"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    cards = sorted((card for file in files for card in read_family(file)), key=lambda card: card.year)
    return {card.name: card for card in cards}


@functools.cache
def _names() -> Mapping[str, str]:
    """Every name and alias, to the name."""
    return {name: card.name for card in _cards().values() for name in (card.name, *card.aliases)}


def resolve(name: str) -> str:
    """The catalog's own name for a name or alias, whatever its case and whether it has hyphens or underscores.

    Raises UsageError with the nearest names when there is none.
    """
    names = _names()
    key = name.strip().lower().replace("-", "_")
    if key not in names:
        raise UsageError(f"unknown network {name!r}.{did_you_mean(key, names)} `convatlas models` lists them all")
    return names[key]


def card(name: str) -> Card:
    """The card of a network, by name or alias. Raises UsageError for an unknown name."""
    return _cards()[resolve(name)]


def list_cards(
    pattern: str | None = None,
    *,
    task: str | None = None,
    year: int | None = None,
    since: int | None = None,
    until: int | None = None,
    max_params: int | None = None,
    max_macs: int | None = None,
) -> tuple[Card, ...]:
    """The cards that meet every condition given, oldest first.

    pattern: part of a name, alias or family ("resnet"), or with wildcards the whole of one ("resnet*_cifar"), in any
    case. year: exactly; since, until: the years at both ends count. Raises UsageError for a task that no card has.
    """
    tasks = sorted({card.task for card in _cards().values()})
    if task is not None and task not in tasks:
        raise UsageError(f"unknown task {task!r}.{did_you_mean(task, tasks)} There is: {', '.join(tasks)}")
    return tuple(
        card
        for card in _cards().values()
        if (pattern is None or _matches(card, pattern))
        and (task is None or card.task == task)
        and (year is None or card.year == year)
        and (since is None or card.year >= since)
        and (until is None or card.year <= until)
        and (max_params is None or card.params <= max_params)
        and (max_macs is None or card.macs <= max_macs)
    )


def list_models(
    pattern: str | None = None,
    *,
    task: str | None = None,
    year: int | None = None,
    since: int | None = None,
    until: int | None = None,
    max_params: int | None = None,
    max_macs: int | None = None,
) -> list[str]:
    """The names of the cards that `list_cards` gives for the same conditions."""
    cards = list_cards(
        pattern, task=task, year=year, since=since, until=until, max_params=max_params, max_macs=max_macs
    )
    return [card.name for card in cards]


def _matches(card: Card, pattern: str) -> bool:
    wanted = pattern.lower().replace("-", "_")
    if not any(sign in wanted for sign in "*?["):
        wanted = f"*{wanted}*"
    return any(fnmatch.fnmatchcase(name.lower(), wanted) for name in (card.name, *card.aliases, card.family))
