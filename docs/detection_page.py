"""docs/detection.md: what `python -m benchmarks nms proposals selective_search` measured, as tables."""

import inspect
import json
import statistics
from pathlib import Path
from typing import Any

from benchmarks import nms, proposals, selective_search

MEASURED = {"nms": nms, "proposals": proposals, "selective_search": selective_search}
RESULTS = Path(nms.__file__).parent / "results"
SETS = {
    "voc": "A photograph of VOC",
    "aerial": "Aerial pictures",
    "scenes": "Embedded scenes",
}


def page() -> str:
    """The page in Markdown, without the notice on top."""
    results = {name: json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")) for name in MEASURED}
    machines = {name: result.pop("machine") for name, result in results.items()}
    sections = {
        "nms": ("Non-maximum suppression", _nms(results["nms"])),
        "proposals": ("Proposals", _proposals(results["proposals"])),
        "selective_search": ("Selective Search beside OpenCV", _selective_search(results["selective_search"])),
    }
    parts = ["# Boxes and proposals, measured\n"]
    for name, (title, tables) in sections.items():
        machine = machines[name]
        parts += [
            f"## {title}\n",
            f"{inspect.cleandoc(MEASURED[name].__doc__ or '')}\n",
            *tables,
            f"On {machine['cores']} cores of {machine['processor']}, torch {machine['torch']}: "
            f"`python -m benchmarks {name}`.\n",
        ]
    return "\n".join(parts)


def _nms(result: dict[str, Any]) -> list[str]:
    rows = []
    for case in result["cases"]:
        plain, per_class = case["plain"], case["per_class"]
        rows.append(
            [
                case["boxes"],
                f"{case['count']:,}",
                f"{case['kept']:,}",
                _milliseconds(plain["torchvision"]),
                _ratio(plain, "ours"),
                _ratio(plain, "ours_checked"),
                _milliseconds(per_class["torchvision"]),
                _ratio(per_class, "ours"),
            ]
        )
    head = [
        "Boxes",
        "How many",
        "Kept",
        "torchvision",
        "Ours",
        "Looked at",
        "torchvision, per class",
        "Ours, per class",
    ]
    return [
        "Ours: so many times as quick as torchvision, the median of the pairs; below 1 it is the slower.\n",
        _table(head, rows, right=7),
    ]


def _proposals(result: dict[str, Any]) -> list[str]:
    parts = []
    for name, each in result.items():
        counts = proposals.COUNTS
        head = ["Method", "Boxes", *(f"First {count:,}" for count in counts), "Seconds"]
        rows = [
            [
                method,
                f"{row['boxes']:,.0f}",
                *(f"{row['recall'][str(count)]:.3f} / {row['mabo'][str(count)]:.3f}" for count in counts),
                f"{row['seconds']:.2f}",
            ]
            for method, row in each["methods"].items()
        ]
        parts += [
            f"### {SETS[name]}\n",
            f"Pictures: {each['pictures']}, objects: {each['objects']}. Recall at IoU 0.5 / MABO; seconds a picture.\n",
            _table(head, rows, right=len(head) - 1),
        ]
    return parts


def _selective_search(result: dict[str, Any]) -> list[str]:
    parts = []
    for mode, each in result.items():
        photograph = each["photograph"]
        pairs = zip(photograph["seconds"], photograph["opencv_seconds"], strict=True)
        ratios = sorted(ours / theirs for ours, theirs in pairs)
        parts += [
            f"### {mode.capitalize()}\n",
            f"On {photograph['size']} pixels: {statistics.median(photograph['seconds']):.2f} s, OpenCV "
            f"{statistics.median(photograph['opencv_seconds']):.2f} s: {statistics.median(ratios):.2f} times as long "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f}). The processor in all threads: "
            f"{statistics.median(photograph['cpu_seconds']):.2f} s and "
            f"{statistics.median(photograph['opencv_cpu_seconds']):.2f} s.\n",
        ]
        rows = []
        for name, both in each["pictures"].items():
            for count in selective_search.COUNTS:
                every = count == selective_search.ALL
                boxes = f"all: {both['ours']['boxes']:,.0f} and {both['opencv']['boxes']:,.0f}"
                cells = [f"{both[h][what][str(count)]:.3f}" for what in ("recall", "mabo") for h in ("ours", "opencv")]
                rows.append([SETS[name], boxes if every else f"first {count:,}", *cells])
        head = ["Pictures", "Boxes", "Recall, ours", "Recall, OpenCV", "MABO, ours", "MABO, OpenCV"]
        parts.append(_table(head, rows, right=4))
    told = selective_search.told_below(result)
    return [*parts, f"{told[0].upper()}{told[1:]}.\n"]


def _milliseconds(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1e3:.3g} ms"


def _ratio(seconds: dict[str, list[float]], name: str) -> str:
    return f"{statistics.median(b / a for a, b in zip(seconds[name], seconds['torchvision'], strict=True)):.2f}"


def _table(head: list[str], rows: list[list[str]], *, right: int) -> str:
    """The last `right` columns hold numbers."""
    rules = ["---"] * (len(head) - right) + ["---:"] * right
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rules, *rows)) + "\n"
