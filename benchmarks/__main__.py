"""`python -m benchmarks [NAME …] [--only NAME,NAME] [--full] [--json]`: measure, and write the results beside them.

Without names: what the performance promise names (`PROMISE`), some 20 minutes on two cores; with `--full` these at
length, then all the others, some hours. A measurement of the promise ends in figures, each beside its goal.
`python -m benchmarks families --data FOLDER` measures on the IDX files of a folder and writes nothing.
"""

import argparse
import json
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import (
    atlas,
    coco_ap,
    coco_reading,
    cold_start,
    construct,
    densenet_memory,
    digits,
    families,
    gpu,
    growth,
    int8,
    many_pictures,
    nms,
    parity,
    photographs,
    proposals,
    scenes,
    scratch,
    selective_search,
    show,
    start_up,
    training,
    transfer,
    warm,
    windows,
    zoo,
)
from benchmarks.figure import Figure
from benchmarks.machine import machine
from convatlas.errors import ConvatlasError, did_you_mean

RESULTS = Path(__file__).parent / "results"
# What the performance promise names. Their `measure` takes `full`, and each has `figures`.
PROMISE = ("warm", "int8", "cold_start", "many_pictures", "training", "growth", "start_up", "gpu")
MEASUREMENTS: dict[str, Any] = {
    "warm": warm,
    "int8": int8,
    "cold_start": cold_start,
    "many_pictures": many_pictures,
    "training": training,
    "growth": growth,
    "start_up": start_up,
    "gpu": gpu,
    "digits": digits,
    "scratch": scratch,
    "photographs": photographs,
    "transfer": transfer,
    "families": families,
    "parity": parity,
    "zoo": zoo,
    "construct": construct,
    "densenet_memory": densenet_memory,
    "coco_ap": coco_ap,
    "proposals": proposals,
    "selective_search": selective_search,
    "coco_reading": coco_reading,
    "scenes": scenes,
    "nms": nms,
    "windows": windows,
    "show": show,
    "atlas": atlas,
}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    listed = ", ".join(MEASUREMENTS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {listed}")
    parser.add_argument("--only", action="append", default=[], metavar="NAME,NAME", help="the same, as an option")
    parser.add_argument("--full", action="store_true", help="measure at length; without names, measure everything")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="families only: IDX files, such as Fashion-MNIST's, for the digits"
    )
    arguments = parser.parse_args(words)
    named = [*arguments.names, *(name for only in arguments.only for name in only.split(",") if name)]
    for name in named:
        if name not in MEASUREMENTS:
            near = did_you_mean(name, list(MEASUREMENTS))
            parser.error(f'no measurement is called "{name}".{near} There is {listed}')
    if arguments.data is not None and named != ["families"]:
        parser.error("--data is for families alone: python -m benchmarks families --data FOLDER")
    chosen = list(dict.fromkeys(named)) or list(MEASUREMENTS if arguments.full else PROMISE)
    results: dict[str, dict[str, Any]] = {}
    figures: list[Figure] = []
    began = time.perf_counter()
    for count, name in enumerate(chosen, 1):
        _note(f"{name} ({count} of {len(chosen)}, {(time.perf_counter() - began) / 60:.0f} min so far)")
        try:
            measured = _measure(name, full=arguments.full, data=arguments.data)
        except Exception as error:  # the others are still to be measured
            results[name] = {"failed": _told(name, error)}
            figures.append(Figure(what=name, measured="nothing", goal="a result", met=False, why=f"failed: {error}"))
            continue
        if arguments.data is None:  # what is committed is of the digits
            _write(name, measured)
        if not arguments.json:
            for line in MEASUREMENTS[name].lines(measured):
                print(line, flush=True)
        judged = MEASUREMENTS[name].figures(measured) if name in PROMISE else []
        figures += judged
        results[name] = {**measured, "figures": [asdict(figure) for figure in judged]}
    if arguments.json:
        print(json.dumps(results, indent=2, ensure_ascii=False))
    else:
        print("\n".join(summary(figures, seconds=time.perf_counter() - began)))
    if any("failed" in result for result in results.values()):
        sys.exit(1)


def summary(figures: Sequence[Figure], *, seconds: float) -> list[str]:
    """A line for each figure, then how many were met, and the time that it took; nothing without figures."""
    if not figures:
        return []
    judged = [figure.met for figure in figures if figure.met is not None]
    goals = f"{sum(judged)} of {len(judged)} goals met; " if judged else ""
    return ["", *map(str, figures), "", f"{goals}measured in {seconds / 60:.1f} minutes"]


def _measure(name: str, *, full: bool, data: Path | None) -> dict[str, Any]:
    """What was found, how long that took, and on which machine. Those of the promise know how to be quick."""
    measurement = MEASUREMENTS[name]
    began = time.perf_counter()
    if data is not None:
        measured = families.measure(data)
    else:
        measured = measurement.measure(full=full) if name in PROMISE else measurement.measure()
    return {**measured, "took_seconds": round(time.perf_counter() - began, 1), "machine": machine()}


def _told(name: str, error: Exception) -> str:
    """An error of ours says what to do; of another the place is wanted too."""
    if not isinstance(error, ConvatlasError):
        traceback.print_exc()
    print(f"{name}: {error}", file=sys.stderr, flush=True)
    return str(error)


def _write(name: str, result: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")


def _note(words: str) -> None:
    """Where it is, for who waits before a terminal."""
    if sys.stderr.isatty():
        print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
