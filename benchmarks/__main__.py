"""`python -m benchmarks [NAME …] [--json]`: run the measurements and write their results beside them."""

import argparse
import json
from pathlib import Path

from benchmarks import cold_start, construct, densenet_memory, digits, photographs, transfer
from benchmarks.machine import machine

RESULTS = Path(__file__).parent / "results"
MEASUREMENTS = {
    "digits": digits,
    "photographs": photographs,
    "transfer": transfer,
    "construct": construct,
    "densenet_memory": densenet_memory,
    "cold_start": cold_start,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which: {', '.join(MEASUREMENTS)}; all when none is named")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(MEASUREMENTS)
    if unknown:
        parser.error(f"no measurement is called {', '.join(sorted(unknown))}; there is {', '.join(MEASUREMENTS)}")
    results = {}
    for name in arguments.names or MEASUREMENTS:
        measured = MEASUREMENTS[name].measure()
        results[name] = {**measured, "machine": machine()}
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
