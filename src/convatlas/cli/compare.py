"""`convatlas compare`: networks side by side."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from convatlas.cli.output import AsJson, note, print_json, print_line, print_table

if TYPE_CHECKING:
    from convatlas.api.compare import Answers, NetworkComparison
    from convatlas.arithmetic.tables.alignment import Difference
    from convatlas.arithmetic.tables.table import Row

_SHOWN = 20


def compare(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="NETWORK...",
            help="Two or more, each a name, a run or bundle, or module:function, as for `convatlas show`.",
            show_default=False,
        ),
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="SHAPE", help="What all of them take, 3x224x224; else each its own size."),
    ] = None,
    depth: Annotated[
        int | None, typer.Option(min=0, help="One row for what modules at this depth do together; 1: the outermost.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Labelled pictures for two trained models: accuracy, and where they disagree.")
    ] = None,
    all_layers: Annotated[bool, typer.Option("--all", help="Of two, also the layers that they share.")] = False,
    device: Annotated[str, typer.Option(help="For --data: auto, cpu, cuda or mps.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="For --data: processor threads.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare networks: their sums side by side; of two, which layers differ; of two trained ones, their answers."""
    from convatlas.api.compare import compare as compare_networks

    result = compare_networks(*targets, inputs=inputs or (), depth=depth, data=data, device=device, threads=threads)
    if as_json:
        print_json(_as_json(result))
        return
    _print_totals(result)
    if len(result.tables) == 2:
        print_line()
        _print_differences(result, all_layers)
    if result.answers is not None:
        print_line()
        _print_answers(result, result.answers)
    for name, table in zip(result.names, result.tables, strict=True):
        for words in table.notes:
            note(f"note: {name}: {words}")


def _print_totals(result: "NetworkComparison") -> None:
    from convatlas.arithmetic.tables.text import told_bytes, told_shapes

    rows = [
        (
            name,
            told_shapes(table.inputs),
            f"{len(table.rows):,}",
            f"{table.totals.parameters:,}",
            f"{table.totals.macs:,}",
            f"{table.totals.torch_macs:,}",
            f"{table.totals.connections:,}",
            told_bytes(table.totals.state_bytes),
            told_bytes(table.totals.activation_bytes),
            _score(recorded),
        )
        for name, table, recorded in zip(result.names, result.tables, result.recorded, strict=True)
    ]
    numbers = ["rows", "parameters", "MACs", "as torch counts", "connections", "weights", "outputs"]
    names = ["network", "input", *numbers, "score"]
    kept = [place for place, name in enumerate(names) if name != "score" or any(row[place] for row in rows)]
    if all(table.totals.macs == table.totals.torch_macs for table in result.tables):
        kept.remove(names.index("as torch counts"))
    print_table([names[place] for place in kept], [[row[place] for place in kept] for row in rows], right=numbers)


def _score(recorded: Mapping[str, object]) -> str:
    """What the run of a bundle measured: `test top-1 accuracy 97.2%`."""
    for part in ("test", "val"):
        measured = recorded.get(part)
        if isinstance(measured, Mapping):
            name, score = next(iter(measured.items()), ("", None))
            return f"{part} {name} {score:.2%}" if isinstance(score, float) else ""
    return ""


def _print_differences(result: "NetworkComparison", all_layers: bool) -> None:
    shared = sum(each.change == "same" for each in result.differences)
    print_line(f"{shared:,} rows are the same in both")
    shown = [each for each in result.differences if all_layers or each.change != "same"]
    if not shown:
        return
    print_line()
    print_table(
        ("", *result.names, "operation", "output", "parameters", "MACs"),
        [_told(each) for each in shown],
        right=("parameters", "MACs"),
    )


_SIGNS = {"same": "", "changed": "~", "only first": "-", "only second": "+"}


def _told(each: "Difference") -> tuple[str, ...]:
    from convatlas.arithmetic.tables.text import told_shapes

    def of(row: "Row | None") -> tuple[str, ...]:
        if row is None:
            return ("", "", "", "", "")
        return (row.path, row.operation, told_shapes(row.outputs), f"{row.parameters:,}", f"{row.macs:,}")

    first, second = of(each.first), of(each.second)
    facts = [
        a if a == b or each.second is None else b if each.first is None else f"{a} -> {b}"
        for a, b in zip(first[1:], second[1:], strict=True)
    ]
    return (_SIGNS[each.change], first[0], second[0], *facts)


def _print_answers(result: "NetworkComparison", answers: "Answers") -> None:
    print_line(f"on {answers.pictures:,} pictures: {answers.of}")
    for name, score, alone in zip(
        result.names, answers.scores, (answers.only_first_right, answers.only_second_right), strict=True
    ):
        print_line(f"  {name}: {answers.score_name} {score:.2%}, alone right on {alone:,}")
    if not answers.disagreements:
        print_line("they give each picture the same class")
        return
    print_line(f"they disagree on {len(answers.disagreements):,}:")
    print_table(
        ("picture", "truth", *result.names),
        [(each.name, each.truth, each.first, each.second) for each in answers.disagreements[:_SHOWN]],
    )
    if len(answers.disagreements) > _SHOWN:
        print_line(f"and {len(answers.disagreements) - _SHOWN:,} more (--json has all)")


def _as_json(result: "NetworkComparison") -> dict[str, object]:
    from convatlas.arithmetic.tables.text import record, to_dict

    tables = [
        {**to_dict(table), "name": name, "recorded": dict(recorded)}
        for name, table, recorded in zip(result.names, result.tables, result.recorded, strict=True)
    ]
    for table in tables:
        table.pop("rows")
    return {
        "networks": tables,
        "differences": [
            {
                "change": each.change,
                "first": None if each.first is None else record(each.first),
                "second": None if each.second is None else record(each.second),
            }
            for each in result.differences
        ],
        "answers": None if result.answers is None else dataclasses.asdict(result.answers),
    }
