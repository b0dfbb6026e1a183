"""Train on pictures: data to plan to training to measures to bundle, export and report."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from accelerate.utils.memory import clear_device_cache

from convatlas.api.finish import PARITY_PICTURES, TrainResult, finish
from convatlas.data.loader import CACHE_BYTES, Readable, read_all
from convatlas.data.picture_set import DataSplits, PictureSet
from convatlas.data.preprocess import Fit
from convatlas.data.source import absolute_source, open_data, read_splits
from convatlas.engine.estimate import Estimate, estimate_training
from convatlas.engine.in_parts import warn
from convatlas.engine.memory import BatchTooLargeError, halved
from convatlas.engine.no_memory import memory_for
from convatlas.engine.observer import Observer
from convatlas.engine.plan import HELD_OUT, Plan, Wishes, make_plan
from convatlas.engine.run import RunFolder, State, new_run_folder, now, read_membership
from convatlas.engine.start import bring_weights, start_training
from convatlas.engine.strategy import Choice
from convatlas.engine.versions import versions
from convatlas.errors import CheckpointError, DataError, MissingExtra, SaveError
from convatlas.files import write_json
from convatlas.tasks.make import balanced_weights, make_task
from convatlas.tasks.task import Task

__all__ = ["PARITY_PICTURES", "TrainResult", "plan_training", "resume", "train"]


def plan_training(
    data: str | Path,
    *,
    model: str | None = None,
    strategy: Choice = "auto",
    weights: str | Path | None = None,
    recipe: str | None = None,
    changes: Mapping[str, object] | None = None,
    model_changes: Mapping[str, object] | None = None,
    size: int | None = None,
    fit: Fit | None = None,
    val: float | None = None,
    test: float | None = None,
    device: str = "auto",
) -> tuple[Plan, Estimate]:
    """What `train` with the same arguments would do, and about what it would cost; nothing is written or fetched.

    As there, a batch that does not fit into memory is halved, with a warning. Raises what `train` raises before it
    trains, and TrainingError or OutOfMemoryError where not even the smallest batch fits.
    """
    wishes = Wishes(
        model=model,
        strategy=strategy,
        weights=weights,
        recipe=recipe,
        changes=changes or {},
        model_changes=model_changes or {},
        size=size,
        fit=fit,
        val=val,
        test=test,
        device=device,
    )
    splits = _open(data, wishes)
    plan = make_plan(splits, wishes)
    task = _task(plan, splits.train)
    with memory_for(f"the training of {plan.model}"):
        while True:
            try:
                return plan, estimate_training(plan, task, len(splits.train), say=warn)
            except BatchTooLargeError as error:
                plan, words = halved(plan, error.pictures, fewest=error.fewest)
                warn(words)
            clear_device_cache(garbage_collection=True)  # not before the error is gone, which holds the batch


def train(
    data: str | Path,
    *,
    model: str | None = None,
    strategy: Choice = "auto",
    weights: str | Path | None = None,
    offline: bool | None = None,
    out: str | Path | None = None,
    recipe: str | None = None,
    changes: Mapping[str, object] | None = None,
    model_changes: Mapping[str, object] | None = None,
    size: int | None = None,
    fit: Fit | None = None,
    val: float | None = None,
    test: float | None = None,
    device: str = "auto",
    strict: bool = False,
    export: bool = True,
    tensorboard: bool = False,
    observer: Observer | None = None,
) -> TrainResult:
    """Train a network on a folder of pictures (or a CSV manifest, IDX files, an embedded set such as "digits").

    model: a name of `list_models()`. When none is named: efficientnet_lite0 for photographs if its weights are on this
    machine, else lenet5_modern. strategy: "transfer" trains the classifier alone on published weights, "fine-tune" the
    rest too, stage by stage, "scratch" starts from nothing; "auto" decides by the pictures a class (under 1,000, up to
    5,000, above) and by what weights are on this machine. weights: "default" for the network's published ones, a key of
    `list_weights()`, or a run or bundle; what is asked for here or by a strategy is downloaded unless `offline` (None:
    as CONVATLAS_OFFLINE says). out: the run's folder; by default runs/MODEL-DATA-TIME. recipe: a name of
    `recipes.RECIPES`; by default the one that suits model, data and strategy. changes: fields of the recipe, which
    stand against everything. model_changes: fields of the network's config. size: side of the square input in pixels;
    fit: how a picture is brought to it. val, test: the parts of each class held out, 0.15 each by default, where the
    data does not come in parts of its own. strict: stop at a picture that cannot be read instead of leaving it out.

    It sets torch's threads and determinism for the whole process, and works in one process on one device. Raises
    UsageError, DataError, WeightsError, TrainingError, OutOfMemoryError or SaveError; what was finished before stays in
    the run's folder.
    """
    if tensorboard and find_spec("tensorboard") is None:
        raise MissingExtra("writing TensorBoard events", "tensorboard")
    wishes = Wishes(
        model=model,
        strategy=strategy,
        weights=weights,
        recipe=recipe,
        changes=changes or {},
        model_changes=model_changes or {},
        size=size,
        fit=fit,
        val=val,
        test=test,
        device=device,
    )
    observer = observer or Observer()
    splits = _open(data, wishes)
    plan = make_plan(splits, wishes)
    bring_weights(plan, offline=offline, progress=observer.fetching)
    run = new_run_folder(None if out is None else Path(out), plan.model, plan.data)
    write_json(run.split, _membership(splits))
    job = _Job(plan=plan, splits=splits, run=run, started=now())
    return job.do(resume=False, strict=strict, export=export, tensorboard=tensorboard, observer=observer)


def resume(
    path: str | Path,
    *,
    offline: bool | None = None,
    strict: bool = False,
    export: bool = True,
    tensorboard: bool = False,
    observer: Observer | None = None,
) -> TrainResult:
    """Go on with a run that was stopped, from the end of its last whole epoch, by its own plan and split.

    Raises CheckpointError when `path` is no run, or the data's classes are no longer the run's.
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
    observer = observer or Observer()
    begun = run.last.exists()  # else it starts from its beginning
    if not begun or plan.recipe.trainable == "classifier":  # whose checkpoints may hold the classifier alone
        bring_weights(plan, offline=offline, progress=observer.fetching)
    job = _Job(plan=plan, splits=splits, run=run, started=str(description["started"]))
    return job.do(resume=begun, strict=strict, export=export, tensorboard=tensorboard, observer=observer)


def _open(data: str | Path, wishes: Wishes) -> DataSplits:
    seed = wishes.changes.get("seed", 0)
    return open_data(
        absolute_source(data),
        seed=seed if isinstance(seed, int) else 0,  # the recipe refuses another kind of value
        val=HELD_OUT if wishes.val is None else wishes.val,
        test=HELD_OUT if wishes.test is None else wishes.test,
    )


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One run from its plan to its report."""

    plan: Plan
    splits: DataSplits
    run: RunFolder
    started: str

    def do(self, *, resume: bool, strict: bool, export: bool, tensorboard: bool, observer: Observer) -> TrainResult:
        """Do it, and keep run.json's word on how it stands true whatever happens."""
        plan, trained, said = self.plan, None, list[str]()
        self._note("training", plan)
        try:
            observer.planned(self.plan, self.run, self.splits)
            readable = self._read(observer, strict=strict)
            task = _task(self.plan, readable["train"].pictures)
            while trained is None:
                try:
                    trained = start_training(
                        plan,
                        task,
                        readable["train"],
                        readable["val"],
                        self.run,
                        resume=resume,
                        tensorboard=tensorboard,
                        observer=observer,
                    )
                except BatchTooLargeError as error:
                    plan, words = halved(plan, error.pictures, fewest=error.fewest)
                    said.append(words)
                    self._note("training", plan)
                    observer.halved(plan, words)
                    resume = True  # from the end of the last whole epoch; at first, the beginning
                if trained is None:
                    clear_device_cache(garbage_collection=True)  # not before the error is gone, which holds the batch
            result = finish(
                plan,
                task,
                trained,
                readable,
                self.run,
                started=self.started,
                how=self.splits.how,
                warnings=(*self.splits.warnings, *said),
                export=export,
                say=lambda words: observer.halved(plan, words),
            )
        except BaseException as error:
            # The disk that has just filled up takes no note; the first error is the one to hear of.
            with contextlib.suppress(SaveError):
                self._note("stopped" if isinstance(error, KeyboardInterrupt) else "failed", plan)
            raise
        self._note("finished", plan)
        return result

    def _note(self, state: State, plan: Plan) -> None:
        self.run.write(plan=plan.to_dict(), state=state, versions=versions(), started=self.started)

    def _read(self, observer: Observer, *, strict: bool) -> dict[str, Readable]:
        """Every picture of every split, decoded once, and what cannot be."""
        parts: dict[str, PictureSet] = {"train": self.splits.train, "val": self.splits.val}
        if self.splits.test is not None:
            parts["test"] = self.splits.test
        total = sum(len(pictures) for pictures in parts.values())
        readable: dict[str, Readable] = {}
        for name, pictures in parts.items():
            before = sum(len(part.pictures) + len(part.failures) for part in readable.values())
            # Pictures that are cut anew each time are of no use in the size of the network.
            cut_anew = name == "train" and self.plan.recipe.crop_area < 1
            readable[name] = read_all(
                pictures,
                self.plan.preprocess,
                cache_bytes=0 if cut_anew else CACHE_BYTES,
                threads=self.plan.recipe.threads or 1,
                progress=lambda done, before=before: observer.reading(before + done, total),  # type: ignore[misc]
            )
        skipped = [failure for part in readable.values() for failure in part.failures]
        if skipped and strict:
            raise DataError(
                f"{len(skipped)} pictures cannot be read, and --strict was asked for: "
                + "; ".join(f"{failure.source}: {failure.reason}" for failure in skipped[:5])
            )
        for name, pictures in parts.items():
            _check_none_lost(name, pictures, readable[name])
        return readable


def _check_none_lost(split: str, pictures: PictureSet, readable: Readable) -> None:
    """A class that was there and of which nothing can be read would be in the model without ever having been seen."""
    lost = (pictures.counts() > 0) & (readable.pictures.counts() == 0)
    if split != "test" and lost.any():
        names = ", ".join(name for name, gone in zip(pictures.classes, lost, strict=True) if gone)
        first = readable.failures[0]
        raise DataError(
            f"{pictures.origin}: not one {split} picture of {names} can be read (such as {first.source}: "
            f"{first.reason}). Replace them, or remove the class; `convatlas data check` lists all"
        )


def _membership(splits: DataSplits) -> dict[str, object]:
    parts = (("train", splits.train), ("val", splits.val), ("test", splits.test))
    return {name: list(pictures.names) for name, pictures in parts if pictures is not None}


def _task(plan: Plan, pictures: PictureSet) -> Task:
    weights = balanced_weights(pictures.counts()) if plan.recipe.class_weights == "balanced" else None
    return make_task(
        plan.task, plan.model, plan.classes, label_smoothing=plan.recipe.label_smoothing, class_weights=weights
    )
