"""From a RunReport to the HTML page: what each section says, in numbers and plain sentences."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import convatlas
from convatlas.metrics.summary import ClassifySummary, MultilabelSummary
from convatlas.report import plots
from convatlas.report.graph_rows import graph_rows
from convatlas.report.run_report import PictureCard, RunReport
from convatlas.report.thumbnails import Thumbnail, thumbnail
from convatlas.report.words import plain
from convatlas.types import best_epoch

MOST_ROWS: Final = 200  # of a table; all of them are in metrics.json
MOST_CONFUSIONS: Final = 10
SPLIT_NAMES: Final = {"train": "training ", "val": "validation ", "test": "test "}  # any other goes without a name


@dataclass(frozen=True, kw_only=True)
class Stat:
    """One number with its name and one sentence that says what it means."""

    name: str
    value: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """One class of the table: the last value is drawn as a bar and orders the rows."""

    label: str
    support: int
    values: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """One kind of mistake: how many pictures of `truth` were taken for `predicted`."""

    truth: str
    predicted: str
    count: int
    share: float  # of the pictures of `truth`, 0..1


@dataclass(frozen=True, kw_only=True)
class Card:
    """A picture with its text."""

    picture: Thumbnail
    caption: str
    alt: str


def build_page(report: RunReport) -> str:
    """The HTML document. Everything from outside is escaped; only our own SVG is inserted as it is."""
    environment = Environment(
        loader=PackageLoader("convatlas.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "plain": plain, "python": json.dumps}
    summary = report.summary
    classify = summary if isinstance(summary, ClassifySummary) else None
    rows = class_rows(summary)
    return environment.get_template("run.html.j2").render(
        report=report,
        graphs=graph_rows(report.graphs),
        summary=summary,
        classify=classify,
        headline=headline(summary),
        split=SPLIT_NAMES.get(summary.split, ""),
        stats=stats(summary),
        wrong_count=len(summary.wrong),
        curves=_svgs(plots.curves(report.history, report.score_name)) if report.history else (),
        best_epoch=best_epoch(report.history).epoch if report.history else None,
        confusion=_svg(plots.confusion_plot(classify.confusion, classify.classes)) if classify else None,
        confusions=most_confused(classify) if classify else (),
        class_columns=("Precision", "Recall", "F1") if classify else ("Precision", "Recall", "F1", "Average precision"),
        class_rows=rows[:MOST_ROWS],
        reliability=_svg(plots.reliability_diagram(classify.reliability)) if classify else None,
        wrong_pictures=_cards(report.wrong_pictures),
        right_pictures=_cards(report.right_pictures),
        skipped=report.skipped[:MOST_ROWS],
        run=f'"{report.run}"' if any(character.isspace() for character in report.run) else report.run,
        convatlas_version=convatlas.__version__,
    )


def percent(value: float | None, digits: int = 1) -> str:
    """0.9871 -> "98.7%"; never "100.0%" while something is wrong; a dash for None, an undefined measure."""
    if value is None:
        return "\N{EN DASH}"
    if value == 1:
        return "100%"
    if value > 1 - 0.5 * 10 ** -(digits + 2):
        digits += 2
    return f"{value:.{digits}%}"


def headline(summary: ClassifySummary | MultilabelSummary) -> Stat:
    """The score that the page opens with, and how far it may be trusted."""
    if isinstance(summary, ClassifySummary):
        low, high = summary.top1_interval
        return Stat(
            name="top-1 accuracy",
            value=percent(summary.top1),
            meaning=f"95% interval {percent(low)} to {percent(high)}: where the accuracy on many more pictures of the "
            "same kind most likely lies.",
        )
    return Stat(
        name="mean average precision (mAP)",
        value=percent(summary.mean_ap),
        meaning="How well pictures with a label rank above pictures without it, averaged over the labels that occur; "
        "100% is perfect.",
    )


def stats(summary: ClassifySummary | MultilabelSummary) -> tuple[Stat, ...]:
    """The other numbers of the set, most useful first."""
    f1 = "Precision and recall in one number, averaged over the classes: a rare class weighs as much as a common one."
    if isinstance(summary, MultilabelSummary):
        return (
            Stat(name="Exact match", value=percent(summary.exact_match), meaning="Pictures with every label right."),
            Stat(name="Micro F1", value=percent(summary.micro_f1), meaning="Precision and recall over all decisions."),
            Stat(name="Macro F1", value=percent(summary.macro_f1), meaning=f1),
            Stat(
                name="Loss",
                value=f"{summary.loss:.3f}",
                meaning=f"Mean surprise at the truth, a label; 0 is sure and right, a coin toss {math.log(2):.2f}.",
            ),
        )
    guess = math.log(len(summary.classes))
    top5 = Stat(name="Top-5", value=percent(summary.top5), meaning="The right class is among the five most probable.")
    return (
        *((top5,) if summary.top5 is not None else ()),
        Stat(name="Macro F1", value=percent(summary.macro_f1), meaning=f1),
        Stat(
            name="Loss",
            value=f"{summary.loss:.3f}",
            meaning=f"Mean surprise at the right class; 0 is sure and right, blind guessing {guess:.2f}.",
        ),
        Stat(
            name="Calibration error",
            value=percent(summary.ece),
            meaning="How far a stated probability is, on average, from how often it comes true (ECE).",
        ),
    )


def class_rows(summary: ClassifySummary | MultilabelSummary) -> tuple[ClassRow, ...]:
    """Every class, the weakest first, those without a score last."""
    if isinstance(summary, ClassifySummary):
        rows = [
            ClassRow(label=one.label, support=one.support, values=(one.precision, one.recall, one.f1))
            for one in summary.per_class
        ]
    else:
        rows = [
            ClassRow(
                label=one.label,
                support=one.support,
                values=(one.precision, one.recall, one.f1, one.average_precision),
            )
            for one in summary.per_class
        ]
    return tuple(sorted(rows, key=lambda row: math.inf if row.values[-1] is None else row.values[-1]))


def most_confused(summary: ClassifySummary) -> tuple[Confusion, ...]:
    """The most frequent mistakes, at most MOST_CONFUSIONS of them."""
    mistakes = summary.confusion - np.diag(np.diag(summary.confusion))
    order = np.argsort(-mistakes, axis=None, kind="stable")[:MOST_CONFUSIONS]
    pairs = [(int(row), int(column)) for row, column in zip(*np.unravel_index(order, mistakes.shape), strict=True)]
    return tuple(
        Confusion(
            truth=summary.classes[row],
            predicted=summary.classes[column],
            count=int(mistakes[row, column]),
            share=float(mistakes[row, column] / summary.confusion[row].sum()),
        )
        for row, column in pairs
        if mistakes[row, column]
    )


def _cards(cards: Sequence[PictureCard]) -> tuple[Card, ...]:
    return tuple(
        Card(picture=thumbnail(card.pixels), caption=card.caption, alt=card.alt or card.caption or "a picture")
        for card in cards
    )


def _svgs(drawings: Sequence[str]) -> tuple[Markup, ...]:
    return tuple(Markup(drawing) for drawing in drawings)


def _svg(drawing: str | None) -> Markup | None:
    return None if drawing is None else Markup(drawing)
