"""`python -m benchmarks.latency`: take the catalog's latencies anew from what `python -m benchmarks zoo` measured."""

import json
from pathlib import Path
from typing import Any

ZOO = Path(__file__).parent / "results" / "zoo.json"
LATENCY = Path(__file__).parents[1] / "src" / "convatlas" / "catalog" / "latency.json"


def latency_of(zoo_result: dict[str, Any]) -> dict[str, Any]:
    """What the catalog keeps of a result of the zoo: seconds by name, and whose they are."""
    return {
        "processor": zoo_result["machine"]["processor"],
        "threads": zoo_result["threads"],
        "torch": zoo_result["machine"]["torch"],
        "seconds": {row["model"]: row["seconds"] for row in zoo_result["networks"] if "seconds" in row},
    }


def written(zoo_result: dict[str, Any]) -> str:
    """The text of catalog/latency.json."""
    return json.dumps(latency_of(zoo_result), indent=1) + "\n"


if __name__ == "__main__":
    LATENCY.write_text(written(json.loads(ZOO.read_text(encoding="utf-8"))), encoding="utf-8", newline="\n")
