"""`convatlas models`: which networks there are."""

import dataclasses
from typing import Annotated

import typer

from convatlas.cli.output import AsJson, print_json, print_line, print_table
from convatlas.errors import UsageError

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}


def models(
    pattern: Annotated[
        str | None, typer.Argument(help="Part of a name or family (lenet), or with wildcards all of it (lenet*).")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Only networks for this task, such as classify.")] = None,
    year: Annotated[int | None, typer.Option(help="Only networks of this year.")] = None,
    since: Annotated[int | None, typer.Option(help="Only networks of this year or later.")] = None,
    until: Annotated[int | None, typer.Option(help="Only networks of this year or earlier.")] = None,
    max_params: Annotated[
        str | None, typer.Option(metavar="COUNT", help="At most so many parameters: 60000, 60k, 5M.")
    ] = None,
    max_macs: Annotated[
        str | None, typer.Option(metavar="COUNT", help="At most so many multiply-accumulates an image: 400k, 1.5G.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the networks of the atlas with their year, size and cost, oldest first."""
    from convatlas.catalog import list_cards

    cards = list_cards(
        pattern,
        task=task,
        year=year,
        since=since,
        until=until,
        max_params=parse_count("--max-params", max_params),
        max_macs=parse_count("--max-macs", max_macs),
    )
    if as_json:
        print_json([dataclasses.asdict(card) for card in cards])
        return
    if not cards:
        print_line("no network meets these conditions; `convatlas models` lists them all")
        return
    print_table(
        ("name", "year", "task", "parameters", "MACs", "input", "what it is"),
        [
            (
                card.name,
                str(card.year),
                card.task,
                f"{card.params:,}",
                f"{card.macs:,}",
                "x".join(map(str, card.input)),
                card.summary,
            )
            for card in cards
        ],
        right=("parameters", "MACs"),
    )


def parse_count(option: str, text: str | None) -> int | None:
    """`"5M"` -> 5,000,000. Raises UsageError naming the option for a text that is not a count."""
    if text is None:
        return None
    number = text.strip().lower().replace("_", "").replace(",", "")
    unit = number[-1:] if number[-1:] in UNITS else ""
    try:
        count = float(number.removesuffix(unit)) * UNITS[unit]
    except ValueError:
        raise UsageError(f"{option} {text}: expected a count such as 60000, 60k, 5M or 1.5G") from None
    if not 0 <= count < 1e18:
        raise UsageError(f"{option} {text}: expected a count of at least 0")
    return int(count)
