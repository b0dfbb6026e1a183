"""Writes the generated pages of docs/ (see `pages`) and the README's tables.

Run it as `python docs/generate.py`.
`--check` writes nothing and exits 1 when something on disk differs from what the code says.
"""

import argparse
import difflib
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import convatlas
from convatlas.arithmetic.errata import ERRATA
from convatlas.arithmetic.tables import text as table_text
from convatlas.arithmetic.tables.table import LayerTable
from convatlas.catalog import Card, list_cards
from convatlas.cli import make_app

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the benchmarks are beside the package, not in it
import detection_page  # noqa: E402
import growth_pictures  # noqa: E402
import speed_page  # noqa: E402
import start_up_page  # noqa: E402
import warm_picture  # noqa: E402
from benchmarks import families, parity, zoo  # noqa: E402
from benchmarks.__main__ import MEASUREMENTS, PROMISE  # noqa: E402

NOTICE = "<!-- Written by docs/generate.py from the code (`make docs`): edit the code instead. -->\n"
RESULTS = ROOT / "benchmarks" / "results"


def cli_page() -> str:
    """docs/cli.md: each verb with its words of help, arguments and options."""
    root: Any = typer.main.get_command(make_app())
    parts = [f"{NOTICE}\n# The command line\n", f"{root.help.strip()}\n"]
    verbs = list(_verbs(root, "convatlas"))
    parts.append("\n".join(f"- [`{name}`](#{_anchor(name)}): {_summary(verb)}" for name, verb in verbs) + "\n")
    parts += [_verb_section(name, verb) for name, verb in verbs]
    return "\n".join(parts)


def models_page() -> str:
    """docs/models.md: the table of networks, then each network's card."""
    cards = list_cards()
    parts = [
        f"{NOTICE}\n# The networks\n",
        "Parameters are the trainable ones. MACs are multiply-accumulates for one picture of the size given.\n",
        models_table(cards),
    ]
    return "\n".join([*parts, *(_card_section(card) for card in cards)])


def models_table(cards: tuple[Card, ...]) -> str:
    """One row a network, oldest first; the name leads to its card."""
    rows = [
        "| Network | Year | Task | Input | Parameters | MACs | In a few words |",
        "| --- | ---: | --- | --- | ---: | ---: | --- |",
    ]
    for card in cards:
        cells = [
            f"[`{card.name}`](#{_anchor(card.name)})",
            card.year,
            card.task,
            _shape(card),
            f"{card.params:,}",
            f"{card.macs:,}",
            _cell(card.summary),
        ]
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(rows) + "\n"


def families_table(cards: tuple[Card, ...]) -> str:
    """One row a family, oldest first; a name leads to its card."""
    rows = ["| Family | Year | Networks | Parameters | What was new |", "| --- | ---: | --- | ---: | --- |"]
    for family in dict.fromkeys(card.family for card in cards):
        members = sorted((card for card in cards if card.family == family), key=lambda card: card.params)
        smallest, largest = _short(members[0].params), _short(members[-1].params)
        cells = [
            f"[{family}]({members[0].url})",
            min(card.year for card in members),
            _members(members),
            smallest if smallest == largest else f"{smallest} to {largest}",
            _cell(members[0].features[0]),
        ]
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(rows) + "\n"


def _members(cards: list[Card]) -> str:
    """A few by name; of many how many there are, the smallest and the largest."""
    named = [f"[`{card.name}`](docs/models.md#{_anchor(card.name)})" for card in cards]
    return ", ".join(named) if len(named) <= 4 else f"{len(named)}, from {named[0]} to {named[-1]}"


def families_page() -> str:
    """docs/families.md: what `python -m benchmarks families` measured, one row a network."""
    result = json.loads((RESULTS / "families.json").read_text(encoding="utf-8"))
    recipe = result["recipe"]
    family = {card.name: card.family for card in list_cards()}
    rows = [
        "| Family | Network | Pictures | Parameters | MACs | Accuracy | A step | Memory |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in result["networks"]:
        cells = [
            family[row["model"]],
            f"[`{row['model']}`](models.md#{_anchor(row['model'])}){families.told_changes(row)}",
            f"{row['side']}x{row['side']}",
            _short(row["parameters"]),
            _short(row["macs"]),
            f"{row['accuracy']:.1%}",
            f"{row['step_seconds'] * 1000:,.0f} ms",
            families.told_memory(row),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(
        [
            f"{NOTICE}\n# One member of each family, trained alike\n",
            f"{inspect.cleandoc(families.__doc__ or '').partition(chr(10) * 2)[2]}\n",
            f"Here: {result['steps']} steps of {recipe['batch_size']} {result['data']} scaled to the size given, "
            f"{recipe['optimizer']}, {recipe['schedule']} schedule from a rate of {recipe['lr']:g}. Accuracy is "
            f"that on {result['held_out']:,} others. Where a family's smallest network is too heavy for that, what "
            "was changed in its config stands beside its name. A step is the median of all but the first few. Memory "
            "is what the process held at most while it trained, beyond Python, torch and the pictures.\n",
            *rows,
            f"\nOn {_machine(result['machine'])}: `python -m benchmarks families`. The same on Fashion-MNIST, or other "
            "IDX files of ten classes: `python -m benchmarks families --data FOLDER`.\n",
        ]
    )


def parity_page() -> str:
    """docs/parity.md: what `python -m benchmarks parity` found, one row a network and peer; then those without."""
    result = json.loads((RESULTS / "parity.json").read_text(encoding="utf-8"))
    rows = [
        "| Network | Peer | Picture | Parameters | MACs | Outputs differ by | Unlike |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for row in result["rows"]:
        cells = [
            f"[`{row['model']}`](models.md#{_anchor(row['model'])}){parity.told_network(row).removeprefix(row['model'])}",
            row["library"] if row["peer"] == row["model"] else f"{row['library']}, `{row['peer']}`",
            "x".join(map(str, row["input"])),
            parity.told_count(row, "parameters"),
            parity.told_count(row, "macs"),
            parity.told_difference(row),
            _cell(row["why"]),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    alone = [
        f"- [`{name}`](models.md#{_anchor(name)}): [{file}](../{file})" for name, file in result["without_peer"].items()
    ]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return "\n".join(
        [
            f"{NOTICE}\n# Ours against the peers\n",
            f"{inspect.cleandoc(parity.__doc__ or '')}\n",
            "One number where both have the same; else the peer's stands beside ours. Outputs differ by so many parts "
            f"of the largest output. In all, {parity.lines(result)[0].removesuffix(':')}.\n",
            *rows,
            "\n## Without a peer\n",
            "None of the three has a constructor for these networks as they are, or they are too large to be compared "
            "whole. The tests named count them by hand from their papers or their authors' code, and compare them with "
            "a peer's network that is built or changed to be the same, or with a twin in plain functions.\n",
            *alone,
            f"\nOn torch {result['machine']['torch']}, {versions}: `python -m benchmarks parity`.\n",
        ]
    )


def zoo_page() -> str:
    """docs/zoo.md: every network, with what `python -m benchmarks zoo` measured of it, where it did."""
    file = RESULTS / "zoo.json"
    result = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"networks": []}
    measured = {row["model"]: row for row in result["networks"]}
    rows = [
        "| Year | Family | Network | Parameters | MACs | Picture | One picture | Published | On what, how, by whom |",
        "| ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for card in zoo.by_year(list_cards()):
        row = {**measured.get(card.name, {}), **zoo.facts(card)}
        cells = [
            str(card.year),
            card.family,
            f"[`{card.name}`](models.md#{_anchor(card.name)})",
            f"{card.params:,}",
            f"{card.macs:,}",
            zoo.told_input(row),
            zoo.told_latency(row),
            zoo.told_accuracy(row),
            _cell(zoo.told_source(row)),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    where = f"With {result['threads']} threads on {_machine(result['machine'])}" if measured else "Not measured yet"
    return "\n".join(
        [
            f"{NOTICE}\n# The whole zoo\n",
            f"{inspect.cleandoc(zoo.__doc__ or '')}\n",
            *rows,
            f"\n{where}: `python -m benchmarks zoo`.\n",
        ]
    )


def errata_page() -> str:
    """docs/errata.md: the slips of the study notes and remarks on them, one table a note."""
    parts = [
        f"{NOTICE}\n# Slips of the notes\n",
        "The atlas began with five study notes on convolutional networks. Their numbers were all worked again; most "
        "are right, and `convatlas costs` shows those that compare costs. What follows is not so, where it is called "
        "a slip; or it is rounded, shortened or left open, so that a reader who works it again finds something else: "
        "a remark. What is right is computed by the code, and once more by other means in "
        "`tests/arithmetic/test_errata.py`.\n",
    ]
    for note in dict.fromkeys(erratum.note for erratum in ERRATA):
        rows = [
            f"| {' | '.join(map(_cell, (each.place, each.kind, each.printed, each.right, each.why)))} |"
            for each in ERRATA
            if each.note == note
        ]
        head = ["| Where | Kind | Printed | Right | Why |", "| --- | --- | --- | --- | --- |"]
        parts.append("\n".join([f"## {note}\n", *head, *rows, ""]))
    return "\n".join(parts)


def readme(text: str) -> str:
    """The README with its generated parts put anew, each between its two markers."""
    parts = {
        "models": families_table(list_cards()),
        "show": show_table(),
        "speed": speed_page.readme_table(),
        "measured": measured_table(),
    }
    for name, part in parts.items():
        begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->\n"
        if begin not in text or end not in text:
            raise SystemExit(f"README.md: expected the lines {begin.strip()} and {end.strip()}, with the table between")
        before, rest = text.split(begin, 1)
        text = f"{before}{begin}{part}{end}{rest.split(end, 1)[1]}"
    return text


def show_table() -> str:
    """VGG-16 as `convatlas show vgg16` has it, without the layers that neither hold nor change anything."""
    table = convatlas.show("vgg16")
    shown = ("layer", "operation", "output", "parameters", "MACs", "sees", "jump")
    names, rows = table_text.cells(table)
    places = [names.index(name) for name in shown]
    kept = [cells for cells, row in zip(rows, table.rows, strict=True) if row.parameters or row.inputs != row.outputs]
    lines = [
        f"| {' | '.join(shown)} |",
        f"| {' | '.join('---:' if name in table_text.RIGHT else '---' for name in shown)} |",
        *(f"| {' | '.join(_cell(cells[place]) for place in places)} |" for cells in kept),
    ]
    return "\n".join([*lines, "", "; ".join(f"{words} {name}" for name, words in _short_totals(table)) + ".", ""])


def _short_totals(table: LayerTable) -> list[tuple[str, str]]:
    return [(name, words) for name, words in table_text.totals(table) if name in ("parameters", "MACs", "connections")]


def measured_table() -> str:
    """One row a line of `python -m benchmarks`, from the results that it committed."""
    rows = ["| Measured | With |", "| --- | --- |"]
    machines = set()
    for name, measurement in MEASUREMENTS.items():
        if name in PROMISE or measurement in (families, parity, zoo, *detection_page.MEASURED.values()):
            continue  # a page of its own
        result = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        machines.add(_machine(result.pop("machine")))
        rows += [f"| {_cell(line)} | `python -m benchmarks {name}` |" for line in measurement.lines(result)]
    words = [
        f"On {'; '.join(sorted(machines))}. Times differ from machine to machine.",
        "",
        "[Boxes and proposals](docs/detection.md): non-maximum suppression, recall and time of every method.",
        "[One member of each family, trained alike](docs/families.md): accuracy, time and memory of equal steps.",
        "[Ours against the peers](docs/parity.md): parameters, MACs and outputs beside those of other libraries.",
        "[Start-up](docs/start-up.md): what each verb imports, and how long a fresh process takes for a small task.",
        "[The whole zoo](docs/zoo.md): year, size, published accuracy and the time of one picture, network by network.",
    ]
    return "\n".join([*rows, "", *words, ""])


def _verbs(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    for word, command in group.commands.items():
        if getattr(command, "commands", None):
            yield from _verbs(command, f"{name} {word}")
        elif not command.hidden:
            yield f"{name} {word}", command


def _verb_section(name: str, verb: Any) -> str:
    context = typer.Context(verb, info_name=name)
    usage = " ".join([name, *verb.collect_usage_pieces(context)])
    parts = [f"## {name}\n", f"```\n{usage}\n```\n", f"{inspect.cleandoc(verb.help or '')}\n"]
    for kind in ("argument", "option"):
        records = [each.get_help_record(context) for each in verb.params if each.param_type_name == kind]
        rows = [f"| `{_cell(left)}` | {_cell(right)} |" for left, right in filter(None, records)]
        if rows:
            parts.append("\n".join([f"| {kind.capitalize()} | Meaning |", "| --- | --- |", *rows, ""]))
    return "\n".join(parts)


def _summary(verb: Any) -> str:
    paragraph = inspect.cleandoc(verb.help or "").split("\n\n", maxsplit=1)[0]
    return " ".join(paragraph.split())


def _card_section(card: Card) -> str:
    facts = [
        f"- **Paper:** {card.authors}, [{card.title}]({card.url}), {card.venue}, {card.year}",
        f"- **Parameters:** {card.params:,} with {card.num_classes} classes ({card.params_source})",
        f"- **MACs:** {card.macs:,} for {_shape(card)} ({card.macs_source})",
    ]
    if card.connections is not None:
        facts.append(f"- **Connections:** {card.connections:,}, as the paper counts them")
    if card.parents:
        facts.append(f"- **Builds on:** {', '.join(f'[`{name}`](#{_anchor(name)})' for name in card.parents)}")
    if card.aliases:
        facts.append(f"- **Also called:** {', '.join(f'`{alias}`' for alias in card.aliases)}")
    facts += [
        f"- **Published:** {figure.measure} {figure.value:g} % on {figure.on}, {figure.protocol} ({figure.source})"
        for figure in card.published
    ]
    return "\n".join(
        [
            f"## {card.name}\n",
            f"{card.family}: {card.summary}.\n",
            f"{card.idea}\n",
            *facts,
            "\nWhat is new:\n",
            *(f"- {feature}" for feature in card.features),
            "\nWhat it is good for:\n",
            *(f"- {use}" for use in card.use),
            "",
        ]
    )


def _shape(card: Card) -> str:
    return "x".join(map(str, card.input))


def _short(count: int) -> str:
    """60,000 -> "60 k", 25,557,032 -> "25.6 M"."""
    return f"{count / 1e6:.1f} M" if count >= 100_000 else f"{count / 1e3:.0f} k"


def _machine(machine: dict[str, Any]) -> str:
    return f"{machine['cores']} cores of {machine['processor']}, torch {machine['torch']}"


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def pages() -> dict[Path, str]:
    """What each generated file should hold."""
    return {
        ROOT / "docs" / "cli.md": cli_page(),
        ROOT / "docs" / "detection.md": f"{NOTICE}\n{detection_page.page()}",
        ROOT / "docs" / "errata.md": errata_page(),
        ROOT / "docs" / "models.md": models_page(),
        ROOT / "docs" / "families.md": families_page(),
        ROOT / "docs" / "parity.md": parity_page(),
        ROOT / "docs" / "speed.md": f"{NOTICE}\n{speed_page.page()}",
        ROOT / "docs" / "start-up.md": f"{NOTICE}\n{start_up_page.page()}",
        ROOT / "docs" / "zoo.md": zoo_page(),
        ROOT / "README.md": readme((ROOT / "README.md").read_text(encoding="utf-8")),
        **growth_pictures.pages(),
        **warm_picture.pages(),
    }


def main() -> None:
    """Write the pages, or compare them with what is on disk."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a page differs")
    check = parser.parse_args().check
    stale = False
    for path, text in pages().items():
        earlier = path.read_text(encoding="utf-8") if path.exists() else ""
        if earlier == text:
            continue
        name = path.relative_to(ROOT).as_posix()
        if not check:
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"wrote {name}")
            continue
        stale = True
        difference = difflib.unified_diff(earlier.splitlines(), text.splitlines(), name, "the code", lineterm="", n=1)
        sys.stderr.write("\n".join([*list(difference)[:40], ""]))
    if stale:
        sys.exit("The generated docs differ from the code: run `make docs` and commit what it writes.")


if __name__ == "__main__":
    main()
