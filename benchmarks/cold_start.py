"""From a fresh process to the answer for one photograph, and the most memory that it held: ResNet-50, exported.

Ours is three lines of Python (`Predictor(bundle)(picture)`), and beside them the command line, `convatlas predict`,
which brings Typer and through it pydantic. Theirs is the script that torchvision's documentation shows: build the
network, load its weights with `torch.load`, its transforms, one pass, the best class. Both have the same weights,
random ones with the normalisations' statistics taken from pictures, and must name the same class. Files lie in the
operating system's cache, and Python's compiled modules beside their sources, as from the second start on.

A ratio is ours over theirs in the same round, so that less is better. The three take turns; memory is the peak of the
resident set, which Linux alone tells, in rounds of their own.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import warm
from benchmarks.figure import Figure
from benchmarks.memory import is_told
from benchmarks.warm_engines import BUNDLE, WEIGHTS

ROUNDS, FULL_ROUNDS = 7, 21
MEMORY_ROUNDS = 3
WALL_GOAL, MEMORY_GOAL = 0.10, 0.45
MODEL = "resnet50"
PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "chelsea.jpg"
# Each is told where the weights and the picture are, and prints a line that ends with the number of the class.
SCRIPTS = {
    "Python": """\
import sys
from convatlas import Predictor
print(Predictor(sys.argv[1])(sys.argv[2])[0].top.index)
""",
    "command line": """\
import sys
from convatlas.cli import main
main(["predict", sys.argv[1], sys.argv[2], "--top", "1", "--json"])
""",
    "torchvision": """\
import sys
import torch
from PIL import Image
from torchvision.models import ResNet50_Weights, resnet50
model = resnet50()
model.load_state_dict(torch.load(sys.argv[1], weights_only=True))
model.eval()
transforms = ResNet50_Weights.IMAGENET1K_V2.transforms()
with torch.inference_mode():
    print(int(model(transforms(Image.open(sys.argv[2])).unsqueeze(0)).argmax()))
""",
}
OURS = ("Python", "command line")
# Written at the very end: what a process held at most stands where getrusage would start with the parent's peak.
_PEAK = """\
import atexit, sys
def record(file=sys.argv.pop(1)):
    with open("/proc/self/status", encoding="ascii") as status, open(file, "w", encoding="ascii") as out:
        out.write(next(line.split()[1] for line in status if line.startswith("VmHWM:")))
atexit.register(record)
"""


def measure(*, full: bool = False) -> dict[str, Any]:
    """full: more rounds."""
    import torch
    from safetensors.torch import load_file

    seconds: dict[str, list[float]] = {name: [] for name in SCRIPTS}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        warm.prepare(MODEL, folder, ())
        theirs = folder / "theirs.pth"
        torch.save(load_file(folder / WEIGHTS), theirs)
        sources = {name: theirs if name == "torchvision" else folder / BUNDLE for name in SCRIPTS}
        named = {name: _class(_run(name, sources[name])[1]) for name in SCRIPTS}
        if len(set(named.values())) > 1:
            raise RuntimeError(f"they name different classes: {named}")
        for _ in range(FULL_ROUNDS if full else ROUNDS):  # in turn, so that a busy moment meets all alike
            for name, source in sources.items():
                seconds[name].append(round(_run(name, source)[0], 3))
        mib: dict[str, list[int]] = {name: [] for name in SCRIPTS}  # stay empty where the system does not tell
        for _ in range(MEMORY_ROUNDS if is_told() else 0):
            for name, source in sources.items():
                mib[name].append(_mib(name, source, folder / "peak"))
    return {"model": MODEL, "full": full, "seconds": seconds, "mib": mib}


def lines(measured: dict[str, Any]) -> list[str]:
    told = []
    for name, values in measured["seconds"].items():
        mib = measured["mib"][name]
        memory = f", {statistics.median(mib):,.0f} MiB ({min(mib):,} to {max(mib):,})" if mib else ""
        told.append(f"{name}: {statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f}){memory}")
    return told


def figures(measured: dict[str, Any]) -> list[Figure]:
    """The time of each of ours, then the memory."""
    return [*(_wall(name, measured) for name in OURS), _memory(measured["mib"])]


def ratios(name: str, measured: dict[str, Any]) -> list[float]:
    """Parts of torchvision's time, round by round."""
    seconds = measured["seconds"]
    return [ours / theirs for ours, theirs in zip(seconds[name], seconds["torchvision"], strict=True)]


def _wall(name: str, measured: dict[str, Any]) -> Figure:
    values = ratios(name, measured)
    met = statistics.median(values) <= WALL_GOAL
    taken = {each: f"{each} {statistics.median(seconds):.2f} s" for each, seconds in measured["seconds"].items()}
    why = ", ".join([taken[name], *(told for each, told in taken.items() if each != name)])
    return Figure(
        what=f"One picture from a fresh process, exported ResNet-50, {name}, against a torchvision script",
        measured=f"{_told(values)} of its time",
        goal=f"at most {WALL_GOAL:.2f}",
        met=met,
        why="" if met else why,
    )


def _memory(mib: dict[str, list[int]]) -> Figure:
    what, goal = "Peak memory of the same, the larger of the two", f"at most {MEMORY_GOAL:.2f}"
    theirs = mib["torchvision"]
    if not theirs:
        return Figure(what=what, measured="not known here", goal=goal, met=False, why="only Linux tells it")
    ours = [max(values) for values in zip(*(mib[name] for name in OURS), strict=True)]
    values = [our / their for our, their in zip(ours, theirs, strict=True)]
    met = statistics.median(values) <= MEMORY_GOAL
    median = f"{statistics.median(theirs):,.0f} MiB"
    return Figure(
        what=what,
        measured=f"{_told(values)} of its {median}",
        goal=goal,
        met=met,
        why="" if met else f"{statistics.median(ours):,.0f} MiB against {median}",
    )


def _told(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _run(name: str, source: Path) -> tuple[float, str]:
    """The seconds from start to exit, and what was printed."""
    started = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPTS[name], str(source), str(PICTURE)], check=True, capture_output=True, text=True
    )
    return time.perf_counter() - started, ran.stdout


def _mib(name: str, source: Path, record: Path) -> int:
    script = _PEAK + SCRIPTS[name]
    subprocess.run(
        [sys.executable, "-c", script, str(record), str(source), str(PICTURE)], check=True, capture_output=True
    )
    return int(record.read_text(encoding="ascii")) // 1024


def _class(printed: str) -> int:
    answer = json.loads(printed)
    return int(answer if isinstance(answer, int) else answer[0]["labels"][0]["index"])
