"""A published weight set: where it lies, what is known of it. Read from TOML, without torch."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from typing import Any, Literal

Source = Literal["torchvision", "timm", "efficientnet_pytorch", "convatlas"]
"""Whose names a state dict's keys are; "efficientnet_pytorch" are those of the TensorFlow ports (`_conv_stem`)."""


@dataclass(frozen=True, kw_only=True)
class Transform:
    """What the weights expect of a picture.

    resize: the shorter side in pixels, then the centre crop x crop is cut out; None: stretched to crop x crop.
    mean, std: a value a channel in units of the full range 0..1: the network sees (pixels / 255 - mean) / std.
    """

    resize: int | None
    crop: int
    interpolation: Literal["bilinear", "bicubic"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class WeightSet:
    """One published file of weights.

    key: "torchvision/resnet50/IMAGENET1K_V1". model, changes: `create_model(model, **changes)` takes the weights.
    address: an https address, or None for a set that a Python package carries: then package, member and extra say
    where the file lies in it and which extra of convatlas brings it.
    sha256: 64 hexadecimal digits, or the first 8 where the source states no more, or "" where it states none: then the
    file's own is recorded at the first download, and later ones are held against it.
    mebibytes: the size that the source states. licence: of the weights, "unstated" where the source names none.
    data, data_terms: what they were trained on, and the terms of that, which are not the licence.
    top1, top5: the accuracy in percent that score_source publishes for this transform.
    """

    key: str
    model: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    source: str
    naming: Source
    address: str | None = None
    package: str | None = None
    member: str | None = None
    extra: str | None = None
    sha256: str = ""
    mebibytes: float | None = None
    licence: str
    licence_note: str = ""
    data: str
    data_terms: str
    transform: Transform
    classes: str
    num_classes: int
    top1: float | None = None
    top5: float | None = None
    score_source: str = ""

    @property
    def file_name(self) -> str:
        """The name of the cached file: the address's own, or for a hub's "model.safetensors" the set's."""
        if self.address is None:
            return str(self.member).rpartition("/")[2]
        name = self.address.rpartition("/")[2]
        return f"{self.key.rpartition('/')[2]}.safetensors" if name == "model.safetensors" else name


def read_sets(file: Traversable) -> tuple[WeightSet, ...]:
    """The weight sets of one file: each set's own fields over those that the file shares."""
    shared = tomllib.loads(file.read_text(encoding="utf-8"))
    own = shared.pop("sets")
    transform = shared.pop("transform", {})
    return tuple(_weight_set({**shared, **fields}, {**transform, **fields.get("transform", {})}) for fields in own)


def _weight_set(fields: dict[str, Any], transform: dict[str, Any]) -> WeightSet:
    if transform.pop("stretch", False):
        transform["resize"] = None
    transform |= {"mean": tuple(transform["mean"]), "std": tuple(transform["std"])}
    return WeightSet(**{**fields, "transform": Transform(**transform)})
