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
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

from convatlas.errors import CheckpointError, SaveError, UsageError, did_you_mean
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
        """What run.json says: texts "state" and "started", and a "plan" with texts "model" and "data" in it.

        Raises CheckpointError when it is missing or damaged.
        """
        try:
            description = json.loads(self.description.read_text(encoding="utf-8"))
            _check_description(description)
        except (OSError, ValueError, RecursionError) as error:
            raise CheckpointError(f"{self.description}: is not the description of a run ({error})") from error
        return cast("dict[str, Any]", description)


def run_around(bundle: Path) -> RunFolder | None:
    """The run that a bundle's folder is part of; None for a bundle that stands alone."""
    folder = bundle.absolute()
    run = RunFolder(folder.parent)
    return run if folder == run.bundle and run.description.is_file() else None


def read_membership(run: RunFolder) -> dict[str, str]:
    """Which split each picture of a run was in: name -> train, val or test.

    Raises CheckpointError when the record is missing or damaged.
    """
    try:
        value = json.loads(run.split.read_text(encoding="utf-8"))
        return {name: split for split, names in value.items() for name in names}
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{run.split}: the record of the split cannot be read ({error})") from error


def new_run_folder(out: Path | None, model: str, data: str) -> RunFolder:
    """A folder for a new run: `out`, or runs/MODEL-DATA-TIME; nothing is written yet.

    Raises UsageError when something is there already, or when a file stands where a folder is needed.
    """
    if out is None:
        time = datetime.now().strftime("%Y%m%d-%H%M%S")
        stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in Path(data).resolve().stem or "data")[:60]
        out = ROOT / f"{model}-{stem}-{time}"
        while out.exists():
            out = out.with_name(out.name + "b")
    try:
        file = next((place for place in (out, *out.parents) if place.exists() and not place.is_dir()), None)
        taken = out.is_dir() and any(out.iterdir())
    except OSError as error:  # a name that is too long, a folder that may not be read
        raise UsageError(f"{out}: cannot be used ({error.strerror or error}). Name another with --out") from error
    if file is not None:
        raise UsageError(f"{file}: is a file; a run needs a folder. Name another with --out")
    if taken:
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


def list_runs(root: str | Path = ROOT) -> tuple[RunSummary, ...]:
    """The runs directly under `root`, newest first; folders that are no runs, or damaged ones, are passed over.

    Raises UsageError when `root` cannot be listed; one that is not there has no runs.
    """
    root = Path(root)
    if not root.is_dir():
        return ()
    try:
        folders = sorted(root.iterdir())
    except OSError as error:
        raise UsageError(f"{root}: cannot be listed ({error.strerror or error})") from error
    summaries = [summary for folder in folders if (summary := _summary(RunFolder(folder))) is not None]
    return tuple(sorted(summaries, key=lambda summary: summary.started, reverse=True))


def delete_run(name: str, root: str | Path = ROOT) -> RunSummary:
    """Remove a run's folder for good; returns what it was.

    Raises UsageError unless `name` is one of `list_runs(root)`, SaveError when some of it could not be removed.
    """
    runs = {summary.name: summary for summary in list_runs(root)}
    if name not in runs:
        raise UsageError(f"{root}: has no run {name!r}.{did_you_mean(name, runs)} `convatlas runs` lists them")
    try:
        shutil.rmtree(runs[name].path)
    except OSError as error:
        raise SaveError(f"{runs[name].path}: could not be deleted ({error.strerror or error})") from error
    return runs[name]


def now() -> str:
    """The time of now in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _check_description(description: object) -> None:
    """Raise ValueError that names the first field of run.json which is not what readers rely on."""
    if not isinstance(description, dict):
        raise ValueError("expected an object")
    plan = description.get("plan")
    if not isinstance(plan, dict):
        raise ValueError('expected an object "plan"')
    for fields, names in ((description, ("state", "started")), (plan, ("model", "data"))):
        for name in names:
            if not isinstance(fields.get(name), str):
                raise ValueError(f'expected a text "{name}"')


def _summary(run: RunFolder) -> RunSummary | None:
    """What is listed of a run; None for what is none, or can no longer be read."""
    try:
        description = run.read()
        megabytes = sum(file.stat().st_size for file in run.path.rglob("*") if file.is_file()) / 1e6
    except (CheckpointError, OSError):  # a file may go while it is looked at
        return None
    score, score_name = _score(run)
    return RunSummary(
        name=run.path.name,
        path=run.path,
        state=description["state"],
        started=description["started"],
        model=description["plan"]["model"],
        data=description["plan"]["data"],
        score=score,
        score_name=score_name,
        megabytes=megabytes,
    )


def _score(run: RunFolder) -> tuple[float | None, str]:
    try:
        metrics = json.loads(run.metrics.read_text(encoding="utf-8"))
        score, name = float(metrics["score"]), str(metrics["score_name"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None, ""
    return (score, name) if math.isfinite(score) else (None, "")
