"""What each verb imports, and how long a fresh process takes for a small task of it.

A row a verb: which of the packages that are slow to import it has loaded in the end, the seconds from start to exit
(median of rounds that take the verbs in turn), how many times as long as a Python that does nothing, and the most
memory that the process held (Linux alone tells it). The tasks are the smallest that a verb has: one picture, LeNet-5,
the plan of a training.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure

ROUNDS, FULL_ROUNDS = 2, 9
SLOW = ("torch", "torchvision", "accelerate", "onnxruntime", "onnx", "matplotlib", "scipy", "pandas", "sklearn", "rich")
# {run}: a trained LeNet-5, exported and in int8; {picture}: a digit.
VERBS = {
    "--help": ("--help",),
    "models": ("models", "resnet"),
    "weights list": ("weights", "list"),
    "costs": ("costs", "two-3x3"),
    "runs": ("runs", "--root", "."),
    "data check": ("data", "check", "digits"),
    "export": ("export", "{run}", "--pictures", "2"),  # before quantize, whose graph it takes away
    "quantize": ("quantize", "{run}", "--pictures", "32", "--calibration", "32", "--most-loss", "100"),
    "predict, exported": ("predict", "{run}", "{picture}"),
    "predict, int8": ("predict", "{run}", "{picture}", "--engine", "int8"),
    "predict, on torch": ("predict", "{run}", "{picture}", "--engine", "torch"),
    "show": ("show", "lenet5_modern"),
    "draw": ("draw", "lenet5_modern"),
    "plot": ("plot", "timeline"),
    "animate": ("animate", "stride"),
    "compare": ("compare", "lenet5", "lenet5_modern"),
    "field": ("field", "lenet5_modern"),
    "train --dry-run": ("train", "digits", "--dry-run"),
    "evaluate": ("evaluate", "{run}"),
    "doctor": ("doctor",),
}
# The verbs of the command line that are not above, each with its reason.
LEFT_OUT = {
    "atlas": "builds a site, which is no small task: benchmarks.atlas measures it",
    "weights fetch": "waits for a download",
    "weights verify": "takes as long as the files that happen to be on the machine",
    "data view": "draws objects alone, and no data set with objects comes along",
    "data convert": "writes objects alone, and no data set with objects comes along",
    "data samples": "writes a new folder, which the next round would find",
}
WITHOUT_TORCH = (
    "--help",
    "models",
    "weights list",
    "costs",
    "runs",
    "data check",
    "predict, exported",
    "predict, int8",
    "quantize",
    "plot",
    "animate",
)
_NOTHING = "Python alone"
# What is loaded is asked at the very end, after exit handlers that may import still more were set.
_ASK = """\
import atexit, json, sys
file, slow, words = sys.argv[1], sys.argv[2].split(","), sys.argv[3:]
def record():
    loaded = [name for name in slow if name in sys.modules]
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # getrusage starts with the parent's peak
            mib = next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM:"))
    except OSError:
        mib = None
    with open(file, "w", encoding="utf-8") as out:
        json.dump({"loaded": loaded, "mib": mib}, out)
atexit.register(record)
if words:
    from convatlas.cli import main
    main(words)
"""


def measure(*, full: bool = False) -> dict[str, Any]:
    """full: more rounds."""
    verbs: dict[str, tuple[str, ...]] = {_NOTHING: (), **VERBS}
    rounds = FULL_ROUNDS if full else ROUNDS
    seconds: dict[str, list[float]] = {name: [] for name in verbs}
    asked: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        places = prepare(Path(temporary))
        for _ in range(rounds):  # in turn, so that a busy moment of the machine meets all alike
            for name, words in verbs.items():
                taken, asked[name] = ask([word.format(**places) for word in words], Path(temporary))
                seconds[name].append(taken)
    alone = statistics.median(seconds[_NOTHING])
    return {
        "full": full,
        "rounds": rounds,
        "verbs": [
            {
                "verb": name,
                "words": " ".join(words),
                "seconds": [round(value, 3) for value in seconds[name]],
                "times_python": round(statistics.median(seconds[name]) / alone, 1),
                **asked[name],
            }
            for name, words in verbs.items()
        ],
    }


def prepare(folder: Path) -> dict[str, str]:
    """A trained run with both graphs and a picture in the folder: what the words of VERBS are filled with."""
    from convatlas.api.train import train
    from convatlas.data.samples import write_samples
    from convatlas.data.source import open_data

    run = train("digits", out=folder / "run", changes={"epochs": 1})
    test = open_data("digits").test
    assert test is not None
    (picture,) = write_samples(test, folder / "digits", count=1).paths
    places = {"run": str(run.path), "picture": str(picture)}
    ask([word.format(**places) for word in VERBS["quantize"]], folder)
    return places


def ask(words: list[str], folder: Path) -> tuple[float, dict[str, Any]]:
    """The seconds of `convatlas WORDS` in a fresh process in this folder, and {"loaded", "mib"} at its end."""
    record = folder / "asked.json"
    started = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-c", _ASK, str(record), ",".join(SLOW), *words],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    taken = time.perf_counter() - started
    if ran.returncode:
        raise RuntimeError(f"convatlas {' '.join(words)} ended with {ran.returncode}: {ran.stderr.strip()}")
    return taken, json.loads(record.read_text(encoding="utf-8"))


def lines(measured: dict[str, Any]) -> list[str]:
    rows = {row["verb"]: row for row in measured["verbs"]}
    told = (f"{name} {rows[name]['times_python']:g}" for name in VERBS if name in rows)
    return [f"a verb from a fresh process, in times of a Python that does nothing: {', '.join(told)}"]


def figures(measured: dict[str, Any]) -> list[Figure]:
    """That torch stays out of the verbs that need none, and torchvision out of all: they are of classification."""
    loaded = {row["verb"]: row["loaded"] for row in measured["verbs"] if row["verb"] in VERBS}
    asked = [name for name in WITHOUT_TORCH if name in loaded]
    with_torch = [name for name in asked if "torch" in loaded[name]]
    with_torchvision = [name for name in loaded if "torchvision" in loaded[name]]
    return [
        _kept_out("torch", "verbs that need no network", len(asked), with_torch),
        _kept_out("torchvision", "verbs of classification", len(loaded), with_torchvision),
    ]


def _kept_out(package: str, of: str, count: int, importing: list[str]) -> Figure:
    return Figure(
        what=f"Start-up: {of} that import {package}",
        measured=f"{len(importing)} of {count}",
        goal="none",
        met=not importing,
        why=f"{', '.join(importing)} import it" if importing else "",
    )
