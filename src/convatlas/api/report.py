"""From a finished run or an evaluation to the record that the report draws."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from convatlas.api.graph_facts import graph_facts
from convatlas.catalog import card
from convatlas.data.picture_set import PictureSet
from convatlas.engine.graph_records import Parity
from convatlas.engine.plan import Plan
from convatlas.metrics.summary import ClassifySummary, Summary, WrongLabels, WrongPicture
from convatlas.report.run_report import PictureCard, RunReport, Setting, write_report
from convatlas.types import EpochRow, Failure

SHOWN = 24  # wrong pictures shown, the surest mistakes first
RIGHT_SHOWN = 8
SPLIT_NAMES = {"train": "training", "val": "validation", "test": "test", "all": "given"}


def write_run_report(
    path: Path,
    plan: Plan,
    *,
    run: str,
    score_name: str,
    history: Sequence[EpochRow],
    best_epoch: int,
    summary: Summary,
    pictures: PictureSet,
    parameters: int,
    how: str,
    parity: Parity | None,
    skipped: Sequence[Failure],
    notes: Sequence[str],
    versions: Mapping[str, str],
) -> None:
    """The report of a training run; `pictures` are those that `summary` was measured on, in its order.

    parity: None where it was not exported.
    """
    seconds = sum(row.seconds for row in history)
    network = card(plan.model)
    write_report(
        path,
        RunReport(
            title=f"{network.name} on {Path(plan.data).name}",
            facts=(
                ("Network", f"{network.name} ({network.family}, {network.year})"),
                ("Parameters", f"{parameters:,}"),
                ("Data", f"{Path(plan.data).name}, {len(plan.classes)} classes"),
                ("Split", how),
                ("Measured on", f"{summary.pictures:,} {SPLIT_NAMES[summary.split]} pictures"),
                ("Started from", _started_from(plan)),
                ("Recipe", plan.recipe_name),
                ("Training", f"{len(history)} epochs in {duration(seconds)}; epoch {best_epoch} was kept"),
                ("Seed", str(plan.recipe.seed)),
            ),
            graphs=graph_facts(parity, None),
            summary=summary,
            history=tuple(history),
            settings=tuple(
                Setting(name=name, value=shown(value), origin=plan.origins.get(name, ""))
                for name, value in plan.settings().items()
            ),
            wrong_pictures=wrong_cards(summary, pictures),
            right_pictures=right_cards(summary, pictures),
            skipped=tuple(skipped),
            notes=tuple(notes),
            score_name=score_name,
            run=run,
            versions=tuple(versions.items()),
        ),
    )


def write_evaluation_report(
    path: Path,
    *,
    title: str,
    run: str,
    score_name: str,
    facts: Sequence[tuple[str, str]],
    summary: Summary,
    pictures: PictureSet,
    skipped: Sequence[Failure],
    notes: Sequence[str],
    averaged: bool,
    versions: Mapping[str, str],
) -> None:
    """The report of a bundle evaluated on pictures; averaged: over several views of each."""
    write_report(
        path,
        RunReport(
            title=title,
            facts=tuple(facts),
            summary=summary,
            history=(),
            settings=(),
            wrong_pictures=wrong_cards(summary, pictures),
            right_pictures=right_cards(summary, pictures),
            skipped=tuple(skipped),
            notes=tuple(notes),
            averaged=averaged,
            score_name=score_name,
            run=run,
            versions=tuple(versions.items()),
        ),
    )


def wrong_cards(summary: Summary, pictures: PictureSet) -> tuple[PictureCard, ...]:
    """The most wrong pictures with a caption each."""
    shown_first = summary.wrong[:SHOWN]
    return tuple(
        PictureCard(pixels=pictures.read(wrong.index), caption=mistake(wrong), alt=f"{wrong.name}: {mistake(wrong)}")
        for wrong in shown_first
    )


def right_cards(summary: Summary, pictures: PictureSet) -> tuple[PictureCard, ...]:
    """Some pictures that were answered rightly, evenly over the set, for comparison."""
    wrong = {each.index for each in summary.wrong}
    right = [place for place in range(len(pictures)) if place not in wrong]
    chosen = right[:: max(1, len(right) // RIGHT_SHOWN)][:RIGHT_SHOWN]
    return tuple(
        PictureCard(
            pixels=pictures.read(place),
            caption=truth(pictures, place),
            alt=f"{pictures.names[place]}: {truth(pictures, place)}, as answered",
        )
        for place in chosen
    )


def truth(pictures: PictureSet, place: int) -> str:
    """The true class of a picture, or all its labels."""
    if not pictures.multilabel:
        return pictures.classes[int(pictures.targets[place])]
    return ", ".join(pictures.classes[k] for k in pictures.targets[place].nonzero()[0].tolist()) or "no label"


def mistake(wrong: WrongPicture | WrongLabels) -> str:
    """`taken for 7 (98%), is 1`; for several labels what was missed and what was wrongly given."""
    if isinstance(wrong, WrongPicture):
        return f"taken for {wrong.predicted} ({wrong.probability:.0%}), is {wrong.truth}"
    parts = []
    if wrong.missed:
        parts.append(f"missed {', '.join(wrong.missed)}")
    if wrong.extra:
        parts.append(f"wrongly given {', '.join(wrong.extra)}")
    return "; ".join(parts)


def shown(value: object) -> str:
    """A setting's value as a person reads it."""
    if isinstance(value, tuple | list):
        return ", ".join(shown(each) for each in value)
    if isinstance(value, float):
        return f"{value:g}"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def duration(seconds: float) -> str:
    """`48 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = math.ceil(seconds)
    if whole < 100:
        return f"{whole} s"
    if whole < 6000:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def score_line(summary: Summary) -> str:
    """`98.60 % top-1 accuracy (97.7 to 99.2 % at 95 % confidence)`, or the mean average precision."""
    if isinstance(summary, ClassifySummary):
        low, high = summary.top1_interval
        return f"{summary.top1:.2%} top-1 accuracy ({low:.1%} to {high:.1%} with 95 % confidence)"
    return f"{summary.mean_ap or 0:.2%} mean average precision"


def _started_from(plan: Plan) -> str:
    """The strategy and the weights in words."""
    start = plan.start
    if start.strategy == "scratch":
        return "nothing (scratch)"
    return f"{start.weight_set or Path(str(start.bundle)).name} ({start.strategy})"
