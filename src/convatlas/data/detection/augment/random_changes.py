"""Random changes of a picture and its objects together.

Photometric distortion, zooming out and the crop that keeps a least overlap: Liu et al., "SSD: Single Shot MultiBox
Detector", ECCV 2016, https://arxiv.org/abs/1512.02325, Sections 2.2 ("Data augmentation") and 3.6.
Scale jitter: Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation", CVPR
2021, https://arxiv.org/abs/2012.07177, Figure 3 ("large scale jittering").
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from convatlas.data.detection.augment.annotated import Annotated
from convatlas.data.detection.augment.tensors import Parts, changed
from convatlas.errors import UsageError

_MEAN = (124, 116, 104)  # of ImageNet's pixels: what SSD puts around a picture that is zoomed out
_SMALLEST_TO_CROP = 16  # pixels: torchvision's crop divides by zero in pictures of few
_SMALLEST_SIZE, _LARGEST_SIZE = 16, 8192


@dataclass(frozen=True, kw_only=True)
class RandomChanges:
    """What is done to each picture, in this order; without arguments nothing.

    distort: the probability, 0..1, of each change of brightness, contrast, saturation, hue and order of channels.
    zoom_out: up to this many times the height and width around the picture, 1..4 (SSD's), for half of the pictures.
    crop: a part of the picture that has a least overlap, drawn from 0 to 1, with some object; objects whose middle is
        outside of it go (SSD). Pictures without objects or of fewer than 16 pixels a side stay whole.
    flip: the probability, 0..1, of mirroring left and right. mirror: for each keypoint the one that it becomes then;
        see `mirror_order`.
    size: the picture is scaled, its aspect kept, until its longer side has as many pixels, 16..8192; None leaves it.
    scale: with `size`, a further factor drawn from this range, 0.05..8; what then reaches beyond `size` is cut off, at
        random sides.

    Raises UsageError that names the field.
    """

    distort: float = 0.0
    zoom_out: float = 1.0
    crop: bool = False
    flip: float = 0.0
    mirror: tuple[int, ...] = ()
    size: int | None = None
    scale: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        for name in ("distort", "flip"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name}: expected a probability, 0 to 1, got {getattr(self, name)}")
        if not 1 <= self.zoom_out <= 4:
            raise UsageError(f"zoom_out: expected 1 to 4, got {self.zoom_out}")
        if sorted(self.mirror) != list(range(len(self.mirror))):
            raise UsageError(f"mirror: expected each of 0 to {len(self.mirror) - 1} once, got {self.mirror}")
        if self.size is not None and not _SMALLEST_SIZE <= self.size <= _LARGEST_SIZE:
            raise UsageError(f"size: expected {_SMALLEST_SIZE} to {_LARGEST_SIZE} pixels, got {self.size}")
        if not 0.05 <= self.scale[0] <= self.scale[1] <= 8:
            raise UsageError(f"scale: expected 0.05 <= smallest <= largest <= 8, got {self.scale}")
        if self.size is None and self.scale != (1, 1):
            raise UsageError("scale: needs a size, of which it is a factor")

    def __call__(self, picture: Annotated) -> Annotated:
        """The picture and its objects, changed; which of them remain says `tensors.changed`. Torch's seed decides.

        Raises UsageError when `mirror` has another number of keypoints than the picture's objects.
        """
        points = picture.sample.keypoints.shape[1]
        if self.mirror and points not in (0, len(self.mirror)):
            raise UsageError(
                f"{picture.sample.name}: mirror: expected {points}, one a keypoint, got {len(self.mirror)}"
            )
        return changed(picture, self._change, mirror=self.mirror if points else ())

    def _change(self, parts: Parts) -> Parts:
        if self.distort:
            parts = v2.RandomPhotometricDistort(p=self.distort)(parts)
        if self.zoom_out > 1:
            fill = {tv_tensors.Image: list(_MEAN), "others": 0}
            parts = v2.RandomZoomOut(fill=fill, side_range=(1.0, self.zoom_out))(parts)
        if self.crop and len(parts["boxes"]) and min(parts["image"].shape[-2:]) >= _SMALLEST_TO_CROP:
            parts = v2.RandomIoUCrop()(parts)
        if self.flip:
            parts = v2.RandomHorizontalFlip(self.flip)(parts)
        if self.size is not None:
            parts = self._scaled(parts, self.size)
        return parts

    def _scaled(self, parts: Parts, size: int) -> Parts:
        height, width = parts["image"].shape[-2:]
        factor = size / max(height, width) * float(torch.empty(()).uniform_(*self.scale))
        height, width = max(1, round(height * factor)), max(1, round(width * factor))
        parts = resized(parts, height, width)
        if max(height, width) <= size:
            return parts
        return random_window(parts, min(height, size), min(width, size))


def resized(parts: Parts, height: int, width: int) -> Parts:
    """All parts as height x width pixels: the image bilinear with antialiasing, masks nearest."""
    return {name: functional.resize(part, size=[height, width], antialias=True) for name, part in parts.items()}


def random_window(parts: Parts, height: int, width: int) -> Parts:
    """A window of height x width pixels, each as likely, of parts that are at least as large."""
    own_height, own_width = parts["image"].shape[-2:]
    top = int(torch.randint(own_height - height + 1, ()))
    left = int(torch.randint(own_width - width + 1, ()))
    return {name: functional.crop(part, top, left, height, width) for name, part in parts.items()}


def mirror_order(names: Sequence[str]) -> tuple[int, ...]:
    """For each keypoint the number of the one that it becomes in a mirror: "left_eye" becomes "right_eye".

    names: the keypoints', as in `KeypointPlan`. One whose counterpart has no name there stays what it is.
    """
    places = {name: place for place, name in enumerate(names)}
    return tuple(places.get(_mirrored_name(name), place) for place, name in enumerate(names))


def _mirrored_name(name: str) -> str:
    if "left" in name:
        return name.replace("left", "right")
    return name.replace("right", "left")
