"""Networks side by side: their sums, what two of them differ in layer by layer, and what two trained ones answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from convatlas.api.show import Input, folded, table_of
from convatlas.api.target import find_network
from convatlas.arithmetic.tables.alignment import Difference, layer_differences
from convatlas.arithmetic.tables.table import LayerTable
from convatlas.engine.bundle import bundle_folder, holds_bundle, read_bundle
from convatlas.errors import UsageError
from convatlas.metrics.summary import ClassifySummary


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """A picture that two models answered differently; `truth` is its label."""

    name: str
    truth: str
    first: str
    second: str


@dataclass(frozen=True, kw_only=True)
class Answers:
    """How two models did on the same pictures. of: in words, which these were.

    disagreements: the pictures with different answers; of them the first alone was right on `only_first_right`.
    """

    of: str
    pictures: int
    score_name: str
    scores: tuple[float, float]
    only_first_right: int
    only_second_right: int
    disagreements: tuple[Disagreement, ...]


@dataclass(frozen=True, kw_only=True)
class NetworkComparison:
    """The networks as they were named, with their tables.

    differences: of two networks, every layer of both, aligned; empty for more. recorded: of each bundle what its own
    run measured, {"test": {"top-1 accuracy": 0.98, "pictures": 100}}; empty for an untrained network. answers: of two
    bundles on given data.
    """

    names: tuple[str, ...]
    tables: tuple[LayerTable, ...]
    recorded: tuple[Mapping[str, object], ...]
    differences: tuple[Difference, ...] = ()
    answers: Answers | None = None


def compare(
    *targets: str | Path | nn.Module,
    inputs: Sequence[Input] = (),
    depth: int | None = None,
    data: str | Path | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> NetworkComparison:
    """Compare networks by their layers; two trained ones by their answers, too.

    targets: two or more, each what `show` takes. inputs, depth: as for `show`, the same for all; without inputs each
    network is shown on the size of picture that is its own.
    data: labelled pictures for two bundles or runs of the same classes, as `evaluate` takes them.
    device, threads: as for `evaluate`.

    Raises UsageError for fewer than two targets, and for data where not two bundles are compared; DataError for data
    that does not fit both; and all that `show` raises.
    """
    if len(targets) < 2:
        raise UsageError("compare: name two networks or more, such as resnet18 and resnet50")
    paths = [_bundle(target) for target in targets]
    if data is not None and (len(targets) != 2 or None in paths):
        raise UsageError("data: only two trained models, as runs or bundles, can be compared on pictures")
    tables = tuple(folded(table_of(find_network(target, {}), inputs), depth) for target in targets)
    answers = None
    if data is not None:
        first, second = (path for path in paths if path is not None)
        answers = _answers(first, second, data, device, threads)
    return NetworkComparison(
        names=_names(targets, tables),
        tables=tables,
        recorded=tuple({} if path is None else read_bundle(bundle_folder(path)).metrics for path in paths),
        differences=layer_differences(*tables) if len(tables) == 2 else (),
        answers=answers,
    )


def _bundle(target: str | Path | nn.Module) -> Path | None:
    if isinstance(target, nn.Module) or not holds_bundle(Path(target)):
        return None
    return Path(target)


def _names(targets: Sequence[str | Path | nn.Module], tables: Sequence[LayerTable]) -> tuple[str, ...]:
    """As typed; two modules of one class are told apart by their places."""
    names = [
        table.network if isinstance(target, nn.Module) else str(target)
        for target, table in zip(targets, tables, strict=True)
    ]
    return tuple(name if names.count(name) == 1 else f"{name} ({place + 1})" for place, name in enumerate(names))


def _answers(first: Path, second: Path, data: str | Path, device: str, threads: int | None) -> Answers:
    from convatlas.api.evaluate import evaluate  # noqa: PLC0415 - brings torchvision, which layers do not need

    one = evaluate(first, data, device=device, threads=threads)
    other = evaluate(second, data, device=device, threads=threads)
    a, b = one.summary, other.summary
    if not isinstance(a, ClassifySummary) or not isinstance(b, ClassifySummary):
        raise UsageError("data: pictures are compared for models that give each picture one class")
    if (one.of, a.pictures) != (other.of, b.pictures):
        raise UsageError(
            f"data: {data} is what one of them was trained on, which is measured on its held-out pictures alone: "
            f"{one.of} ({a.pictures:,}) and {other.of} ({b.pictures:,}). Name pictures that neither has seen"
        )
    wrong, other_wrong = ({each.index: each for each in summary.wrong} for summary in (a, b))
    disagreements = []
    for index in sorted(wrong.keys() | other_wrong.keys()):
        known = wrong.get(index) or other_wrong[index]
        answers = [known.truth if index not in each else each[index].predicted for each in (wrong, other_wrong)]
        if answers[0] != answers[1]:
            disagreements.append(Disagreement(name=known.name, truth=known.truth, first=answers[0], second=answers[1]))
    return Answers(
        of=one.of,
        pictures=a.pictures,
        score_name=one.score_name,
        scores=(one.score, other.score),
        only_first_right=len(other_wrong.keys() - wrong.keys()),
        only_second_right=len(wrong.keys() - other_wrong.keys()),
        disagreements=tuple(disagreements),
    )
