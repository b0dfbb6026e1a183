"""`convatlas train`: from a folder of pictures to a model that answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from convatlas.cli.model_changes import parse_model_changes
from convatlas.cli.output import AsJson, note, print_json, print_line, print_table
from convatlas.errors import UsageError

if TYPE_CHECKING:
    from convatlas.api.train import TrainResult
    from convatlas.data.preprocess import Fit
    from convatlas.engine.estimate import Estimate
    from convatlas.engine.plan import Plan
    from convatlas.engine.strategy import Choice

DATA = "Data and network"
TRAINING = "Training"
MACHINE = "Machine"
OUTPUT = "Output"


def train(
    context: typer.Context,
    data: Annotated[
        str | None, typer.Argument(help="A folder of class folders, a CSV manifest, a folder of IDX files, or digits.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="A name of `convatlas models`. When none is named: efficientnet_lite0 for photographs if its weights "
            "are installed, else lenet5_modern.",
            rich_help_panel=DATA,
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(help="Side of the square input in pixels, where the network has a choice.", rich_help_panel=DATA),
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(help="How a picture is brought to that size: crop, pad or stretch.", rich_help_panel=DATA),
    ] = None,
    val: Annotated[
        float | None,
        typer.Option(help="Part of each class held out for validation; 0.15 by default.", rich_help_panel=DATA),
    ] = None,
    test: Annotated[
        float | None,
        typer.Option(help="Part of each class held out for testing; 0.15 by default.", rich_help_panel=DATA),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at a picture that cannot be read.", rich_help_panel=DATA)
    ] = False,
    strategy: Annotated[
        str,
        typer.Option(
            help="auto, transfer (train the classifier on published weights), fine-tune (then the rest, stage by "
            "stage) or scratch. auto: by the pictures a class, under 1,000, up to 5,000, above.",
            rich_help_panel=TRAINING,
        ),
    ] = "auto",
    weights: Annotated[
        str | None,
        typer.Option(
            help="What to start from: default (the network's published weights), a key of `convatlas weights list`, or "
            "a run or bundle. Asked for, published weights are downloaded.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline", help="Never touch the network; so does CONVATLAS_OFFLINE=1.", rich_help_panel=TRAINING
        ),
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
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Any field of the recipe; or of the network, as model.FIELD=VALUE.",
            rich_help_panel=TRAINING,
        ),
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
    of_model = [setting for setting in settings or [] if setting.startswith("model.")]
    changes = parse_changes([setting for setting in settings or [] if setting not in of_model])
    model_changes = parse_model_changes(of_model)
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
    chosen_fit = cast("Fit | None", fit)
    chosen_strategy = cast("Choice", strategy)  # `choose_start` refuses another, with the nearest

    if dry_run:
        if data is None:
            raise UsageError("--dry-run needs the data; a run that is resumed has its plan in run.json")
        from convatlas.api.train import plan_training

        plan, estimate = plan_training(
            data,
            model=model,
            strategy=chosen_strategy,
            weights=weights,
            recipe=recipe,
            changes=changes,
            model_changes=model_changes,
            size=size,
            fit=chosen_fit,
            val=val,
            test=test,
            device=device,
        )
        _print_plan(plan, estimate, as_json=as_json)
        return

    if resume is not None:
        _refuse_with_resume(context)
    from convatlas.cli.progress import TrainingProgress

    progress = TrainingProgress()
    try:
        if resume is not None:
            from convatlas.api.train import resume as resume_run

            result = resume_run(
                resume,
                offline=offline or None,
                strict=strict,
                export=export,
                tensorboard=tensorboard,
                observer=progress,
            )
        else:
            from convatlas.api.train import train as train_run

            assert data is not None
            result = train_run(
                data,
                model=model,
                strategy=chosen_strategy,
                weights=weights,
                offline=offline or None,
                out=out,
                recipe=recipe,
                changes=changes,
                model_changes=model_changes,
                size=size,
                fit=chosen_fit,
                val=val,
                test=test,
                device=device,
                strict=strict,
                export=export,
                tensorboard=tensorboard,
                observer=progress,
            )
    except KeyboardInterrupt:
        progress.stop()
        if progress.run is not None:
            note(f"stopped; go on with: convatlas train --resume {progress.run.path}")
        raise
    finally:
        progress.stop()
    _print_result(result, as_json=as_json)


def _refuse_with_resume(context: typer.Context) -> None:
    """A run that is resumed goes on by its own plan: an option that would be ignored is refused."""
    given = [
        f"--{name.replace('_', '-')}"
        for name in context.params
        if name not in ("resume", "offline", "strict", "export", "tensorboard", "as_json")
        and (source := context.get_parameter_source(name)) is not None
        and source.name == "COMMANDLINE"
    ]
    if given:
        raise UsageError(f"--resume goes on by the run's own plan; leave away {', '.join(given)}")


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
                "training_seconds": result.training_seconds,
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
    epochs = "1 epoch" if result.epochs == 1 else f"{result.epochs} epochs, epoch {result.best_epoch} was kept"
    print_line(f"trained {epochs}, {duration(result.training_seconds)}")
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
