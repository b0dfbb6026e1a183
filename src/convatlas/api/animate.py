"""Animations of what convolutional networks do, in one call. Without torch."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from convatlas.errors import UsageError, did_you_mean
from convatlas.files import new_file, write_text
from convatlas.report.animations.animation import Animation
from convatlas.report.animations.presets import PRESETS

SUFFIXES: Final = (".svg", ".gif")


def animate(
    kind: str | Animation, *, changes: Mapping[str, object] | None = None, out: str | Path | None = None
) -> Animation:
    """An animation by the name of a preset, or one of your own; with `out`, also as a file.

    animate("stride", out="stride.svg")
    animate("convolution", changes={"size": 7, "kernel": 5, "padding": 2}).svg(step=3)
    animate(Pooling(mode="average"), out="pooling.gif")

    kind: convolution, padding, stride, dilation, transposed, channels, pooling, sliding-window, convolutional-windows
    or nms; or an `Animation` of `convatlas.report.animations`.
    changes: fields of that animation to change, by name.
    out: a file that ends in .svg, which moves by CSS alone and can be paused, or in .gif; an earlier one is replaced.

    Raises UsageError for an unknown name, field or ending, and for a value that is impossible; SaveError when the file
    cannot be written.
    """
    if out is not None:
        check_animation_path("out", Path(out))
    animation = changed(preset(kind) if isinstance(kind, str) else kind, changes or {})
    if out is not None:
        _write(animation, Path(out))
    return animation


def preset(name: str) -> Animation:
    """The preset of this name. Raises UsageError with the nearest names when there is none."""
    key = name.strip().lower().replace("_", "-")
    if key not in PRESETS:
        raise UsageError(f"unknown animation {name!r}.{did_you_mean(key, PRESETS)} There is: {', '.join(PRESETS)}")
    return PRESETS[key]


def changed(animation: Animation, changes: Mapping[str, object]) -> Animation:
    """The animation with other values in some fields. Raises UsageError for a field that this kind does not have."""
    names = [field.name for field in dataclasses.fields(animation)]
    for name in changes:
        if name not in names:
            hint = did_you_mean(name, names)
            raise UsageError(f"{name}: the kind {animation.kind} has no such field.{hint} It has: {', '.join(names)}")
    return dataclasses.replace(animation, **dict(changes))  # type: ignore[arg-type]  # the dataclass checks the values


def check_animation_path(field: str, out: Path) -> None:
    """Raise UsageError naming the field unless `out` can be an animation's file: ends in .svg or .gif, is no folder."""
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{field}: expected a name that ends in {' or '.join(SUFFIXES)}, got {out}")
    if out.is_dir():
        raise UsageError(f"{field}: {out} is a folder; name a file in it, such as {out / 'animation.svg'}")


def _write(animation: Animation, out: Path) -> None:
    if out.suffix.lower() == ".svg":
        write_text(out, animation.svg())
        return
    from convatlas.report.animations.gif import gif  # noqa: PLC0415  # matplotlib's font: half a second

    with new_file(out) as temporary:
        temporary.write_bytes(gif(animation.drawing(), seconds=animation.seconds))
