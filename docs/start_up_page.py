"""docs/start-up.md: what `python -m benchmarks start_up` measured, a row a verb."""

import inspect
import json
import statistics
from pathlib import Path

from benchmarks import start_up

RESULTS = Path(start_up.__file__).parent / "results"


def page() -> str:
    """The page in Markdown, without the notice on top."""
    result = json.loads((RESULTS / "start_up.json").read_text(encoding="utf-8"))
    machine = result["machine"]
    rows = ["| Verb | Imports | Seconds | Times Python alone | Memory |", "| --- | --- | ---: | ---: | ---: |"]
    for row in result["verbs"]:
        loaded = ", ".join(row["loaded"]) or "none of them"
        memory = f"{row['mib']:,} MiB" if row["mib"] else "-"
        rows.append(
            f"| {row['verb']} | {loaded} | {statistics.median(row['seconds']):.2f} "
            f"({min(row['seconds']):.2f} to {max(row['seconds']):.2f}) | {row['times_python']:g} | {memory} |"
        )
    return "\n".join(
        [
            "# Start-up\n",
            f"{inspect.cleandoc(start_up.__doc__ or '')}\n",
            f"The packages asked for: {', '.join(start_up.SLOW)}.\n",
            *rows,
            f"\nOn {machine['cores']} cores of {machine['processor']}, torch {machine['torch']}: "
            "`python -m benchmarks start_up`.\n",
        ]
    )
