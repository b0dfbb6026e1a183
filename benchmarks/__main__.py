"""`python -m benchmarks [NAME …] [--json]`: run the measurements and write their results beside them.

`python -m benchmarks families --data FOLDER` measures on the IDX files of a folder and writes nothing.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks import (
    atlas,
    coco_ap,
    coco_reading,
    cold_start,
    construct,
    densenet_memory,
    digits,
    families,
    nms,
    parity,
    photographs,
    proposals,
    scenes,
    scratch,
    selective_search,
    show,
    start_up,
    transfer,
    windows,
    zoo,
)
from benchmarks.machine import machine
from convatlas.errors import ConvatlasError

RESULTS = Path(__file__).parent / "results"
MEASUREMENTS = {
    "digits": digits,
    "scratch": scratch,
    "photographs": photographs,
    "transfer": transfer,
    "families": families,
    "parity": parity,
    "zoo": zoo,
    "construct": construct,
    "densenet_memory": densenet_memory,
    "cold_start": cold_start,
    "coco_ap": coco_ap,
    "proposals": proposals,
    "selective_search": selective_search,
    "coco_reading": coco_reading,
    "scenes": scenes,
    "nms": nms,
    "windows": windows,
    "show": show,
    "start_up": start_up,
    "atlas": atlas,
}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which: {', '.join(MEASUREMENTS)}; all when none is named")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="families only: IDX files, such as Fashion-MNIST's, for the digits"
    )
    arguments = parser.parse_args(words)
    unknown = set(arguments.names) - set(MEASUREMENTS)
    if unknown:
        parser.error(f"no measurement is called {', '.join(sorted(unknown))}; there is {', '.join(MEASUREMENTS)}")
    if arguments.data is not None and arguments.names != ["families"]:
        parser.error("--data is for families alone: python -m benchmarks families --data FOLDER")
    results = {}
    for name in arguments.names or MEASUREMENTS:
        try:
            measured = families.measure(arguments.data) if arguments.data else MEASUREMENTS[name].measure()
        except ConvatlasError as error:
            parser.exit(error.exit_code, f"{name}: {error}\n")
        results[name] = {**measured, "machine": machine()}
        if arguments.data is None:  # what is committed is of the digits
            RESULTS.mkdir(exist_ok=True)
            text = json.dumps(results[name], indent=2, ensure_ascii=False) + "\n"
            (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")
        if not arguments.json:
            for line in MEASUREMENTS[name].lines(measured):
                print(line, flush=True)
    if arguments.json:
        print(json.dumps(results, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
