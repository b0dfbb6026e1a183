"""Measure a bundle on pictures that it was not trained on."""

from dataclasses import dataclass
from pathlib import Path

from convatlas.api.report import write_evaluation_report
from convatlas.api.train import Summary, read_membership, versions
from convatlas.data.loader import Pictures, make_loader, read_all
from convatlas.data.picture_set import PictureSet
from convatlas.data.source import EMBEDDED, open_parts, open_pictures, read_splits
from convatlas.engine.bundle import Bundle, bundle_folder
from convatlas.engine.deploy import load_deployed
from convatlas.engine.evaluate import answer_all
from convatlas.engine.run import RunFolder
from convatlas.engine.seeding import prepare_torch
from convatlas.engine.session import make_accelerator
from convatlas.errors import DataError, UsageError
from convatlas.files import write_json
from convatlas.tasks.make import make_task
from convatlas.types import SPLITS, Failure


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a bundle scored. of: in words, which pictures these were."""

    summary: Summary
    score: float
    score_name: str
    of: str
    skipped: tuple[Failure, ...]


def evaluate(
    path: str | Path,
    data: str | Path | None = None,
    *,
    split: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    report: str | Path | None = None,
    metrics: str | Path | None = None,
) -> Evaluation:
    """Every measure of a bundle (or a run's bundle) on labelled pictures.

    data: by default the run's own data, by its recorded split. split: "train", "val" or "test"; by default the test
    pictures, else the validation pictures; for data without splits, all. report, metrics: HTML and JSON to write.
    Raises UsageError when there are no such pictures, DataError when the data's classes are not the bundle's.
    """
    folder = bundle_folder(Path(path))
    bundle, deployed = load_deployed(folder)
    pictures, chosen, of = _pictures(Path(path), folder, data, split)
    _check_classes(bundle, pictures)
    prepare_torch(threads=threads, deterministic=False)
    accelerator = make_accelerator(device, "float32")
    readable = read_all(pictures, bundle.preprocess, threads=threads or 4)
    dataset = Pictures(readable.pictures, bundle.preprocess, kept=readable.kept)
    answers = answer_all(deployed.to(accelerator.device), make_loader(dataset, batch_size=64, shuffle=False, workers=0))
    task = make_task(bundle.task, bundle.model, bundle.classes)
    summary = task.summarise(
        answers.logits,
        answers.labels,
        names=readable.pictures.names,
        split=chosen,
        temperature=bundle.temperature,
    )
    if metrics is not None:
        score = {"score": task.score(summary), "score_name": task.score_name, "score_of": chosen}
        write_json(Path(metrics), {**score, chosen: summary.to_dict()})
    if report is not None:
        write_evaluation_report(
            Path(report),
            title=f"{bundle.model} on {of}",
            run=str(path),
            score_name=task.score_name,
            facts=(
                ("Network", bundle.model),
                ("Bundle", str(path)),
                ("Measured on", f"{summary.pictures:,} pictures: {of}"),
            ),
            summary=summary,
            pictures=readable.pictures,
            skipped=readable.failures,
            versions=versions(),
        )
    return Evaluation(
        summary=summary, score=task.score(summary), score_name=task.score_name, of=of, skipped=readable.failures
    )


def _pictures(path: Path, folder: Path, data: str | Path | None, split: str | None) -> tuple[PictureSet, str, str]:
    """The pictures to measure on, the name of their split, and which they are in words."""
    run = RunFolder(folder.parent if folder.name == "bundle" else path)
    recorded = str(run.read()["plan"]["data"]) if run.description.is_file() else None
    if data is None and recorded is None:
        raise UsageError(f"{path}: a bundle alone does not know its data; name it: convatlas evaluate {path} DATA")
    source = recorded if data is None else str(data) if str(data) in EMBEDDED else str(Path(data).resolve())
    assert source is not None
    name = Path(source).name
    if source == recorded:
        # Also when the data is named: measuring on the pictures it was trained on would flatter it.
        splits = read_splits(source, read_membership(run))
        parts: dict[str, PictureSet | None] = {"train": splits.train, "val": splits.val, "test": splits.test}
        kind = "the run's own split"
    else:
        given = open_parts(source)
        if given is None:
            if split is not None:
                raise UsageError(f"{source}: has no splits, so there is no {split!r} in it; leave --split away")
            return open_pictures(source), "all", f"all of {name}"
        parts = {name: given.get(name) for name in SPLITS}
        kind = "its own split"
    chosen = split or ("test" if parts.get("test") is not None else "val" if parts.get("val") is not None else "train")
    part = parts.get(chosen)
    if part is None:
        there = ", ".join(key for key, value in parts.items() if value is not None)
        raise UsageError(f"{source}: has no {chosen!r} pictures; there is {there}")
    return part, chosen, f"{name} {chosen} ({kind})"


def _check_classes(bundle: Bundle, pictures: PictureSet) -> None:
    if pictures.classes != bundle.classes:
        raise DataError(
            f"{pictures.origin}: its classes are {', '.join(pictures.classes[:10])}; the bundle knows "
            f"{', '.join(bundle.classes[:10])}. They must be the same, in the same order"
        )
