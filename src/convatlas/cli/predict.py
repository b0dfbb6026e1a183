"""`convatlas predict`: name what is on pictures."""

import glob
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from convatlas.cli.download import download_bar
from convatlas.cli.output import AsJson, err, note, print_json_list, print_line, print_table
from convatlas.errors import UsageError

if TYPE_CHECKING:
    from convatlas.engine.predict.engines import EngineName
    from convatlas.types import Classification, Failure

BAR = 24  # characters for a probability of 1
MANY = 100  # from more pictures than these on, progress is shown
NAME_WIDTH = 60  # terminal columns at most that names are padded to


def predict(
    first: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|PICTURE",
            help="A run, a bundle, a network's name or a key of `convatlas weights list`; or else the first of the "
            "pictures, which efficientnet_lite0 then names.",
            show_default=False,
        ),
    ],
    pictures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PICTURES",
            help="Pictures, folders, globs, or - for one picture from standard input.",
            show_default=False,
        ),
    ] = None,
    *,
    top: Annotated[int, typer.Option(help="How many classes to name for one picture, and in JSON.")] = 5,
    as_json: AsJson = False,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Probability 0..1: below it an answer is marked uncertain; multi-label: from it on a class is named."
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="onnx, openvino, torch, compiled, int8 (see quantize), or auto: the quickest here that answers in "
            "float32, measured once and remembered.",
            show_default="onnx where the bundle is exported, else torch",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="Processor threads.", show_default="the engine's choice; for many pictures every processor"),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Threads that decode pictures, and answer them on ONNX Runtime; 1: one picture after another.",
            show_default="as many as --threads",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Pictures answered together.")] = 4,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Decode large JPEGs whole, not reduced to a size that changes next to nothing."),
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never touch the network; so does CONVATLAS_OFFLINE=1.")
    ] = False,
) -> None:
    """Name what is on pictures, the most probable class first.

    The first word is the model if it is a run or a bundle, or, where no file or folder has that name, a network's name
    or a weight set's key. Otherwise every word is pictures, and efficientnet_lite0 answers.

    A network answers by its published weights: prepared once, and downloaded if they are not on this machine.

    One picture: its best classes with bars; several: a line each. Exits 1 when a picture could not be read; the others
    are answered all the same.
    """
    from convatlas.engine.predict.inputs import expand_paths
    from convatlas.engine.predict.predictor import Predictor, workers_for
    from convatlas.engine.published import DEFAULT_MODEL, find_bundle, published_bundle

    model = first if _is_model(first) else None
    sources = expand_paths(_pictures(first, pictures or [], model))
    with download_bar(model or DEFAULT_MODEL) as progress:
        # Not the default by way of find_bundle: a folder of that name here may hold anything.
        find = published_bundle if model is None else find_bundle
        bundle = find(model or DEFAULT_MODEL, offline=offline or None, progress=progress, say=note)
    predictor = Predictor(
        bundle,
        engine=cast("EngineName | None", engine),
        threads=threads,
        workers=workers_for(len(sources), threads) if workers is None else workers,
        batch_size=batch_size,
        exact=exact,
        say=note,
    )
    if predictor.choice:
        note(predictor.choice)
    answers = predictor.iterate(sources, top=top, threshold=threshold)
    if as_json or not sys.stdout.isatty():  # on a terminal the answers themselves show how far it is
        answers = _with_progress(answers, len(sources))
    if as_json:
        failed = _print_json(answers)
    elif len(sources) == 1:
        failed = _print_one(answers)
    else:
        multilabel = predictor.bundle.task == "multilabel"
        failed = _print_lines(answers, [source.name for source in sources], multilabel=multilabel)
    if failed:
        raise typer.Exit(1)


def _is_model(word: str) -> bool:
    from convatlas.engine.bundle import holds_bundle
    from convatlas.engine.published import is_known_name
    from convatlas.engine.run import RunFolder

    path = Path(word)
    if path.exists():
        # A run that has no bundle yet is a model, too: find_bundle says what it lacks.
        return holds_bundle(path) or RunFolder(path).description.is_file()
    return is_known_name(word)


def _pictures(first: str, rest: list[str], model: str | None) -> list[str]:
    """The words that mean pictures. Raises UsageError for a model without any, and for a first word that is nothing."""
    from convatlas.data.pictures import PICTURE_SUFFIXES
    from convatlas.engine.bundle import bundles_near
    from convatlas.engine.predict.inputs import STDIN
    from convatlas.engine.published import near_names

    if model is not None:
        if not rest:
            raise UsageError(f"{model} is the model; name a picture after it: convatlas predict {model} PICTURE")
        return rest
    if first != STDIN and not Path(first).exists() and not glob.has_magic(first):
        near = "" if Path(first).suffix.lower() in PICTURE_SUFFIXES else near_names(first) or bundles_near(Path(first))
        raise UsageError(
            f"{first}: there is no such picture, folder or bundle, and no network or weight set of that name "
            f"(`convatlas models`, `convatlas weights list`).{near}"
        )
    return [first, *rest]


def _with_progress(answers: "Iterator[Classification | Failure]", total: int) -> "Iterator[Classification | Failure]":
    """The answers, with a bar on stderr when there are many and a person looks at it."""
    if total <= MANY or not sys.stderr.isatty():
        yield from answers
        return
    from rich.progress import Progress

    # Rich would send what is printed on stdout to its own console, which is stderr.
    with Progress(console=err(), transient=True, redirect_stdout=False) as progress:
        yield from progress.track(answers, total=total, description="Pictures")


def _print_json(answers: "Iterable[Classification | Failure]") -> int:
    """One JSON list with an object for each picture, printed as they come; returns how many of them failed."""
    from convatlas.types import Failure

    failed = 0

    def records() -> Iterator[dict[str, object]]:
        nonlocal failed
        for answer in answers:
            failed += isinstance(answer, Failure)
            yield _record(answer)

    print_json_list(records())
    return failed


def _record(answer: "Classification | Failure") -> dict[str, object]:
    from convatlas.types import Failure

    if isinstance(answer, Failure):
        return {"source": answer.source, "error": answer.reason}
    labels = [
        {"label": scored.label, "index": scored.index, "probability": scored.probability} for scored in answer.labels
    ]
    return {"source": answer.source, "certain": answer.certain, "labels": labels}


def _print_one(answers: "Iterable[Classification | Failure]") -> int:
    """The picture's name and answer, and a table of its classes with bars."""
    from convatlas.types import Failure

    for answer in answers:
        if isinstance(answer, Failure):
            note(f"error: {answer.source}: {answer.reason}")
            return 1
        best = answer.top.label if answer.top else "no label"
        print_line(f"{answer.source}: {best}{_mark(answer)}")
        if answer.labels:
            rows = [(scored.label, _percent(scored.probability), _bar(scored.probability)) for scored in answer.labels]
            print_table(("class", "probability", ""), rows, right=("probability",))
    return 0


def _print_lines(answers: "Iterable[Classification | Failure]", names: list[str], *, multilabel: bool) -> int:
    """`cat.jpg  cat 97.3 %`, a line for each picture, names padded to one column; failures go to stderr."""
    from rich.cells import cell_len  # wide characters take two columns

    from convatlas.types import Failure

    column = min(NAME_WIDTH, max(map(cell_len, names)))
    failed = 0
    for answer in answers:
        if isinstance(answer, Failure):
            failed += 1
            note(f"error: {answer.source}: {answer.reason}")
            continue
        # Multi-label: each label is an answer of its own. Otherwise only the best one is.
        shown = answer.labels if multilabel else answer.labels[:1]
        labels = ", ".join(f"{scored.label} {_percent(scored.probability)}" for scored in shown) or "no label"
        padding = " " * max(0, column - cell_len(answer.source))
        print_line(f"{answer.source}{padding}  {labels}{_mark(answer)}")
    if failed:
        note(f"{failed} of {len(names)} pictures could not be read")
    return failed


def _mark(answer: "Classification") -> str:
    return "" if answer.certain else "  uncertain"


def _percent(probability: float) -> str:
    return f"{probability:.1%}".replace("%", " %")


def _bar(probability: float) -> str:
    """A bar of blocks, or of # where stdout's encoding has no blocks (a pipe on Windows)."""
    try:
        "█".encode(sys.stdout.encoding or "utf-8")
        block = "█"
    except (UnicodeEncodeError, LookupError):
        block = "#"
    return block * round(BAR * probability)
