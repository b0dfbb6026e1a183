"""`convatlas train`: from a folder of pictures to a model that answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from convatlas.cli.output import AsJson, note, print_json, print_line, print_table
from convatlas.errors import UsageError

if TYPE_CHECKING:
    from convatlas.api.train import TrainResult
    from convatlas.cli.progress import TrainingProgress
    from convatlas.data.picture_set import DataSplits
    from convatlas.engine.estimate import Estimate
    from convatlas.engine.plan import Plan
    from convatlas.engine.run import RunFolder
    from convatlas.types import EpochRow

DATA = "Data and network"
TRAINING = "Training"
MACHINE = "Machine"
OUTPUT = "Output"


def train(
    data: Annotated[
        str | None, typer.Argument(help="A folder of class folders, a CSV manifest, a folder of IDX files, or digits.")
    ] = None,
    model: Annotated[str, typer.Option(help="A name of `convatlas models`.", rich_help_panel=DATA)] = "lenet5_modern",
    size: Annotated[int | None, typer.Option(help="Side of the square input in pixels.", rich_help_panel=DATA)] = None,
    fit: Annotated[
        str | None,
        typer.Option(help="How a picture is brought to that size: crop, pad or stretch.", rich_help_panel=DATA),
    ] = None,
    val: Annotated[
        float, typer.Option(help="Part of each class held out for validation.", rich_help_panel=DATA)
    ] = 0.15,
    test: Annotated[float, typer.Option(help="Part of each class held out for testing.", rich_help_panel=DATA)] = 0.15,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at a picture that cannot be read.", rich_help_panel=DATA)
    ] = False,
    recipe: Annotated[
        str | None, typer.Option(help="A named recipe; by default the one that suits.", rich_help_panel=TRAINING)
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the pictures.", rich_help_panel=TRAINING)] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures a step.", rich_help_panel=TRAINING)] = None,
    optimizer: Annotated[str | None, typer.Option(help="sgd, adamw or rmsprop.", rich_help_panel=TRAINING)] = None,
    lr: Annotated[float | None, typer.Option(help="The largest learning rate.", rich_help_panel=TRAINING)] = None,
    schedule: Annotated[
        str | None, typer.Option(help="constant, cosine, step or one-cycle.", rich_help_panel=TRAINING)
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without a better score.", rich_help_panel=TRAINING)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Decides split and training.", rich_help_panel=TRAINING)] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Any field of the recipe.", rich_help_panel=TRAINING),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.", rich_help_panel=MACHINE)] = "auto",
    precision: Annotated[
        str | None, typer.Option(help="float32, bfloat16 or float16.", rich_help_panel=MACHINE)
    ] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same numbers at each repetition.", rich_help_panel=MACHINE)
    ] = False,
    threads: Annotated[int | None, typer.Option(help="Processor threads.", rich_help_panel=MACHINE)] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that read pictures.", rich_help_panel=MACHINE)] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; by default runs/MODEL-DATA-TIME.", rich_help_panel=OUTPUT)
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped.", rich_help_panel=OUTPUT)
    ] = None,
    export: Annotated[
        bool, typer.Option("--export/--no-export", help="Export to ONNX and check.", rich_help_panel=OUTPUT)
    ] = True,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard events too.", rich_help_panel=OUTPUT)
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan, memory and time; train nothing.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a network on a folder of pictures.

    The run's folder holds the finished model (bundle/), a report to open in a browser (report.html), the measures
    (metrics.json), the log and the checkpoints.
    """
    from convatlas.recipes.recipe import parse_changes

    if (data is None) == (resume is None):
        raise UsageError("name the data to train on, or a run to go on with (--resume RUN), not both or neither")
    changes = parse_changes(settings or [])
    options = {
        "epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "lr": lr, "schedule": schedule,
        "patience": patience, "seed": seed, "precision": precision, "threads": threads, "workers": workers,
        "deterministic": deterministic or None,
    }  # fmt: skip
    for name, value in options.items():
        if value is not None:
            if name in changes:
                raise UsageError(f"{name} is given twice: as --{name.replace('_', '-')} and with --set")
            changes[name] = value
    if fit not in (None, "crop", "pad", "stretch"):
        raise UsageError(f"--fit {fit}: expected crop, pad or stretch")
    chosen_fit = cast('Literal["crop", "pad", "stretch"] | None', fit)

    if dry_run:
        if data is None:
            raise UsageError("--dry-run needs the data; a run that is resumed has its plan in run.json")
        from convatlas.api.train import plan_training

        plan, estimate = plan_training(
            data,
            model=model,
            recipe=recipe,
            changes=changes,
            size=size,
            fit=chosen_fit,
            val=val,
            test=test,
            device=device,
        )
        _print_plan(plan, estimate, as_json=as_json)
        return

    if resume is not None and changes:
        raise UsageError(f"--resume goes on by the run's own plan; leave away {', '.join(changes)}")
    progress = _Progress()
    try:
        if resume is not None:
            from convatlas.api.train import resume as resume_run

            result = resume_run(
                resume,
                strict=strict,
                export=export,
                tensorboard=tensorboard,
                observer=progress,
                planned=progress.planned,
            )
        else:
            from convatlas.api.train import train as train_run

            assert data is not None
            result = train_run(
                data,
                model=model,
                out=out,
                recipe=recipe,
                changes=changes,
                size=size,
                fit=chosen_fit,
                val=val,
                test=test,
                device=device,
                strict=strict,
                export=export,
                tensorboard=tensorboard,
                observer=progress,
                planned=progress.planned,
            )
    except KeyboardInterrupt:
        progress.stop()
        if progress.run is not None:
            note(f"stopped; go on with: convatlas train --resume {progress.run.path}")
        raise
    finally:
        progress.stop()
    _print_result(result, as_json=as_json)


class _Progress:
    """Says what was planned, then shows a bar: the run itself says when and how long."""

    def __init__(self) -> None:
        self.run: RunFolder | None = None
        self._bar: TrainingProgress | None = None  # until there is a plan

    def planned(self, plan: "Plan", run: "RunFolder", splits: "DataSplits") -> None:
        self.run = run
        counts = [f"{len(splits.train):,} training", f"{len(splits.val):,} validation"]
        if splits.test is not None:
            counts.append(f"{len(splits.test):,} test")
        note(f"{plan.model} on {Path(plan.data).name}: {len(plan.classes)} classes, {', '.join(counts)} pictures")
        note(f"recipe {plan.recipe_name} ({plan.origins['recipe'].removeprefix('auto: ')}); run in {run.path}")
        from convatlas.cli.progress import TrainingProgress

        self._bar = TrainingProgress(plan.recipe.epochs, "top-1" if plan.task == "classify" else "mAP")
        self._bar.start()

    def batch_done(self, epoch: int, batch: int, batches: int, images: int) -> None:
        if self._bar is not None:
            self._bar.batch_done(epoch, batch, batches, images)

    def epoch_done(self, row: "EpochRow", *, best: bool) -> None:
        if self._bar is not None:
            self._bar.epoch_done(row, best=best)

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def _print_plan(plan: "Plan", estimate: "Estimate", *, as_json: bool) -> None:
    import dataclasses

    if as_json:
        settings = plan.settings()
        print_json(
            {
                "settings": {
                    name: {"value": settings[name], "origin": plan.origins.get(name, "")} for name in settings
                },
                "estimate": dataclasses.asdict(estimate),
            }
        )
        return
    from convatlas.api.report import duration, shown

    print_table(
        ("setting", "value", "from"),
        [(name, shown(value), plan.origins.get(name, "")) for name, value in plan.settings().items()],
    )
    print_line()
    print_line(f"parameters  {estimate.parameters:,}")
    print_line(
        f"memory      about {estimate.memory_bytes / 1e6:,.0f} MB for weights, gradients, optimiser and activations"
    )
    print_line(
        f"time        about {duration(estimate.seconds)} on {estimate.device}: {estimate.steps:,} steps of "
        f"{estimate.seconds_per_step * 1000:.1f} ms; reading and validation come on top"
    )


def _print_result(result: "TrainResult", *, as_json: bool) -> None:
    judged = result.test or result.val
    if as_json:
        import dataclasses

        print_json(
            {
                "run": str(result.path),
                "model": result.plan.model,
                "val": result.val.to_dict(),
                "test": None if result.test is None else result.test.to_dict(),
                "epochs": result.epochs,
                "best_epoch": result.best_epoch,
                "training_seconds": result.seconds,
                "skipped": [dataclasses.asdict(failure) for failure in result.skipped],
                "parity": None if result.parity is None else dataclasses.asdict(result.parity),
                "notes": list(result.notes),
            }
        )
        return
    from convatlas.api.report import SPLIT_NAMES, duration, score_line

    for failure in result.skipped:
        note(f"left out: {failure.source}: {failure.reason}")
    print_line(f"{score_line(judged)} on {judged.pictures:,} {SPLIT_NAMES[judged.split]} pictures")
    print_line(f"trained {result.epochs} epochs in {duration(result.seconds)}; the best was epoch {result.best_epoch}")
    if result.parity is not None:
        print_line(
            f"exported to ONNX: largest difference {result.parity.max_difference:.2g}, same answer on "
            f"{result.parity.same_top1} of {result.parity.pictures} pictures"
        )
    for text in result.notes:
        print_line(text)
    print_line()
    print_line(f"report   {result.path / 'report.html'}")
    print_line(f"predict  convatlas predict {result.path} PICTURE")
