"""`convatlas evaluate`: every measure of a finished model."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from convatlas.cli.output import AsJson, note, print_json, print_line, print_table


def evaluate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A run, or a bundle.", show_default=False)],
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="Labelled pictures: a folder of class folders, a folder with IDX files, a .csv manifest, or digits; "
            "by default the run's own held-out ones.",
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="train, val or test; by default test, else val, else all.")] = None,
    views: Annotated[
        str,
        typer.Option(
            help="Of each picture: single, as the bundle answers; ten-crop, four corners, the centre, and their "
            "mirror images; dense, the whole picture and its mirror image, for networks that can (not AlexNet, "
            "MobileNetV3, ViT). The last two do harm where a mirror image means something else, as with digits and "
            "letters."
        ),
    ] = "single",
    report: Annotated[Path | None, typer.Option(help="Write an HTML report here.")] = None,
    metrics: Annotated[Path | None, typer.Option(help="Write every measure as JSON here.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="Processor threads; by default torch's choice.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a model: accuracy with its interval, each class, calibration, the most wrong pictures."""
    from convatlas.api.evaluate import evaluate as evaluate_bundle
    from convatlas.api.report import mistake, score_line
    from convatlas.data.views import DESCRIBED
    from convatlas.metrics.summary import ClassifySummary

    result = evaluate_bundle(
        bundle,
        data,
        split=split,
        views=views,
        device=device,
        threads=threads,
        report=report,
        metrics=metrics,
        say=note,
    )
    summary = result.summary
    for text in result.notes:
        note(f"note: {text}")
    if as_json:
        print_json(
            {
                "score": result.score,
                "score_name": result.score_name,
                "of": result.of,
                "views": result.views,
                **summary.to_dict(),
                "skipped": [dataclasses.asdict(failure) for failure in result.skipped],
                "notes": list(result.notes),
            }
        )
        return
    for failure in result.skipped:
        note(f"left out: {failure.source}: {failure.reason}")
    print_line(f"{score_line(summary)}")
    print_line(f"on {summary.pictures:,} pictures: {result.of}")
    if result.views != "single":
        print_line(DESCRIBED[result.views])
    if isinstance(summary, ClassifySummary):
        top5 = "" if summary.top5 is None else f", top-5 {summary.top5:.2%}"
        which = (
            f"temperature {summary.temperature:.2f}" if result.views == "single" else "of the averaged probabilities"
        )
        print_line(f"calibration error {summary.ece:.2%} ({which}){top5}")
    print_line()
    print_table(
        ("class", "pictures", "precision", "recall", "F1"),
        [
            (each.label, f"{each.support:,}", _percent(each.precision), _percent(each.recall), _percent(each.f1))
            for each in summary.per_class
        ],
        right=("pictures", "precision", "recall", "F1"),
    )
    if summary.wrong:
        print_line()
        print_line(f"{len(summary.wrong)} wrong, the surest first:")
        for wrong in summary.wrong[:10]:
            print_line(f"  {wrong.name}: {mistake(wrong)}")
    for path in (report, metrics):
        if path is not None:
            print_line(f"written: {path}")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
