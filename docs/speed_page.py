"""docs/speed.md and the README's table of figures: what the performance promise names, as it was measured."""

import inspect
import json
import statistics
from collections.abc import Callable, Mapping
from typing import Any, Final

import growth_pictures
import warm_picture
from benchmarks import warm
from benchmarks.__main__ import MEASUREMENTS, PROMISE, RESULTS
from benchmarks.figure import Figure

# The headings of the page; those of measurements that are not here are their names.
TITLES: Final = {
    "warm": "Warm prediction",
    "int8": "int8",
    "cold_start": "Cold start",
    "many_pictures": "Many pictures",
    "training": "Training",
    "growth": "How cost grows",
    "start_up": "Start-up",
    "gpu": "On a GPU",
}


def page() -> str:
    """The page in Markdown, without the notice on top."""
    results = _results()
    parts = [
        "# Speed, measured\n",
        "What the library promises of its speed, beside what was measured: ratios of times or memory, of the same work "
        "on the same machine, all competitors in turn within one run; the median, and in brackets the smallest and "
        "the largest where there are several rounds. `make bench` measures it anew in some 20 minutes on two cores, "
        "`make bench-full` at length, and `make docs` writes this page from the results.\n",
        *_table(results),
        "",
    ]
    for name in PROMISE:
        parts += [f"## {TITLES[name]}\n", f"{inspect.cleandoc(MEASUREMENTS[name].__doc__ or '')}\n"]
        if name not in results:
            parts.append(f"Not measured yet: `python -m benchmarks {name}`.\n")
            continue
        result = results[name]
        machine = result["machine"]
        parts += [
            *_DETAILS.get(name, _as_lines(name))(result),
            f"On {machine['cores']} cores of {machine['processor']}, torch {machine['torch']}: "
            f"`python -m benchmarks {name}`.\n",
        ]
    return "\n".join(parts)


def readme_table() -> str:
    """The README's block: one row a figure."""
    results = _results()
    rows = _table(results)
    where = sorted({f"{r['machine']['cores']} cores of {r['machine']['processor']}" for r in results.values()})
    words = [
        "",
        f"On {'; '.join(where)}. `make bench` measures it anew in some 20 minutes, `make bench-full` at length.",
        "[Speed, measured](docs/speed.md) says what is compared with what, and shows the rest.",
    ]
    return "\n".join([*rows, *words, ""])


def _table(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = ["| Work | Measured | Goal |", "| --- | --- | --- |"]
    for name, result in results.items():
        for figure in _figures(name, result):
            goal = figure.goal or "-"
            verdict = f"; missed: {figure.why}" if figure.met is False else ""
            rows.append(f"| {' | '.join(map(_cell, (figure.what, figure.measured, goal + verdict)))} |")
    return rows


def _figures(name: str, result: Mapping[str, Any]) -> list[Figure]:
    figures: list[Figure] = MEASUREMENTS[name].figures(result)
    return figures


def _warm(result: Mapping[str, Any]) -> list[str]:
    names = list(dict.fromkeys(name for row in result["rows"] for name in row["seconds"]))
    head = ["Network", "Pictures", *(_column(name) for name in names), "Of the matrix rate"]
    rows = [f"| {' | '.join(head)} |", f"| --- | ---: |{' ---: |' * (len(head) - 2)}"]
    for row in result["rows"]:
        cells = [warm.TITLES[row["model"]], str(row["batch"])]
        for name in names:
            taken = row["seconds"].get(name)
            cells.append(_milliseconds(taken) + (f" {row['engine']}" if name == "auto" else "") if taken else "-")
        rows.append(f"| {' | '.join([*cells, f'{warm.share(row):.0%}'])} |")
    return [
        f"![{warm_picture.ALT}](pictures/{warm_picture.FILE.name})\n",
        "Bars: pictures in the same time, in times of torchvision's. Milliseconds of a pass:\n",
        *rows,
        "",
        *(f"{note}.\n" for note in result["notes"]),
    ]


def _column(name: str) -> str:
    ours = {"auto": "ours, auto", "onnx": "ours, onnx", "openvino": "ours, openvino", "torch": "ours, torch"}
    return ours.get(name, name)


def _milliseconds(taken: list[float]) -> str:
    median, least, most = (1000 * value for value in (statistics.median(taken), min(taken), max(taken)))
    return f"{median:.3g} ({least:.3g} to {most:.3g})"


def _growth(result: Mapping[str, Any]) -> list[str]:
    pictures = [f"![{alt}](pictures/{name})" for name, alt in growth_pictures.PICTURES.items()]
    return ["\n\n".join(pictures) + "\n", *_as_lines("growth")(result)]


def _start_up(_result: Mapping[str, Any]) -> list[str]:
    return ["[What each verb imports](start-up.md), as a table.\n"]


def _as_lines(name: str) -> Callable[[Mapping[str, Any]], list[str]]:
    def details(result: Mapping[str, Any]) -> list[str]:
        return ["\n".join(f"- {line}" for line in MEASUREMENTS[name].lines(result)) + "\n"]

    return details


_DETAILS: Final[Mapping[str, Callable[[Mapping[str, Any]], list[str]]]] = {
    "warm": _warm,
    "growth": _growth,
    "start_up": _start_up,
}


def _results() -> dict[str, dict[str, Any]]:
    """What was measured so far, by name."""
    files = {name: RESULTS / f"{name}.json" for name in PROMISE}
    return {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items() if file.exists()}


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
