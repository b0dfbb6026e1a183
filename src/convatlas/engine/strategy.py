"""Whether to start from what a network knows already, and from which weights: the choice and its reason."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from convatlas.catalog import card
from convatlas.data.preprocess import Preprocess
from convatlas.engine.bundle import WEIGHTS as WEIGHTS_FILE
from convatlas.engine.bundle import Bundle, bundle_folder, read_bundle
from convatlas.engine.published import DEFAULT_MODEL, terms
from convatlas.errors import MissingExtra, UsageError, WeightsError, did_you_mean
from convatlas.models import real_changes
from convatlas.recipes import Strategy
from convatlas.types import Pixels
from convatlas.weights import WeightSet, default_weights, weight_set
from convatlas.weights.fetch import on_this_machine
from convatlas.weights.preprocess import preprocess_of

TRANSFER_BELOW = 1_000  # pictures a class: with fewer only the classifier is trained
SCRATCH_ABOVE = 5_000  # with more the pictures alone are enough

SMALL_PICTURES = "lenet5_modern"
SMALLEST_PHOTOGRAPH = 64  # pixels of the shorter side: the median picture

Choice = Literal["auto", "transfer", "fine-tune", "scratch"]


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a run starts from: a published weight set, by its key, or a bundle, by its folder, or neither.

    reason: in words, why this strategy. asked: the user named the strategy or the weights, so these may be downloaded.
    sha256: of the bundle's tensors, so that a resumed run starts from the same. origin: where the weights come from and
    on what terms, as a bundle's provenance says it; it is kept here, for a bundle may be gone when the run ends.
    """

    strategy: Strategy
    reason: str
    weight_set: str | None = None
    bundle: str | None = None
    sha256: str | None = None
    asked: bool = False
    origin: Mapping[str, object] = dataclasses.field(default_factory=dict)

    @property
    def weights(self) -> str:
        """The weights in words."""
        return self.weight_set or self.bundle or "none"


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What weights expect of a network's config and of its input."""

    changes: Mapping[str, object]
    preprocess: Preprocess
    mean: tuple[float, ...]
    std: tuple[float, ...]


def choose_start(
    model: str,
    changes: Mapping[str, object],
    pictures_a_class: float,
    *,
    strategy: Choice = "auto",
    weights: str | Path | None = None,
) -> Start:
    """Transfer below 1,000 pictures a class, fine-tuning up to 5,000, from scratch above; what is asked for stands.

    changes: how the network's config differs from its name's. weights: None or "default" (the network's own published
    set), a key of `list_weights()`, or a bundle or run. By itself it takes only published weights that are on this
    machine: those that are asked for may be downloaded.
    Raises UsageError for what does not go together, or weights of another network.
    """
    if strategy not in get_args(Choice):
        known = get_args(Choice)
        raise UsageError(f"unknown strategy {strategy!r}.{did_you_mean(strategy, known)} There is: {', '.join(known)}")
    if strategy == "scratch":
        if weights is not None:
            raise UsageError(
                f"strategy scratch starts from no weights, and weights {weights} was given: leave one away"
            )
        return Start(strategy="scratch", reason="you asked for it")
    name = card(model).name
    changes = real_changes(name, changes)
    if weights is not None and weights != "default" and (bundle := _bundle(weights)) is not None:
        of_bundle = read_bundle(bundle, verify=False)  # its tensors are verified when they are loaded
        if of_bundle.model != name:
            raise UsageError(f"weights: {weights} is a bundle of {of_bundle.model}, not of {name}")
        start = Start(
            strategy="fine-tune",
            reason="",
            bundle=str(bundle.resolve()),
            sha256=of_bundle.files[WEIGHTS_FILE],
            asked=True,
            origin=_origin_of_bundle(of_bundle),
        )
        return _decide(strategy, pictures_a_class, start)
    published = _published(name, changes, weights)
    if published is None:
        unknown = " ".join(["no weights of", name, *(f"{key}={value}" for key, value in changes.items())])
        if strategy == "auto" and weights is None:
            return Start(strategy="scratch", reason=f"{unknown} are published")
        raise UsageError(f"{unknown} are published; --weights RUN starts from a run or a bundle of your own")
    if strategy == "auto" and weights is None and pictures_a_class <= SCRATCH_ABOVE:
        missing = _why_not_here(published)
        if missing:
            return Start(strategy="scratch", reason=missing)
    start = Start(
        strategy="fine-tune",
        reason="",
        weight_set=published.key,
        asked=strategy != "auto" or weights is not None,
        origin={"weights": published.key, **terms(published)},
    )
    return _decide(strategy, pictures_a_class, start)


def default_model(pictures: Sequence[Pixels]) -> tuple[str, str]:
    """The network for someone who names none, and why: what knows photographs already, if they are photographs."""
    sides = [min(picture.shape[:2]) for picture in pictures]
    coloured = any(picture.shape[2] == 3 for picture in pictures)
    published = default_weights(DEFAULT_MODEL)
    assert published is not None, f"{DEFAULT_MODEL} has weights in the catalogue"
    if not coloured or statistics.median(sides) < SMALLEST_PHOTOGRAPH:
        return SMALL_PICTURES, "auto: the pictures are small or grey"
    missing = _why_not_here(published)
    if missing:
        return SMALL_PICTURES, f"auto: {DEFAULT_MODEL} would do better on photographs, but {missing}"
    return DEFAULT_MODEL, "auto: the pictures are photographs, and its weights are on this machine"


def model_of(weights: str | Path) -> str:
    """The network that a weight set or a bundle is of. Raises UsageError for what is neither."""
    bundle = _bundle(weights)
    return _named(weights).model if bundle is None else read_bundle(bundle, verify=False).model


def expected(start: Start) -> Expected | None:
    """What the weights that a run starts from expect; None from scratch."""
    if start.bundle is not None:
        bundle = read_bundle(Path(start.bundle), verify=False)
        changes = {name: value for name, value in bundle.changes.items() if name != "num_classes"}
        return Expected(changes=changes, preprocess=bundle.preprocess, mean=bundle.mean, std=bundle.std)
    if start.weight_set is None:
        return None
    published = weight_set(start.weight_set)
    transform = published.transform
    return Expected(
        changes=published.changes,
        preprocess=preprocess_of(transform),
        mean=transform.mean,
        std=transform.std,
    )


def _origin_of_bundle(bundle: Bundle) -> dict[str, object]:
    """As with the data no path, and the terms of what that bundle itself started from hold on."""
    before = bundle.provenance
    inherited = {name: value for name, value in before.items() if name.startswith("weights_")}
    return {**inherited, "weights": f"a bundle: {before.get('weights', 'of unknown origin')}"}


def _decide(strategy: Choice, pictures_a_class: float, start: Start) -> Start:
    """The strategy for weights that can be had; what the user named is used."""
    if strategy != "auto":
        return dataclasses.replace(start, strategy=strategy, reason="you asked for it")
    counted = f"{pictures_a_class:,.0f} training pictures a class"
    if pictures_a_class > SCRATCH_ABOVE and not start.asked:
        reason = f"{counted}, more than {SCRATCH_ABOVE:,}, are enough to learn from alone"
        return Start(strategy="scratch", reason=reason)
    if pictures_a_class < TRANSFER_BELOW:
        return dataclasses.replace(start, strategy="transfer", reason=f"{counted}, fewer than {TRANSFER_BELOW:,}")
    reason = f"{counted}, {TRANSFER_BELOW:,} or more"
    return dataclasses.replace(start, strategy="fine-tune", reason=reason)


def _bundle(weights: str | Path) -> Path | None:
    """The folder of a bundle or of a run's; None for what is no folder, and so may be a key."""
    return bundle_folder(Path(weights)) if Path(weights).is_dir() else None


def _published(name: str, changes: Mapping[str, object], weights: str | Path | None) -> WeightSet | None:
    if weights is None or weights == "default":
        return default_weights(name, changes)
    found = _named(weights)
    if found.model != name:
        raise UsageError(f"weights: {found.key} are of {found.model}, not of {name}")
    return found


def _named(weights: str | Path) -> WeightSet:
    """The set of a key. Raises UsageError for what is neither a key nor anything that lies here."""
    if Path(weights).is_file():
        raise UsageError(
            f"weights: {weights} is a file; a run starts from a key of `convatlas weights list`, a run or a bundle. "
            "convatlas.create_model takes files"
        )
    try:
        return weight_set(str(weights))
    except UsageError as error:
        raise UsageError(f"weights: there is no folder {weights}, and as a key it is not known: {error}") from error


def _why_not_here(published: WeightSet) -> str:
    """Why published weights cannot be used without asking, and how to have them; "" when they are here."""
    try:
        here = on_this_machine(published)
    except (MissingExtra, WeightsError) as error:
        return str(error)
    if here:
        return ""
    size = "" if published.mebibytes is None else f" ({published.mebibytes:.0f} MiB)"
    return (
        f"the published weights {published.key}{size} are not on this machine, and nothing is downloaded unasked: "
        "--weights default brings them"
    )
