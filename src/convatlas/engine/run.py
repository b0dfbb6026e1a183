"""The folder of a run: what is in it, which runs there are. No torch.

run.json         the plan with each value's origin, the state of the run, versions
split.json       which picture is in which split
log.csv          a row for each epoch
checkpoints/     last and best
bundle/          the finished model: the one part that prediction needs
metrics.json     every measure on validation and test pictures
report.html      the same for people
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from convatlas.errors import CheckpointError, UsageError, did_you_mean
from convatlas.files import write_json

State = Literal["training", "finished", "stopped", "failed"]
ROOT = Path("runs")


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run."""

    path: Path

    @property
    def description(self) -> Path:
        """run.json."""
        return self.path / "run.json"

    @property
    def split(self) -> Path:
        """split.json."""
        return self.path / "split.json"

    @property
    def log(self) -> Path:
        """log.csv."""
        return self.path / "log.csv"

    @property
    def last(self) -> Path:
        """The checkpoint of the last epoch that ended."""
        return self.path / "checkpoints" / "last.safetensors"

    @property
    def best(self) -> Path:
        """The checkpoint of the best validation score."""
        return self.path / "checkpoints" / "best.safetensors"

    @property
    def bundle(self) -> Path:
        """The finished model."""
        return self.path / "bundle"

    @property
    def metrics(self) -> Path:
        """metrics.json."""
        return self.path / "metrics.json"

    @property
    def report(self) -> Path:
        """report.html."""
        return self.path / "report.html"

    def write(self, *, plan: Mapping[str, object], state: State, versions: Mapping[str, str], started: str) -> None:
        """Write run.json."""
        write_json(
            self.description,
            {"state": state, "started": started, "plan": dict(plan), "versions": dict(versions)},
        )

    def read(self) -> dict[str, Any]:
        """What run.json says. Raises CheckpointError when it is missing or damaged."""
        try:
            description = json.loads(self.description.read_text(encoding="utf-8"))
            if not isinstance(description, dict) or not {"state", "started", "plan"} <= set(description):
                raise ValueError("state, started or plan is missing")
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.description}: is not the description of a run ({error})") from error
        return description


def new_run_folder(out: Path | None, model: str, data: str) -> RunFolder:
    """A folder for a new run: `out`, or runs/MODEL-DATA-TIME. Raises UsageError when something is there already."""
    if out is None:
        time = datetime.now().strftime("%Y%m%d-%H%M%S")
        stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in Path(data).resolve().stem or "data")
        out = ROOT / f"{model}-{stem}-{time}"
        while out.exists():
            out = out.with_name(out.name + "b")
    if out.is_file():
        raise UsageError(f"{out}: is a file; a run needs a folder. Name another with --out")
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(f"{out}: is not empty. Name another folder with --out, or go on with --resume {out}")
    return RunFolder(out)


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One run as `convatlas runs` lists it. score: of the test pictures, else of validation; None before the end."""

    name: str
    path: Path
    state: str
    started: str
    model: str
    data: str
    score: float | None
    score_name: str
    megabytes: float


def list_runs(root: Path = ROOT) -> tuple[RunSummary, ...]:
    """The runs directly under `root`, newest first; folders that are no runs are passed over."""
    if not root.is_dir():
        return ()
    summaries = []
    for folder in sorted(root.iterdir()):
        run = RunFolder(folder)
        if not run.description.is_file():
            continue
        try:
            description = run.read()
        except CheckpointError:
            continue
        score, score_name = _score(run)
        summaries.append(
            RunSummary(
                name=folder.name,
                path=folder,
                state=str(description["state"]),
                started=str(description["started"]),
                model=str(description["plan"].get("model", "")),
                data=str(description["plan"].get("data", "")),
                score=score,
                score_name=score_name,
                megabytes=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6,
            )
        )
    return tuple(sorted(summaries, key=lambda summary: summary.started, reverse=True))


def delete_run(name: str, root: Path = ROOT) -> RunSummary:
    """Remove a run's folder for good. Raises UsageError unless `name` is one of `list_runs(root)`."""
    runs = {summary.name: summary for summary in list_runs(root)}
    if name not in runs:
        raise UsageError(f"{root}: has no run {name!r}.{did_you_mean(name, runs)} `convatlas runs` lists them")
    shutil.rmtree(runs[name].path)
    return runs[name]


def now() -> str:
    """The time of now in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _score(run: RunFolder) -> tuple[float | None, str]:
    try:
        metrics = json.loads(run.metrics.read_text(encoding="utf-8"))
        return float(metrics["score"]), str(metrics["score_name"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, ""
