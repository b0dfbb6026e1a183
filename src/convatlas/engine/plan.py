"""The plan of a run: every value decided before the first step, and where each came from."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from convatlas.catalog import card
from convatlas.data.picture_set import DataSplits, PictureSet
from convatlas.data.preprocess import Preprocess
from convatlas.engine.device import check_device
from convatlas.errors import BundleError, CheckpointError, DataError, PictureError, UsageError
from convatlas.models import create_model, model_config
from convatlas.recipes import named_recipe, recipe_for
from convatlas.recipes.recipe import Recipe, change
from convatlas.tasks.family import own_losses
from convatlas.types import Pixels, Split

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
            "origins": dict(self.origins),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> "Plan":
        """Raises CheckpointError when a field is missing or a recipe's value is not one."""
        try:
            fields = dict(values)
            fields["classes"] = tuple(cast("list[str]", fields["classes"]))
            fields["preprocess"] = Preprocess.from_dict(cast("dict[str, object]", fields["preprocess"]))
            fields["recipe"] = change(Recipe(), cast("dict[str, object]", fields["recipe"]))
            return cls(**fields)  # type: ignore[arg-type]  # what is missing or too much raises TypeError
        except (KeyError, TypeError, UsageError, BundleError) as error:
            raise CheckpointError(f"the run's plan cannot be read: {error}") from error


def make_plan(
    splits: DataSplits,
    model: str,
    *,
    recipe: str | None = None,
    recipe_changes: Mapping[str, object] | None = None,
    model_changes: Mapping[str, object] | None = None,
    size: int | None = None,
    fit: Literal["crop", "pad", "stretch"] | None = None,
    device: str = "auto",
    val: float | None = None,
    test: float | None = None,
    model_origin: str = "you",
) -> Plan:
    """Decide everything: what is given stands, the recipe comes next, the rest follows from data and machine.

    Raises UsageError for what cannot be meant, and DataError when no picture can be read.
    """
    network = card(model)
    _check_task(network.name, splits)
    pictures = sample_pictures(splits.train)
    changes, changes_origins = _model_changes(network.name, splits, pictures, model_changes or {})
    preprocess, preprocess_origins = _preprocess(network.input, cast(int, changes["in_channels"]), pictures, size, fit)
    _check_fits(network.name, changes, preprocess)
    resolved, name, recipe_origins = _recipe(
        model=network.name,
        splits=splits,
        given_name=recipe,
        given=recipe_changes or {},
        pictures=pictures,
        preprocess=preprocess,
    )
    check_device(device, resolved.precision)
    (val, val_origin), (test, test_origin) = _held_out("val", val, splits), _held_out("test", test, splits)
    origins = {
        "data": "you",
        "val": val_origin,
        "test": test_origin,
        "task": "auto: from the labels",
        "classes": "the data",
        "model": model_origin,
        "device": "auto: the fastest there is" if device == "auto" else "you",
        "recipe": "you" if recipe else f"auto: {recipe_for(network.name, splits.train.origin)[1]}",
    }
    return Plan(
        model=network.name,
        changes=changes,
        data=splits.train.origin,
        task="multilabel" if splits.train.multilabel else "classify",
        classes=splits.classes,
        preprocess=preprocess,
        recipe_name=name,
        recipe=resolved,
        device=device,
        val=val,
        test=test,
        origins=origins | changes_origins | preprocess_origins | recipe_origins,
    )


def _check_task(model: str, splits: DataSplits) -> None:
    if splits.train.multilabel and own_losses(model) is not None:
        raise UsageError(
            f"{model} has a loss of its own for one label a picture; {splits.train.origin} has several: use another"
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
    model: str, splits: DataSplits, pictures: list[Pixels], given: Mapping[str, object]
) -> tuple[dict[str, object], dict[str, str]]:
    """The network's config changes. Class count comes from the data, channels from the pictures unless given."""
    if "num_classes" in given:
        raise UsageError("num_classes follows from the data and cannot be set for training")
    coloured = any(picture.shape[2] == 3 for picture in pictures)
    changes = {"in_channels": 3 if coloured else 1, **given, "num_classes": len(splits.classes)}
    model_config(model, **changes)  # refuses what this network cannot be
    if changes["in_channels"] not in (1, 3):
        raise UsageError(f"in_channels must be 1 or 3 to train on pictures, not {changes['in_channels']!r}")
    origins = {f"model.{name}": "you" for name in given} | {"model.num_classes": "the data"}
    if "in_channels" not in given:
        origins["model.in_channels"] = f"auto: the pictures are {'in colour' if coloured else 'grey'}"
    return changes, origins


def _preprocess(
    native: tuple[int, int, int],
    channels: int,
    pictures: list[Pixels],
    size: int | None,
    fit: Literal["crop", "pad", "stretch"] | None,
) -> tuple[Preprocess, dict[str, str]]:
    """The network's own size; pictures that are all alike and smaller are framed, others fill the frame."""
    height, width = native[1:] if size is None else (size, size)
    sizes = {picture.shape[:2] for picture in pictures}
    largest = max(max(shape) for shape in sizes)
    framed = fit is None and len(sizes) == 1 and largest < min(height, width)
    preprocess = Preprocess(
        channels=cast("Literal[1, 3]", channels),
        height=height,
        width=width,
        fit="pad" if framed else fit or "crop",
        resize=largest if framed else None,
    )
    origins = {f"preprocess.{name}": "default" for name in preprocess.to_dict()}
    origins["preprocess.channels"] = "the network"
    origins["preprocess.height"] = origins["preprocess.width"] = "the network's own size" if size is None else "you"
    if framed:
        origins["preprocess.fit"] = origins["preprocess.resize"] = f"auto: all pictures have {largest} pixels a side"
    elif fit:
        origins["preprocess.fit"] = "you"
    return preprocess, origins


def _check_fits(model: str, changes: Mapping[str, object], preprocess: Preprocess) -> None:
    """Let the network refuse a size that it cannot work on before anything is written; on the meta device."""
    with torch.device("meta"), torch.no_grad():
        network = create_model(model, **changes).eval()
        network(torch.empty(1, preprocess.channels, preprocess.height, preprocess.width))


def _recipe(
    *,
    model: str,
    splits: DataSplits,
    given_name: str | None,
    given: Mapping[str, object],
    pictures: list[Pixels],
    preprocess: Preprocess,
) -> tuple[Recipe, str, dict[str, str]]:
    name = given_name or recipe_for(model, splits.train.origin)[0]
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

    if recipe.optimizer != base.optimizer and "lr" not in given:
        recipe = change(recipe, {"lr": None})  # a rate for one optimiser is wrong for another
    if recipe.lr is None:
        decide({"lr": _usual_rate(recipe)}, f"usual for {recipe.optimizer}")
    mean, std = recipe.mean, recipe.std
    if mean is None or std is None:  # both or neither
        statistics = channel_statistics([preprocess(picture) for picture in pictures])
        decide(dict(zip(("mean", "std"), statistics, strict=True)), f"of {len(pictures)} training pictures")
    elif len(mean) == 1 and preprocess.channels == 3:
        recipe = change(recipe, {"mean": mean * 3, "std": std * 3})
    elif len(mean) != preprocess.channels:
        raise UsageError(f"recipe field mean has {len(mean)} values for {preprocess.channels} channels")
    if recipe.threads is None:
        decide({"threads": os.cpu_count() or 1}, "all processors")
    return recipe, name, origins


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
