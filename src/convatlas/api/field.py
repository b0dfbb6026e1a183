"""What the layers of a network see of a picture: computed, and measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from convatlas.api.create import create_model
from convatlas.api.target import Target, find_network
from convatlas.arithmetic.field.effective import EffectiveField, effective_receptive_field
from convatlas.arithmetic.field.theoretical import LayerField, layer_fields
from convatlas.arithmetic.field.visits import Counts, field_visits
from convatlas.engine.bundle import holds_bundle
from convatlas.engine.deploy import load_deployed
from convatlas.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class SeenLayer:
    """A layer and what its units see.

    computed: its theoretical field. effective: its measured one, where that was asked for and the layer gives a map.
    visits: in how many units' theoretical fields each pixel lies, (height, width), where that was asked for.
    """

    computed: LayerField
    effective: EffectiveField | None = None
    visits: Counts | None = None

    @property
    def centre(self) -> tuple[int, int] | None:
        """(row, column) of the unit in the middle of the map; None where the layer gives no map."""
        shape = self.computed.shape
        return (shape[2] // 2, shape[3] // 2) if len(shape) == 4 else None

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """(left, top, width, height) in pixels of what that unit sees, padding included; None where it is unknown."""
        axes, unit = self.computed.field.axes, self.centre
        if len(axes) != 2 or unit is None:
            return None
        top, left = (float(axis.start + place * (axis.jump or 0)) for axis, place in zip(axes, unit, strict=True))
        return left, top, float(axes[1].size), float(axes[0].size)


@dataclass(frozen=True, kw_only=True)
class FieldReport:
    """What the layers of a network see of a picture of shape `image` (channels, height, width)."""

    network: str
    image: tuple[int, int, int]
    layers: tuple[SeenLayer, ...]


def field(
    target: str | Path | nn.Module,
    layers: Sequence[str] = (),
    *,
    image: tuple[int, int, int] | None = None,
    changes: Mapping[str, object] | None = None,
    effective: bool = False,
    visits: bool = False,
    weights: str | None = None,
    count: int = 16,
    seed: int = 0,
) -> FieldReport:
    """What the units of these layers see of a picture.

    target: a network of the atlas by name, a run's or bundle's folder, `module:function`, or a network, as for `show`.
    layers: names of the network's features, or dotted paths of modules; without any, all its features, and of a network
    that names none, all its modules.
    image: (channels, height, width); known for a network of the atlas and for a bundle.
    changes: fields of the config of a network of the atlas, such as {"in_channels": 1}.
    effective: measure the field in the middle too, on `count` random pictures. weights: as for `create_model`; without,
    a network of the atlas is freshly initialised. seed: of the pictures and of such a network.
    visits: count for each pixel the units that see it.

    Raises UsageError for what cannot be found or meant, such as a layer that there is not or, measured, that gives no
    map; TraceError where the network fails.
    """
    shown = _found(target, changes or {}, weights=weights, seed=seed, measured=effective)
    image = image or cast("tuple[int, int, int] | None", shown.picture)
    if image is None or len(image) != 3:
        raise UsageError(f"{shown.name}: the picture's shape is needed, channels x height x width: --input 3x224x224")
    seen = []
    for computed in layer_fields(shown.network, image, layers):
        measured = counted = None
        if effective and (layers or len(computed.shape) == 4):
            measured = effective_receptive_field(shown.network, computed.layer, image, count=count, seed=seed)
        if visits and len(computed.shape) == 4 and not computed.field.unknown:
            counted = field_visits((image[1], image[2]), (computed.shape[2], computed.shape[3]), computed.field)
        seen.append(SeenLayer(computed=computed, effective=measured, visits=counted))
    return FieldReport(network=shown.name, image=image, layers=tuple(seen))


def _found(
    target: str | Path | nn.Module, changes: Mapping[str, object], *, weights: str | None, seed: int, measured: bool
) -> Target:
    """The network, with numbers where it is to be measured."""
    shown = find_network(target, changes)
    on_meta = any(parameter.is_meta for parameter in shown.network.parameters())
    ours = on_meta and not isinstance(target, nn.Module)
    if weights is not None and not (ours and measured and not holds_bundle(Path(str(target)))):
        raise UsageError("weights: only what is measured of a network of the atlas, by its name, depends on them")
    if not (ours and measured):
        return shown
    if holds_bundle(Path(str(target))):
        return replace(shown, network=load_deployed(Path(str(target)))[1].network)
    options = cast("dict[str, Any]", changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return replace(shown, network=create_model(shown.name, weights=weights, **options))
