"""Measure a bundle on pictures that it was not trained on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from convatlas.api.graph_facts import graph_facts
from convatlas.api.report import write_evaluation_report
from convatlas.data.loader import Pictures, make_loader, read_all
from convatlas.data.picture_set import PictureSet
from convatlas.data.source import absolute_source, open_parts, open_pictures, read_splits
from convatlas.data.views import DESCRIBED, Views, named_views
from convatlas.engine.bundle import Bundle, bundle_folder
from convatlas.engine.deploy import load_deployed
from convatlas.engine.device import make_accelerator
from convatlas.engine.evaluate import answer_all
from convatlas.engine.in_parts import InParts, Say, warn
from convatlas.engine.no_memory import memory_for
from convatlas.engine.run import read_membership, run_around
from convatlas.engine.seeding import prepare_torch
from convatlas.engine.versions import versions
from convatlas.engine.views import answer_views, cut_for, network_for
from convatlas.errors import DataError, UsageError
from convatlas.files import write_json
from convatlas.metrics.summary import Summary
from convatlas.tasks.make import make_task
from convatlas.types import SPLITS, Failure


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a bundle scored. of: in words, which pictures these were.

    views: of each picture, over which the probabilities are averaged. skipped: pictures that could not be read. notes:
    what makes the score doubtful, in words for the user.
    """

    summary: Summary
    score: float
    score_name: str
    of: str
    views: Views
    skipped: tuple[Failure, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """The pictures to measure on, the name of their split ("all" without one), which they are in words."""

    pictures: PictureSet
    split: str
    of: str
    notes: tuple[str, ...] = ()


def evaluate(
    path: str | Path,
    data: str | Path | None = None,
    *,
    split: str | None = None,
    views: str = "single",
    device: str = "auto",
    threads: int | None = None,
    report: str | Path | None = None,
    metrics: str | Path | None = None,
    say: Say | None = None,
) -> Evaluation:
    """Every measure of a bundle (or a run's bundle) on labelled pictures.

    data: anything that `open_data` takes; by default the run's own data, by its recorded split. split: "train", "val"
    or "test"; by default the test pictures, else the validation pictures; for data without splits, all. threads: of the
    processor, at least 1. report, metrics: HTML and JSON to write.
    views: of each picture. "single": as the bundle answers. "ten-crop": AlexNet's, see `data.views.ten_crops`.
    "dense": the whole picture and its mirror image, see `models.dense`. With the last two, the probabilities of the
    views at the bundle's temperature are averaged. Their mean is measured, so the summary's own temperature is 1.
    say: is told, in words for people, where a batch does not fit into memory and is answered in smaller ones. None: a
    warning.
    Raises UsageError when there are no such pictures or views, DataError when the data's labels or classes are not the
    bundle's, OutOfMemoryError when not even one picture fits into memory, or the network does not fit on the device.
    """
    chosen_views = named_views(views)
    prepare_torch(threads=threads, deterministic=False)
    folder = bundle_folder(Path(path))
    bundle, deployed = load_deployed(folder)
    single = chosen_views == "single"
    cut, deployed = cut_for(chosen_views, bundle.preprocess), network_for(chosen_views, deployed)
    chosen = _choose(folder, bundle, data, split)
    _check_labels(bundle, chosen.pictures)
    _check_classes(bundle, chosen.pictures)
    accelerator = make_accelerator(device, "float32")
    task = make_task(bundle.task, bundle.model, bundle.classes)
    with memory_for(f"the evaluation of {bundle.model}"):
        answering = InParts(deployed.to(accelerator.device), what="evaluation", say=say or warn)
        if single:
            readable = read_all(chosen.pictures, bundle.preprocess, threads=threads or 4)
            dataset = Pictures(readable.pictures, bundle.preprocess, kept=readable.kept)
            logits = answer_all(answering, make_loader(dataset, batch_size=64, shuffle=False, workers=0)).logits
            temperature = bundle.temperature
        else:  # other pixels than the preprocess gives: none are kept
            readable = read_all(chosen.pictures, bundle.preprocess, cache_bytes=0, threads=threads or 4)
            join = partial(task.join_views, temperature=bundle.temperature)
            logits = answer_views(answering, readable.pictures, cut, join)
            temperature = 1.0
    summary = task.summarise(
        logits,
        readable.pictures.targets,
        names=readable.pictures.names,
        split=chosen.split,
        temperature=temperature,
    )
    if metrics is not None:
        score = {
            "score": task.score(summary),
            "score_name": task.score_name,
            "score_of": chosen.split,
            "views": chosen_views,
        }
        write_json(Path(metrics), {**score, chosen.split: summary.to_dict()})
    if report is not None:
        write_evaluation_report(
            Path(report),
            title=f"{bundle.model} on {chosen.of}",
            run=str(path),
            score_name=task.score_name,
            facts=(
                ("Network", bundle.model),
                ("Bundle", str(path)),
                ("Measured on", f"{summary.pictures:,} pictures: {chosen.of}"),
                ("Views", DESCRIBED[chosen_views]),
                *graph_facts(bundle.parity, bundle.quantised),
            ),
            summary=summary,
            pictures=readable.pictures,
            skipped=readable.failures,
            notes=chosen.notes,
            averaged=not single,
            versions=versions(),
        )
    return Evaluation(
        summary=summary,
        score=task.score(summary),
        score_name=task.score_name,
        of=chosen.of,
        views=chosen_views,
        skipped=readable.failures,
        notes=chosen.notes,
    )


def _choose(folder: Path, bundle: Bundle, data: str | Path | None, split: str | None) -> _Chosen:
    run = run_around(folder)
    recorded = None if run is None else str(run.read()["plan"]["data"])
    source = recorded if data is None else absolute_source(data)
    if source is None:
        raise UsageError(f"{folder}: a bundle alone does not know its data; name it: convatlas evaluate {folder} DATA")
    name = Path(source).name
    if run is not None and source == recorded:
        # Also when the data is named: measuring on the pictures it was trained on would flatter it.
        splits = read_splits(source, read_membership(run))
        return _part({"train": splits.train, "val": splits.val, "test": splits.test}, source, split, "the run's own")
    given = open_parts(source)
    if given is not None:
        chosen = _part({part: given.get(part) for part in SPLITS}, source, split, "its own")
    elif split is None:
        chosen = _Chosen(pictures=open_pictures(source), split="all", of=f"all of {name}")
    else:
        raise UsageError(f"{source}: has no splits, so there is no {split!r} in it; leave --split away")
    # A validation or test part that the source itself gives was held out when the bundle was trained on it.
    if chosen.split in ("all", "train") and name == bundle.provenance.get("data"):
        note = (
            f'the bundle was trained on data named "{name}", too, so these pictures may include those that it was '
            "trained on, and the score would flatter; evaluate the bundle inside its run to measure on held-out ones"
        )
        return replace(chosen, notes=(note,))
    return chosen


def _part(parts: Mapping[str, PictureSet | None], source: str, split: str | None, whose: str) -> _Chosen:
    """The part that is asked for; by default the first there is of test, val and train."""
    there = [part for part in ("test", "val", "train") if parts.get(part) is not None]
    chosen = there[0] if split is None else split
    pictures = parts.get(chosen)
    if pictures is None:
        raise UsageError(f"{source}: has no {chosen!r} pictures; there is {', '.join(there)}")
    return _Chosen(pictures=pictures, split=chosen, of=f"{Path(source).name} {chosen} ({whose} split)")


def _check_labels(bundle: Bundle, pictures: PictureSet) -> None:
    if pictures.multilabel and bundle.task == "classify":
        raise DataError(
            f"{pictures.origin}: gives a picture any number of labels; the bundle was trained on one class a picture. "
            "Name a folder of class folders, a folder with IDX files, or a manifest with a column label"
        )
    if not pictures.multilabel and bundle.task == "multilabel":
        raise DataError(
            f"{pictures.origin}: gives each picture one class; the bundle was trained on any number of labels a "
            "picture. Name a .csv manifest with a column labels"
        )


def _check_classes(bundle: Bundle, pictures: PictureSet) -> None:
    if pictures.classes != bundle.classes:
        raise DataError(
            f"{pictures.origin}: its classes are {', '.join(pictures.classes[:10])}; the bundle knows "
            f"{', '.join(bundle.classes[:10])}. They must be the same, in the same order"
        )
