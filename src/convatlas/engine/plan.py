"""The plan of a run: every value decided before the first step, and where each came from."""

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from convatlas.catalog import card
from convatlas.data.picture_set import DataSplits, PictureSet
from convatlas.data.preprocess import Fit, Preprocess
from convatlas.engine.device import check_device
from convatlas.engine.framing import decide_preprocess
from convatlas.engine.strategy import Choice, Expected, Start, choose_start, default_model, expected, model_of
from convatlas.errors import BundleError, CheckpointError, DataError, PictureError, UsageError
from convatlas.models import create_model, model_config, network_class
from convatlas.recipes import named_recipe, recipe_for
from convatlas.recipes.recipe import Recipe, change
from convatlas.tasks.family import own_losses
from convatlas.types import Pixels, Split
from convatlas.weights.load import other_options

HELD_OUT = 0.15  # of each class for validation, and again for testing, unless the user or the data says otherwise
SAMPLE = 200  # pictures looked at to decide channels, fit, mean and std


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run is made from this alone, so saving it is enough to repeat or resume it.

    origins: for each name of `settings()`, who decided: "you", the recipe's name, or "auto: " and the reason.
    """

    model: str
    changes: Mapping[str, object]
    data: str
    task: Literal["classify", "multilabel"]
    classes: tuple[str, ...]
    preprocess: Preprocess
    recipe_name: str
    recipe: Recipe
    start: Start
    device: str
    val: float | None  # the part of each class held out; None when the source comes in parts of its own
    test: float | None
    origins: Mapping[str, str]

    def settings(self) -> dict[str, object]:
        """Every decided value by name, in the order of reading: data and network first, then the recipe's fields."""
        return {
            "data": self.data,
            "val": self.val,
            "test": self.test,
            "task": self.task,
            "classes": len(self.classes),
            "model": self.model,
            **{f"model.{name}": value for name, value in self.changes.items()},
            **{f"preprocess.{name}": value for name, value in self.preprocess.to_dict().items()},
            "strategy": self.start.strategy,
            "weights": self.start.weights,
            "device": self.device,
            "recipe": self.recipe_name,
            **dataclasses.asdict(self.recipe),
        }

    def to_dict(self) -> dict[str, object]:
        """JSON-ready; `from_dict` reads it back."""
        return {
            **{field.name: getattr(self, field.name) for field in dataclasses.fields(self)},
            "changes": dict(self.changes),
            "preprocess": self.preprocess.to_dict(),
            "recipe": dataclasses.asdict(self.recipe),
            "start": dataclasses.asdict(self.start),
            "origins": dict(self.origins),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> "Plan":
        """Raises CheckpointError when a field is missing or a recipe's value is not one."""
        try:
            fields = dict(values)
            fields["classes"] = tuple(cast("list[str]", fields["classes"]))
            fields["preprocess"] = Preprocess.from_dict(cast("dict[str, object]", fields["preprocess"]))
            fields["start"] = Start(**cast("dict[str, Any]", fields["start"]))
            fields["recipe"] = change(Recipe(), cast("dict[str, object]", fields["recipe"]))
            return cls(**fields)  # type: ignore[arg-type]  # what is missing or too much raises TypeError
        except (KeyError, TypeError, UsageError, BundleError) as error:
            raise CheckpointError(f"the run's plan cannot be read: {error}") from error


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the user asked for. None: decide, from the network, the data and the machine.

    model: a network's name. recipe: one of `RECIPES`; changes: fields of it. model_changes: fields of the network's
    config. strategy, weights: see `choose_start`. size: side of the square input in pixels. val, test: parts held out.
    """

    model: str | None = None
    model_changes: Mapping[str, object] = dataclasses.field(default_factory=dict)
    strategy: Choice = "auto"
    weights: str | Path | None = None
    recipe: str | None = None
    changes: Mapping[str, object] = dataclasses.field(default_factory=dict)
    size: int | None = None
    fit: Fit | None = None
    val: float | None = None
    test: float | None = None
    device: str = "auto"


def make_plan(splits: DataSplits, wishes: Wishes) -> Plan:
    """Decide everything: what is asked for stands, the recipe comes next, the rest follows from data and machine.

    Raises UsageError for what cannot be meant, and DataError when no picture can be read.
    """
    pictures = sample_pictures(splits.train)
    wishes = _one_size(wishes)
    model, model_origin = _model(wishes, pictures)
    _check_task(model, splits, wishes.model_changes)
    start = choose_start(
        model,
        wishes.model_changes,
        len(splits.train) / len(splits.classes),
        strategy=wishes.strategy,
        weights=wishes.weights,
    )
    known = expected(start)
    changes, changes_origins = _model_changes(model, splits, pictures, known, wishes.model_changes)
    channels = cast(int, changes["in_channels"])
    preprocess, preprocess_origins = decide_preprocess(
        card(model).input, known, channels, pictures, size=wishes.size, fit=wishes.fit
    )
    if getattr(model_config(model, **changes), "image_size", preprocess.height) != preprocess.height:
        changes["image_size"] = preprocess.height
        changes_origins["model.image_size"] = "the size of the pictures"
    _check_fits(model, changes, preprocess)
    resolved, name, recipe_origins = _recipe(model, splits, start, known, pictures, preprocess, wishes)
    if resolved.trainable == "classifier" and getattr(model_config(model, **changes), "aux", False):
        raise UsageError(
            "aux=True brings gradients to the middle of the network, but only its classifier learns (strategy "
            f"{start.strategy}: {start.reason}): leave aux away, or choose strategy fine-tune"
        )
    check_device(wishes.device, resolved.precision)
    val, val_origin = _held_out("val", wishes.val, splits)
    test, test_origin = _held_out("test", wishes.test, splits)
    origins = {
        "data": "you",
        "val": val_origin,
        "test": test_origin,
        "task": "auto: from the labels",
        "classes": "the data",
        "model": model_origin,
        "strategy": "you" if wishes.strategy != "auto" else f"auto: {start.reason}",
        "weights": "you" if wishes.weights else "the strategy",
        "device": "auto: the fastest there is" if wishes.device == "auto" else "you",
        "recipe": "you" if wishes.recipe else f"auto: {recipe_for(model, splits.train.origin, start.strategy)[1]}",
    }
    return Plan(
        model=model,
        changes=changes,
        data=splits.train.origin,
        task="multilabel" if splits.train.multilabel else "classify",
        classes=splits.classes,
        preprocess=preprocess,
        recipe_name=name,
        recipe=resolved,
        start=start,
        device=wishes.device,
        val=val,
        test=test,
        origins=origins | changes_origins | preprocess_origins | recipe_origins,
    )


def _one_size(wishes: Wishes) -> Wishes:
    """A network that is built for one size of picture, as a ViT, is asked for by either option; both must agree."""
    size = wishes.model_changes.get("image_size")
    if size is None or size == wishes.size:
        return wishes
    if wishes.size is not None:
        raise UsageError(f"size is {wishes.size} and image_size {size!r}: they must be the same; name one of them")
    return dataclasses.replace(wishes, size=cast(int, size))


def _model(wishes: Wishes, pictures: list[Pixels]) -> tuple[str, str]:
    """The network's name, and who chose it."""
    if wishes.model is not None:
        return card(wishes.model).name, "you"
    if wishes.weights is not None and wishes.weights != "default":
        return model_of(wishes.weights), "the weights"
    return default_model(pictures)


def _check_task(model: str, splits: DataSplits, changes: Mapping[str, object]) -> None:
    """Several labels a picture need answers of both signs, and a loss for them: a paper's own is for one label.

    GoogLeNet's and Inception v3's own is the usual one without auxiliary classifiers.
    """
    if not splits.train.multilabel:
        return
    if getattr(network_class(model), "never_negative", False):
        raise UsageError(
            f"the answers of {model} are never negative, so it cannot say that a picture lacks a label; "
            f"{splits.train.origin} has several labels a picture: use another network"
        )
    if own_losses(model) is not None and getattr(model_config(model, **changes), "aux", True):
        raise UsageError(
            f"{model} has a loss of its own for one label a picture; {splits.train.origin} has several: use another, "
            "or leave away the auxiliary classifiers (aux=False) where it has them"
        )


def _held_out(part: Split, value: float | None, splits: DataSplits) -> tuple[float | None, str]:
    """The part of each class that was held out, and who decided it."""
    if part in splits.given or (part == "test" and splits.given):
        return None, "the source"
    return (HELD_OUT, "default") if value is None else (value, "you")


def sample_pictures(pictures: PictureSet, count: int = SAMPLE) -> list[Pixels]:
    """Up to `count` readable pictures, evenly over the set. Raises DataError when not one of them can be read."""
    chosen = np.unique(np.linspace(0, len(pictures) - 1, min(count, len(pictures))).round().astype(int))
    sample, reason = [], ""
    for index in chosen.tolist():
        try:
            sample.append(pictures.read(index))
        except PictureError as error:
            reason = str(error)
    if not sample:
        raise DataError(f"{pictures.origin}: not one of {len(chosen)} pictures tried can be read ({reason})")
    return sample


def _model_changes(
    model: str, splits: DataSplits, pictures: list[Pixels], known: Expected | None, given: Mapping[str, object]
) -> tuple[dict[str, object], dict[str, str]]:
    """The network's config changes. Class count comes from the data, channels from weights or pictures unless given."""
    if "num_classes" in given:
        raise UsageError("num_classes follows from the data and cannot be set for training")
    coloured = any(picture.shape[2] == 3 for picture in pictures)
    channels = known.preprocess.channels if known else 3 if coloured else 1
    of_weights = known.changes if known else {}
    changes = {"in_channels": channels, **of_weights, **given, "num_classes": len(splits.classes)}
    config = model_config(model, **changes)  # refuses what this network cannot be
    _check_storable(changes)
    differ = [] if known is None else other_options(model_config(model, **known.changes), config)
    if differ:
        raise UsageError(
            f"the weights are of {model} with {'; '.join(differ)}: leave that as it is, or start from scratch "
            "(strategy scratch)"
        )
    if changes["in_channels"] not in (1, 3):
        raise UsageError(f"in_channels must be 1 or 3 to train on pictures, not {changes['in_channels']!r}")
    origins = {f"model.{name}": "the weights" for name in ("in_channels", *of_weights)}
    origins |= {f"model.{name}": "you" for name in given} | {"model.num_classes": "the data"}
    if known is None and "in_channels" not in given:
        origins["model.in_channels"] = f"auto: the pictures are {'in colour' if coloured else 'grey'}"
    return changes, origins


def _check_storable(changes: Mapping[str, object]) -> None:
    """A run is made from its plan alone, which is kept as JSON."""
    for name, value in changes.items():
        try:
            json.dumps(value)
        except TypeError as error:
            raise UsageError(f"model.{name}: {value!r} cannot be kept in a run's plan") from error


def _check_fits(model: str, changes: Mapping[str, object], preprocess: Preprocess) -> None:
    """Let the network refuse a size that it cannot work on before anything is written; on the meta device."""
    with torch.device("meta"), torch.no_grad():
        network = create_model(model, **changes).eval()
        network(torch.empty(1, preprocess.channels, preprocess.height, preprocess.width))


def _recipe(
    model: str,
    splits: DataSplits,
    start: Start,
    known: Expected | None,
    pictures: list[Pixels],
    preprocess: Preprocess,
    wishes: Wishes,
) -> tuple[Recipe, str, dict[str, str]]:
    given = wishes.changes
    name = wishes.recipe or recipe_for(model, splits.train.origin, start.strategy)[0]
    base, plain = named_recipe(name), Recipe()
    scaled = _in_proportion(base, given)
    recipe = change(base, {**scaled, **given})
    origins = {
        field: "you" if field in given else "default" if value == getattr(plain, field) else f"recipe {name}"
        for field, value in dataclasses.asdict(base).items()
    }
    origins |= dict.fromkeys(scaled, "auto: in proportion to epochs")

    def decide(values: Mapping[str, object], reason: str) -> None:
        nonlocal recipe
        recipe = change(recipe, values)
        origins.update(dict.fromkeys(values, f"auto: {reason}"))

    if start.strategy == "transfer" and "trainable" not in given:
        decide({"trainable": "classifier"}, "the strategy is transfer")
    _check_agree(start, recipe)
    if recipe.optimizer != base.optimizer and "lr" not in given:
        recipe = change(recipe, {"lr": None})  # a rate for one optimiser is wrong for another
    if recipe.lr is None:
        decide({"lr": _usual_rate(recipe)}, f"usual for {recipe.optimizer}")
    if known is not None and recipe.mean is None:
        recipe = change(recipe, _statistics(known, preprocess.channels))
        origins |= dict.fromkeys(("mean", "std"), "the weights")
    mean, std = recipe.mean, recipe.std
    if mean is None or std is None:  # both or neither
        statistics = channel_statistics([preprocess(picture) for picture in pictures])
        decide(dict(zip(("mean", "std"), statistics, strict=True)), f"of {len(pictures)} training pictures")
    elif len(mean) == 1 and preprocess.channels == 3:
        recipe = change(recipe, {"mean": mean * 3, "std": std * 3})
    elif len(mean) != preprocess.channels:
        raise UsageError(f"recipe field mean has {len(mean)} values for {preprocess.channels} channels")
    if recipe.channels_last is None:
        decide(*_memory_format(model, wishes.device))
    if recipe.threads is None:
        decide({"threads": os.cpu_count() or 1}, "all processors")
    return recipe, name, origins


def _memory_format(model: str, device: str) -> tuple[dict[str, object], str]:
    """oneDNN's convolutions and those of CUDA's tensor cores take pictures with their channels last."""
    if card(model).family == "ViT":
        return {"channels_last": False}, "nothing to gain from a single convolution"
    mps = device == "mps" or (device == "auto" and not torch.cuda.is_available() and torch.backends.mps.is_available())
    if mps:
        return {"channels_last": False}, "not measured on an Apple GPU"
    return {"channels_last": True}, "quicker for convolutions"


def _check_agree(start: Start, recipe: Recipe) -> None:
    if (recipe.trainable == "classifier") != (start.strategy == "transfer"):
        raise UsageError(
            f"recipe field trainable={recipe.trainable} and strategy {start.strategy} ({start.reason}) do not go "
            "together: strategy transfer trains the classifier on weights that are there, the others train all"
        )


def _statistics(known: Expected, channels: int) -> dict[str, object]:
    """Mean and std that the weights expect; for grey pictures those of the channels' mean."""
    if len(known.mean) == channels:
        return {"mean": known.mean, "std": known.std}
    return {name: (float(np.mean(values)),) * channels for name, values in (("mean", known.mean), ("std", known.std))}


def _in_proportion(base: Recipe, given: Mapping[str, object]) -> dict[str, object]:
    """A shorter or longer run warms up for the same part of it, unless that is given too."""
    epochs = given.get("epochs", base.epochs)
    if not isinstance(epochs, int) or epochs == base.epochs or not base.warmup_epochs or "warmup_epochs" in given:
        return {}
    return {"warmup_epochs": base.warmup_epochs * epochs / base.epochs}


def _usual_rate(recipe: Recipe) -> float:
    """SGD: 0.1 for 256 pictures a step, in proportion (Goyal et al. 2017, "Accurate, Large Minibatch SGD")."""
    if recipe.optimizer == "sgd":
        return 0.1 * recipe.batch_size * recipe.accumulate / 256
    return 1e-3


def channel_statistics(pictures: list[NDArray[np.uint8]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of pixels / 255, over preprocessed pictures (C, H, W).

    A channel without any contrast gets the deviation 1/255, so that dividing by it stays finite.
    """
    pixels = np.stack(pictures).astype(np.float64) / 255
    mean, std = pixels.mean(axis=(0, 2, 3)), pixels.std(axis=(0, 2, 3))
    return tuple(mean.round(6).tolist()), tuple(np.maximum(std, 1 / 255).round(6).tolist())
