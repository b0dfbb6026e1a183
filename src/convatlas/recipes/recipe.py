"""A recipe: everything that decides how a network is trained, beside the network and the data. Frozen and checked."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from convatlas.errors import UsageError, did_you_mean

Optimizer = Literal["sgd", "adamw", "rmsprop"]
Schedule = Literal["constant", "cosine", "step", "one-cycle"]
AutoAugment = Literal["none", "randaugment", "trivialaugment"]
ClassWeights = Literal["none", "balanced"]
Precision = Literal["float32", "bfloat16", "float16"]
Trainable = Literal["all", "classifier"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train. None means: decided when the run starts, from the model, the data or the machine, and recorded.

    Raises UsageError that names the field for a value that cannot be meant.
    """

    # Length
    epochs: int = 30
    batch_size: int = 64
    accumulate: int = 1  # batches whose gradients are added up for one step of the optimiser
    patience: int | None = None  # stop after so many epochs without a better validation score; None: never

    # Optimiser
    optimizer: Optimizer = "adamw"
    lr: float | None = None  # the largest learning rate
    momentum: float = 0.9  # of sgd and rmsprop
    nesterov: bool = True  # of sgd
    weight_decay: float = 0.01  # on the weights of convolutions and dense layers alone
    clip_norm: float | None = None  # the gradient is scaled down to this length when longer

    # Schedule of the learning rate
    schedule: Schedule = "cosine"
    warmup_epochs: float = 0.0  # from 0 up to lr in a straight line; one-cycle: the rising part
    step_epochs: int = 30  # step: lr is multiplied by step_factor after each so many epochs
    step_factor: float = 0.1

    # What learns, in a network that starts from weights it was given (its parts: `engine/parts.py`)
    trainable: Trainable = "all"  # classifier: all in front of it stays as it is
    part_decay: float = 1.0  # a part learns at this share of the rate of the next one towards the classifier
    unfreeze_by: float = 0.0  # the share of the run in which the parts begin, one after the other, the classifier first

    # Loss
    label_smoothing: float = 0.0
    class_weights: ClassWeights = "none"  # balanced: rare classes count more, in proportion

    # Augmentation of one picture, while it is read
    crop_area: float = 1.0  # the smallest part of the picture that a random crop keeps; 1: no random crop
    auto_augment: AutoAugment = "none"

    # Augmentation of a batch
    flip: bool = False  # left and right, half of the pictures
    rotate: float = 0.0  # degrees either way
    translate: float = 0.0  # part of the size, either way
    scale: float = 0.0  # 0.1: between 1 / 1.1 and 1.1 times as large
    shear: float = 0.0  # degrees either way
    elastic: float = 0.0  # smooth random displacement, typical length in pixels (Simard et al. 2003)
    mixup: float = 0.0  # alpha of the Beta distribution; 0: off
    cutmix: float = 0.0

    # Averaging
    ema_decay: float = 0.0  # of the exponential moving average of the weights; 0: off

    # Numbers and machine
    precision: Precision = "float32"
    channels_last: bool | None = None  # a picture's channels side by side in memory, as fast convolutions want them
    seed: int = 0
    deterministic: bool = False
    threads: int | None = None
    workers: int | None = None  # processes that read pictures; 0: the training process itself

    # What the network is given
    mean: tuple[float, ...] | None = None  # one a channel, of pixels / 255; None: the training pictures' own
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        self._check_fields()
        self._check_together()

    @property
    def changes_pictures(self) -> bool:
        """Whether a picture looks different in each epoch."""
        distorted = (self.flip, self.rotate, self.translate, self.scale, self.shear, self.elastic)
        mixed = (self.mixup, self.cutmix)
        return any(distorted) or any(mixed) or self.crop_area < 1 or self.auto_augment != "none"

    def _check_fields(self) -> None:
        for name, kind in _FIELD_TYPES.items():
            _check_type(name, getattr(self, name), kind)
        for name, smallest in _SMALLEST.items():
            value = getattr(self, name)
            if value is not None and value < smallest:
                raise UsageError(f"recipe field {name} must be at least {smallest}, not {value!r}")
        for name, largest in _BELOW.items():
            value = getattr(self, name)
            if value >= largest:
                raise UsageError(f"recipe field {name} must be below {largest}, not {value!r}")
        if self.lr is not None and not self.lr > 0:
            raise UsageError(f"recipe field lr must be above 0, not {self.lr!r}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise UsageError(f"recipe field clip_norm must be above 0, not {self.clip_norm!r}")
        if not 0 < self.part_decay <= 1:
            raise UsageError(f"recipe field part_decay must be above 0 and at most 1, not {self.part_decay!r}")
        if not 0 < self.crop_area <= 1:
            raise UsageError(f"recipe field crop_area must be above 0 and at most 1, not {self.crop_area!r}")

    def _check_together(self) -> None:
        if self.warmup_epochs >= self.epochs:
            raise UsageError(
                f"recipe field warmup_epochs must be below epochs ({self.epochs}), not {self.warmup_epochs!r}"
            )
        if (self.mean is None) != (self.std is None):
            raise UsageError("recipe fields mean and std belong together: give both or neither")
        if self.mean is not None and self.std is not None:
            if len(self.mean) != len(self.std):
                raise UsageError("recipe fields mean and std must have a value each for the same channels")
            if min(self.std) <= 0:
                raise UsageError(f"recipe field std must be above 0, not {self.std!r}")


_FIELD_TYPES = typing.get_type_hints(Recipe)
_SMALLEST = {
    **dict.fromkeys(("epochs", "batch_size", "accumulate", "patience", "step_epochs", "threads"), 1),
    **dict.fromkeys(("workers", "seed", "momentum", "weight_decay", "warmup_epochs", "step_factor", "ema_decay"), 0),
    **dict.fromkeys(
        ("unfreeze_by", "label_smoothing", "rotate", "translate", "scale", "shear", "elastic", "mixup", "cutmix"), 0
    ),
}
_BELOW = {
    "seed": 2**32,
    "momentum": 1,
    "label_smoothing": 1,
    "ema_decay": 1,
    "unfreeze_by": 1,
    "translate": 1,
    "shear": 90,
}


def parse_changes(assignments: typing.Sequence[str]) -> dict[str, object]:
    """`["epochs=5", "flip=true", "mean=0.5,0.5,0.5"]` -> the values that the fields' types say.

    Raises UsageError for an unknown field, with the nearest names, and for a text that is not such a value.
    """
    changes: dict[str, object] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise UsageError(f"--set {assignment}: expected field=value, such as --set epochs=5")
        check_field(name)
        changes[name] = _parse(name, text.strip(), _FIELD_TYPES[name])
    return changes


def check_field(name: str) -> None:
    """Raise UsageError with the nearest names unless the recipe has such a field."""
    if name not in _FIELD_TYPES:
        raise UsageError(
            f"a recipe has no field {name!r}.{did_you_mean(name, _FIELD_TYPES)} It has: {', '.join(_FIELD_TYPES)}"
        )


def change(recipe: Recipe, changes: Mapping[str, object]) -> Recipe:
    """The recipe with other values; whole numbers are taken for floats where a float is meant."""
    for name in changes:
        check_field(name)
    return dataclasses.replace(recipe, **{name: _widen(changes[name], _FIELD_TYPES[name]) for name in changes})  # type: ignore[arg-type]  # __post_init__ checks each type


def _kinds(kind: object) -> tuple[object, ...]:
    """`float | None` -> (float, None)."""
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def _widen(value: object, kind: object) -> object:
    if float in _kinds(kind) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, list):
        return tuple(value)
    return value


def _check_type(name: str, value: object, kind: object) -> None:
    for each in _kinds(kind):
        if each is type(None) and value is None:
            return
        if typing.get_origin(each) is Literal and value in typing.get_args(each):
            return
        if typing.get_origin(each) is tuple and isinstance(value, tuple) and all(_is_finite(part) for part in value):
            return
        if each in (int, float, bool, str) and type(value) is each:
            if each is float and not _is_finite(value):
                continue
            return
    raise UsageError(f"recipe field {name} must be {_describe(kind)}, not {value!r}")


def _is_finite(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _describe(kind: object) -> str:
    words = []
    for each in _kinds(kind):
        if typing.get_origin(each) is Literal:
            words += [f'"{choice}"' for choice in typing.get_args(each)]
        elif typing.get_origin(each) is tuple:
            words.append("numbers, one a channel")
        else:
            words.append({int: "a whole number", float: "a number", bool: "true or false", type(None): "none"}[each])  # type: ignore[index]
    return " or ".join(words)


def _parse(name: str, text: str, kind: object) -> object:
    kinds = _kinds(kind)
    if type(None) in kinds and text.lower() in ("none", "null", ""):
        return None
    if bool in kinds and text.lower() in ("true", "false", "yes", "no", "1", "0"):
        return text.lower() in ("true", "yes", "1")
    for each in kinds:
        try:
            if each is int:
                return int(text)
            if each is float:
                return float(text)
            if typing.get_origin(each) is tuple:
                return tuple(float(part) for part in text.split(","))
        except ValueError:
            continue
        if typing.get_origin(each) is Literal and text in typing.get_args(each):
            return text
    raise UsageError(f"--set {name}={text}: {name} must be {_describe(kind)}")
