"""What follows the training: measure, write the bundle, export and check it, write metrics and report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from convatlas.api.report import write_run_report
from convatlas.data.loader import Pictures, Readable, make_loader
from convatlas.engine.bundle import Bundle, write_bundle
from convatlas.engine.device import make_accelerator
from convatlas.engine.evaluate import Answers, answer_all
from convatlas.engine.export import export_onnx
from convatlas.engine.graph_records import Parity
from convatlas.engine.in_parts import InParts, Say
from convatlas.engine.no_memory import memory_for
from convatlas.engine.plan import Plan
from convatlas.engine.run import RunFolder
from convatlas.engine.session import plan_statistics
from convatlas.engine.strategy import Start
from convatlas.engine.train import Trained
from convatlas.engine.versions import versions
from convatlas.errors import ExportError, MissingExtra
from convatlas.files import write_json
from convatlas.metrics.summary import Summary
from convatlas.tasks.task import Task
from convatlas.types import Failure

PARITY_PICTURES = 200


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """A finished run. test is None when the data has no test pictures; parity is None when it was not exported.

    training_seconds: of the training steps alone, without reading, validation, export and report.
    """

    path: Path
    plan: Plan
    val: Summary
    test: Summary | None
    best_epoch: int
    epochs: int
    training_seconds: float
    skipped: tuple[Failure, ...]
    parity: Parity | None
    notes: tuple[str, ...]


def finish(
    plan: Plan,
    task: Task,
    trained: Trained,
    readable: Mapping[str, Readable],
    run: RunFolder,
    *,
    started: str,
    how: str,
    warnings: Sequence[str],
    export: bool,
    say: Say,
) -> TrainResult:
    """Measure the trained network on validation and test pictures and write what a run leaves behind.

    say: is told of a batch that does not fit into memory. Raises OutOfMemoryError where not even one picture fits.
    """
    with memory_for(f"measuring the trained {plan.model}"):
        answers = _answers(plan, trained, {name: readable[name] for name in ("val", "test") if name in readable}, say)
    temperature = task.fit_temperature(answers["val"].logits, answers["val"].labels)
    summaries: dict[str, Summary] = {
        name: task.summarise(
            part.logits,
            part.labels,
            names=[readable[name].pictures.names[place] for place in part.places],
            split=name,
            temperature=temperature,
        )
        for name, part in answers.items()
    }
    judged = "test" if "test" in summaries else "val"
    write_bundle(run.bundle, _bundle(plan, task, trained, summaries, temperature, started), _tensors(trained))
    notes = list(warnings)
    if trained.stopped_early:
        notes.append(f"stopped after {len(trained.history)} epochs: the score did not improve any more")
    parity = None
    if export:
        try:
            parity = _export(run, readable[judged], f"{Path(plan.data).name} {judged}")
        except (MissingExtra, ExportError) as error:
            notes.append(f"not exported: {error}")  # the trained model is there all the same

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
    skipped = tuple(failure for part in readable.values() for failure in part.failures)
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
        how=how,
        parity=parity,
        skipped=skipped,
        notes=notes,
        versions=versions(),
    )
    return TrainResult(
        path=run.path,
        plan=plan,
        val=summaries["val"],
        test=summaries.get("test"),
        best_epoch=trained.best_epoch,
        epochs=len(trained.history),
        training_seconds=seconds,
        skipped=skipped,
        parity=parity,
        notes=tuple(notes),
    )


def _answers(plan: Plan, trained: Trained, readable: Mapping[str, Readable], say: Say) -> dict[str, Answers]:
    device = make_accelerator(plan.device, "float32").device
    memory_format = torch.channels_last if plan.recipe.channels_last else torch.contiguous_format
    trained.deployed.to(device, memory_format=memory_format)  # type: ignore[call-overload]
    in_parts = InParts(trained.deployed, what="measuring the trained network", say=say)
    answers = {}
    for name, part in readable.items():
        pictures = Pictures(part.pictures, plan.preprocess, kept=part.kept, threads=plan.recipe.threads or 1)
        loader = make_loader(pictures, batch_size=max(plan.recipe.batch_size, 16), shuffle=False, workers=0)
        answers[name] = answer_all(in_parts, loader)
    trained.deployed.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return answers


def _tensors(trained: Trained) -> dict[str, NDArray[np.generic]]:
    return {name: tensor.numpy() for name, tensor in trained.deployed.network.state_dict().items()}


def _bundle(
    plan: Plan, task: Task, trained: Trained, summaries: Mapping[str, Summary], temperature: float, started: str
) -> Bundle:
    mean, std = plan_statistics(plan)
    return Bundle(
        task=plan.task,
        model=plan.model,
        changes={name: value for name, value in plan.changes.items() if name != "aux"},  # see `without_auxiliary`
        classes=plan.classes,
        preprocess=plan.preprocess,
        mean=mean,
        std=std,
        temperature=temperature,
        metrics={
            name: {task.score_name: task.score(summary), "pictures": summary.pictures, "loss": summary.loss}
            for name, summary in summaries.items()
        },
        provenance={
            # The name alone: a bundle goes to others, and the path is nobody's business but the run's.
            "data": Path(plan.data).name,
            "recipe": plan.recipe_name,
            "seed": plan.recipe.seed,
            "best_epoch": trained.best_epoch,
            **_origin_of_weights(plan.start),
            "created": started,
        },
        versions=versions(),
    )


def _origin_of_weights(start: Start) -> dict[str, object]:
    """What the network knew before, and on what terms: they go with the bundle."""
    if start.strategy == "scratch":
        return {"weights": "trained from scratch"}
    return {**start.origin, "weights": f"{start.strategy} from {start.origin['weights']}"}


def _export(run: RunFolder, readable: Readable, data: str) -> Parity:
    """Export, and check on real pictures, evenly over the set."""
    count = min(PARITY_PICTURES, len(readable.pictures))
    chosen = np.linspace(0, len(readable.pictures) - 1, count).round().astype(int)
    return export_onnx(run.bundle, readable.pixels(chosen.tolist()), data)
