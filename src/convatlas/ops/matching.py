"""Which object an anchor or a proposal is to find: by overlap, and a balanced sample of them to learn from.

Girshick, "Fast R-CNN", ICCV 2015, https://arxiv.org/abs/1504.08083, Section 2.3; Ren et al., "Faster R-CNN", NIPS 2015,
https://arxiv.org/abs/1506.01497, Sections 3.1.2 and 3.1.3; Lin et al., "Focal Loss", ICCV 2017, Section 4.
Shapes: A anchors (or proposals), G objects.
"""

import torch
from torch import Tensor

from convatlas.errors import UsageError

BACKGROUND = -1  # learns that there is no object
IGNORED = -2  # learns nothing


def assign_objects(
    overlaps: Tensor,
    *,
    object_from: float,
    background_below: float,
    background_from: float = 0.0,
    best_per_object: bool = False,
) -> Tensor:
    """For each anchor the index of its object, BACKGROUND or IGNORED: (A,) int64.

    overlaps (A, G): IoU of each anchor with each object, G may be 0. An anchor's own overlap is the largest of its row:
    its object from `object_from` on, background from `background_from` up to `background_below`, ignored otherwise.
    best_per_object: the anchors, all equal ones, that overlap some object most, if at all, also get an object, however
    small the overlap: the one that they themselves overlap most, as Faster R-CNN's authors and torchvision have it.
    Faster R-CNN's proposals: 0.7, 0.3, best_per_object; Fast R-CNN: 0.5, 0.5, background_from 0.1; RetinaNet: 0.5, 0.4.
    Raises UsageError unless 0 <= background_from <= background_below <= object_from <= 1.
    """
    if overlaps.dim() != 2 or not overlaps.is_floating_point():
        raise UsageError(f"overlaps: expected anchors x objects, got {tuple(overlaps.shape)} {overlaps.dtype}")
    if not 0 <= background_from <= background_below <= object_from <= 1:
        raise UsageError(
            "background_from, background_below, object_from: expected 0 <= each <= the next <= 1, "
            f"got {background_from}, {background_below}, {object_from}"
        )
    anchors, objects = overlaps.shape
    if not objects:
        nothing = BACKGROUND if background_from == 0 < background_below else IGNORED
        return torch.full((anchors,), nothing, dtype=torch.int64, device=overlaps.device)
    if not anchors:
        return torch.zeros(0, dtype=torch.int64, device=overlaps.device)
    largest, nearest = overlaps.max(dim=1)
    assigned = torch.full_like(nearest, IGNORED)
    assigned[(largest >= background_from) & (largest < background_below)] = BACKGROUND
    found = largest >= object_from
    if best_per_object:
        best = overlaps.amax(dim=0)
        found |= ((overlaps == best) & (best > 0)).any(dim=1)
    return torch.where(found, nearest, assigned)


def sample_balanced(
    assigned: Tensor, *, count: int, share: float, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Indices, ascending, of at most `count` anchors drawn by chance: those with an object, and background.

    assigned (A,): as `assign_objects` gives it. At most share * count, share 0..1, have an object; background fills
    the rest, as far as there is any. Faster R-CNN: 256 and 0.5; Fast R-CNN: 64 a picture and 0.25. generator: of the
    processor, so that a seed draws the same everywhere. Raises UsageError that names the argument.
    """
    if assigned.dim() != 1 or assigned.dtype != torch.int64:
        raise UsageError(f"assigned: expected int64 (A,), got {assigned.dtype} {tuple(assigned.shape)}")
    if generator is not None and generator.device.type != "cpu":
        raise UsageError(f"generator: expected one of the processor, got one of {generator.device}")
    if count < 1 or not 0 <= share <= 1:
        raise UsageError(f"count, share: expected 1 or more and 0..1, got {count} and {share}")
    with_object = torch.nonzero(assigned >= 0).squeeze(1)
    without = torch.nonzero(assigned == BACKGROUND).squeeze(1)
    chosen = _draw(with_object, int(count * share), generator)
    return chosen, _draw(without, count - len(chosen), generator)


def _draw(indices: Tensor, most: int, generator: torch.Generator | None) -> Tensor:
    if len(indices) <= most:
        return indices
    drawn = torch.randperm(len(indices), generator=generator)[:most].sort().values
    return indices[drawn.to(indices.device)]
