"""Train on pictures: data to plan to training to measures to bundle, export and report."""

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import numpy as np

from convatlas.api.report import write_run_report
from convatlas.data.loader import Pictures, Readable, make_loader, read_all
from convatlas.data.picture_set import DataSplits, PictureSet
from convatlas.data.source import EMBEDDED, open_data, read_splits
from convatlas.engine.bundle import Bundle, Parity, write_bundle
from convatlas.engine.estimate import Estimate, estimate_training
from convatlas.engine.evaluate import Answers, answer_all
from convatlas.engine.export import export_onnx
from convatlas.engine.plan import Plan, make_plan
from convatlas.engine.run import RunFolder, new_run_folder, now
from convatlas.engine.session import plan_statistics
from convatlas.engine.train import Observer, Trained, train_network
from convatlas.errors import CheckpointError, DataError, ExportError, MissingExtra
from convatlas.files import write_json
from convatlas.metrics.summary import ClassifySummary, MultilabelSummary
from convatlas.tasks.make import balanced_weights, make_task
from convatlas.tasks.task import Task
from convatlas.types import Failure

Summary = ClassifySummary | MultilabelSummary
Fit = Literal["crop", "pad", "stretch"]
PARITY_PICTURES = 200


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """A finished run. test is None when the data has no test pictures; parity is None when it was not exported."""

    path: Path
    plan: Plan
    val: Summary
    test: Summary | None
    best_epoch: int
    epochs: int
    seconds: float
    skipped: tuple[Failure, ...]
    parity: Parity | None
    notes: tuple[str, ...]


def plan_training(
    data: str | Path,
    *,
    model: str = "lenet5_modern",
    recipe: str | None = None,
    changes: Mapping[str, object] | None = None,
    model_changes: Mapping[str, object] | None = None,
    size: int | None = None,
    fit: Fit | None = None,
    val: float = 0.15,
    test: float = 0.15,
    device: str = "auto",
) -> tuple[Plan, Estimate]:
    """What `train` with the same arguments would do, and about what it would cost; nothing is written."""
    splits = open_data(_absolute(data), seed=_seed(changes), val=val, test=test)
    plan = make_plan(
        splits, model, recipe=recipe, recipe_changes=changes, model_changes=model_changes, size=size, fit=fit,
        device=device, val=val, test=test,
    )  # fmt: skip
    return plan, estimate_training(plan, _task(plan, splits.train), len(splits.train))


def train(
    data: str | Path,
    *,
    model: str = "lenet5_modern",
    out: str | Path | None = None,
    recipe: str | None = None,
    changes: Mapping[str, object] | None = None,
    model_changes: Mapping[str, object] | None = None,
    size: int | None = None,
    fit: Fit | None = None,
    val: float = 0.15,
    test: float = 0.15,
    device: str = "auto",
    strict: bool = False,
    export: bool = True,
    tensorboard: bool = False,
    observer: Observer | None = None,
    planned: Callable[[Plan, RunFolder, DataSplits], None] | None = None,
) -> TrainResult:
    """Train a network on a folder of pictures (or a CSV manifest, IDX files, an embedded set such as "digits").

    out: the run's folder; by default runs/MODEL-DATA-TIME. recipe: a name of `recipes.RECIPES`; by default the one that
    suits model and data. changes: fields of the recipe, which stand against everything. model_changes: fields of the
    network's config. size: side of the square input in pixels; fit: how a picture is brought to it. val, test: the
    parts of each class held out when the data comes in one folder. strict: stop at a picture that cannot be read
    instead of leaving it out. planned: told the plan before the first step.
    Raises UsageError, DataError, TrainingError or SaveError; what was finished before stays in the run's folder.
    """
    splits = open_data(_absolute(data), seed=_seed(changes), val=val, test=test)
    plan = make_plan(
        splits, model, recipe=recipe, recipe_changes=changes, model_changes=model_changes, size=size, fit=fit,
        device=device, val=val, test=test,
    )  # fmt: skip
    run = new_run_folder(None if out is None else Path(out), plan.model, plan.data)
    write_json(run.split, _membership(splits))
    started = now()
    run.write(plan=plan.to_dict(), state="training", versions=versions(), started=started)
    if planned is not None:
        planned(plan, run, splits)
    return _train(
        plan,
        splits,
        run,
        started,
        resume=False,
        strict=strict,
        export=export,
        tensorboard=tensorboard,
        observer=observer,
    )


def resume(
    path: str | Path,
    *,
    strict: bool = False,
    export: bool = True,
    tensorboard: bool = False,
    observer: Observer | None = None,
    planned: Callable[[Plan, RunFolder, DataSplits], None] | None = None,
) -> TrainResult:
    """Go on with a run that was stopped, from the end of its last whole epoch, by its own plan and split.

    Raises CheckpointError when there is nothing to go on from or the data's classes are no longer the run's.
    """
    run = RunFolder(Path(path))
    description = run.read()
    plan = Plan.from_dict(description["plan"])
    splits = read_splits(plan.data, read_membership(run))
    if splits.classes != plan.classes:
        raise CheckpointError(
            f"{run.path}: was trained on the classes {', '.join(plan.classes)}; {plan.data} now has "
            f"{', '.join(splits.classes)}. Restore the data, or train anew"
        )
    if planned is not None:
        planned(plan, run, splits)
    return _train(
        plan,
        splits,
        run,
        str(description["started"]),
        resume=True,
        strict=strict,
        export=export,
        tensorboard=tensorboard,
        observer=observer,
    )


def _train(
    plan: Plan,
    splits: DataSplits,
    run: RunFolder,
    started: str,
    *,
    resume: bool,
    strict: bool,
    export: bool,
    tensorboard: bool,
    observer: Observer | None,
) -> TrainResult:
    def state(value: Literal["training", "finished", "stopped", "failed"]) -> None:
        run.write(plan=plan.to_dict(), state=value, versions=versions(), started=started)

    try:
        result = _run(plan, splits, run, started, resume, strict, export, tensorboard, observer)
    except KeyboardInterrupt:
        state("stopped")
        raise
    except BaseException:
        state("failed")
        raise
    state("finished")
    return result


def _run(
    plan: Plan,
    splits: DataSplits,
    run: RunFolder,
    started: str,
    resume: bool,
    strict: bool,
    export: bool,
    tensorboard: bool,
    observer: Observer | None,
) -> TrainResult:
    threads = plan.recipe.threads or 1
    readable: dict[str, Readable] = {
        name: read_all(pictures, plan.preprocess, threads=threads)
        for name, pictures in (("train", splits.train), ("val", splits.val), ("test", splits.test))
        if pictures is not None
    }
    skipped = tuple(failure for part in readable.values() for failure in part.failures)
    if skipped and strict:
        raise DataError(
            f"{len(skipped)} pictures cannot be read, and --strict was asked for: "
            + "; ".join(f"{failure.source}: {failure.reason}" for failure in skipped[:5])
        )
    task = _task(plan, readable["train"].pictures)
    trained = train_network(
        plan, task, readable["train"], readable["val"], run, resume=resume, tensorboard=tensorboard, observer=observer
    )
    answers: dict[str, Answers] = {
        name: _answers(plan, trained, readable[name]) for name in ("val", "test") if name in readable
    }
    temperature = task.fit_temperature(answers["val"].logits, answers["val"].labels)
    summaries: dict[str, Summary] = {
        name: task.summarise(
            part.logits,
            part.labels,
            names=[readable[name].pictures.names[i] for i in part.places],
            split=name,
            temperature=temperature,
        )
        for name, part in answers.items()
    }
    judged = "test" if "test" in summaries else "val"
    write_bundle(run.bundle, _bundle(plan, task, trained, summaries, temperature, started), _tensors(trained))
    parity, notes = _export(run, readable[judged], f"{Path(plan.data).name} {judged}") if export else (None, ())
    seconds = sum(row.seconds for row in trained.history)
    write_json(
        run.metrics,
        {
            "score": task.score(summaries[judged]),
            "score_name": task.score_name,
            "score_of": judged,
            "best_epoch": trained.best_epoch,
            "epochs": len(trained.history),
            "training_seconds": round(seconds, 3),
            **{name: summary.to_dict() for name, summary in summaries.items()},
        },
    )
    result = TrainResult(
        path=run.path,
        plan=plan,
        val=summaries["val"],
        test=summaries.get("test"),
        best_epoch=trained.best_epoch,
        epochs=len(trained.history),
        seconds=seconds,
        skipped=skipped,
        parity=parity,
        notes=notes + ((f"stopped early after {len(trained.history)} epochs",) if trained.stopped_early else ()),
    )
    write_run_report(
        run.report,
        plan,
        run=str(run.path),
        score_name=task.score_name,
        history=trained.history,
        best_epoch=trained.best_epoch,
        summary=summaries[judged],
        pictures=readable[judged].pictures,
        parameters=sum(parameter.numel() for parameter in trained.deployed.network.parameters()),
        how=splits.how,
        skipped=skipped,
        notes=result.notes,
        versions=versions(),
    )
    return result


def versions() -> dict[str, str]:
    """The versions that decide a run's outcome."""
    names = ("convatlas", "torch", "numpy", "pillow", "accelerate")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


def read_membership(run: RunFolder) -> dict[str, str]:
    """Which split each picture of a run was in. Raises CheckpointError when the record is missing or damaged."""
    try:
        value = json.loads(run.split.read_text(encoding="utf-8"))
        return {name: split for split, names in value.items() for name in names}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{run.split}: the record of the split cannot be read ({error})") from error


def _membership(splits: DataSplits) -> dict[str, object]:
    parts = (("train", splits.train), ("val", splits.val), ("test", splits.test))
    return {name: list(pictures.names) for name, pictures in parts if pictures is not None}


def _task(plan: Plan, pictures: PictureSet) -> Task:
    weights = balanced_weights(pictures.counts()) if plan.recipe.class_weights == "balanced" else None
    return make_task(
        plan.task, plan.model, plan.classes, label_smoothing=plan.recipe.label_smoothing, class_weights=weights
    )


def _answers(plan: Plan, trained: Trained, readable: Readable) -> Answers:
    dataset = Pictures(readable.pictures, plan.preprocess, kept=readable.kept)
    loader = make_loader(dataset, batch_size=64, shuffle=False, workers=0)
    return answer_all(trained.deployed, loader)


def _tensors(trained: Trained) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    return {name: tensor.numpy() for name, tensor in trained.deployed.network.state_dict().items()}


def _bundle(
    plan: Plan, task: Task, trained: Trained, summaries: Mapping[str, Summary], temperature: float, started: str
) -> Bundle:
    mean, std = plan_statistics(plan)
    return Bundle(
        task=plan.task,
        model=plan.model,
        changes=plan.changes,
        classes=plan.classes,
        preprocess=plan.preprocess,
        mean=mean,
        std=std,
        temperature=temperature,
        metrics={
            name: {
                task.score_name: task.score(summary),
                "pictures": summary.pictures,
                "loss": summary.loss,
            }
            for name, summary in summaries.items()
        },
        provenance={
            # The name alone: a bundle goes to others, and the path is nobody's business but the run's.
            "data": Path(plan.data).name,
            "recipe": plan.recipe_name,
            "seed": plan.recipe.seed,
            "best_epoch": trained.best_epoch,
            "weights": "trained from scratch",
            "created": started,
        },
        versions=versions(),
    )


def _export(run: RunFolder, readable: Readable, data: str) -> tuple[Parity | None, tuple[str, ...]]:
    """Export and check on real pictures; what stands in the way is a note, for the trained model is there already."""
    count = min(PARITY_PICTURES, len(readable.pictures))
    chosen = np.linspace(0, len(readable.pictures) - 1, count).round().astype(int)
    try:
        return export_onnx(run.bundle, readable.pixels(chosen.tolist()), data), ()
    except (MissingExtra, ExportError) as error:
        return None, (f"not exported: {error}",)


def _absolute(data: str | Path) -> str:
    return str(data) if str(data) in EMBEDDED else str(Path(data).resolve())


def _seed(changes: Mapping[str, object] | None) -> int:
    seed = (changes or {}).get("seed", 0)
    return seed if isinstance(seed, int) else 0
