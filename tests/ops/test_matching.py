"""Assignment by overlap: torchvision's matcher, hand cases of the papers' rules; sampling: counts and chance."""

import pytest
import torch
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler, Matcher

from convatlas.errors import UsageError
from convatlas.ops.iou import pairwise_iou
from convatlas.ops.matching import BACKGROUND, IGNORED, assign_objects, sample_balanced
from tests.ops.test_boxes import some_boxes

pytestmark = pytest.mark.row("C-03")

PAPERS = {
    "faster_rcnn": (0.7, 0.3, True),
    "retinanet": (0.5, 0.4, True),
    "fast_rcnn": (0.5, 0.5, False),
}


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("seed", range(5))
def test_it_is_torchvision_s_matcher(paper, seed):
    object_from, below, best = PAPERS[paper]
    objects = some_boxes(12, seed)
    moved = objects[:6] + torch.randn(6, 4, generator=torch.Generator().manual_seed(seed + 20))
    anchors = torch.cat((some_boxes(300, seed + 10), moved))
    overlaps = pairwise_iou(anchors, objects)
    assert (overlaps.amax(dim=0) > 0).all(), "torchvision gives an object that nothing meets to all anchors"
    theirs = Matcher(object_from, below, allow_low_quality_matches=best)(overlaps.T)
    ours = assign_objects(overlaps, object_from=object_from, background_below=below, best_per_object=best)
    assert torch.equal(ours, theirs)
    assert set(ours.sign().tolist()) >= {-1, 1}


def test_by_hand():
    overlaps = torch.tensor([[0.8, 0.1], [0.5, 0.6], [0.2, 0.25], [0.0, 0.0], [0.3, 0.0]])
    faster = assign_objects(overlaps, object_from=0.7, background_below=0.3)
    assert faster.tolist() == [0, IGNORED, BACKGROUND, BACKGROUND, IGNORED]  # 0.3 is not below 0.3
    best = assign_objects(overlaps, object_from=0.7, background_below=0.3, best_per_object=True)
    assert best.tolist() == [0, 1, BACKGROUND, BACKGROUND, IGNORED]
    fast = assign_objects(overlaps, object_from=0.5, background_below=0.5, background_from=0.1)
    assert fast.tolist() == [0, 1, BACKGROUND, IGNORED, BACKGROUND]


def test_thresholds_are_met_by_what_is_equal():
    overlaps = torch.tensor([[0.7], [0.5], [0.25], [0.125]], dtype=torch.float64)
    assigned = assign_objects(overlaps, object_from=0.5, background_below=0.25, background_from=0.125)
    assert assigned.tolist() == [0, 0, IGNORED, BACKGROUND]


def test_all_equally_best_anchors_get_the_object_and_none_that_misses_it():
    overlaps = torch.tensor([[0.4, 0.0], [0.4, 0.0], [0.1, 0.0]])
    assigned = assign_objects(overlaps, object_from=0.7, background_below=0.3, best_per_object=True)
    assert assigned.tolist() == [0, 0, BACKGROUND]


def test_a_best_anchor_learns_the_object_that_itself_overlaps_most():
    """As the authors' code and torchvision's: anchor 0 is the best one of both objects."""
    overlaps = torch.tensor([[0.6, 0.4], [0.1, 0.2]])
    assigned = assign_objects(overlaps, object_from=0.7, background_below=0.3, best_per_object=True)
    assert assigned.tolist() == [0, BACKGROUND]


def test_no_objects_and_no_anchors():
    none = torch.zeros(3, 0)
    assert assign_objects(none, object_from=0.7, background_below=0.3).tolist() == [BACKGROUND] * 3
    fast = assign_objects(none, object_from=0.5, background_below=0.5, background_from=0.1)
    assert fast.tolist() == [IGNORED] * 3
    assert assign_objects(none.T, object_from=0.7, background_below=0.3, best_per_object=True).shape == (0,)


@pytest.mark.parametrize("with_object", [10, 200])
@pytest.mark.parametrize("without", [40, 2000])
def test_as_many_are_drawn_as_torchvision_draws(with_object, without):
    """Section 3.1.3: up to 128 of each; background fills the rest."""
    assigned = torch.cat((torch.zeros(with_object), torch.full((without,), BACKGROUND), torch.full((50,), IGNORED)))
    assigned = assigned[torch.randperm(len(assigned), generator=torch.Generator().manual_seed(0))].long()
    chosen, background = sample_balanced(assigned, count=256, share=0.5)
    (their_chosen,), (their_background,) = BalancedPositiveNegativeSampler(256, 0.5)([(assigned + 1).clamp(min=-1)])
    assert (len(chosen), len(background)) == (int(their_chosen.sum()), int(their_background.sum()))
    assert (assigned[chosen] >= 0).all()
    assert (assigned[background] == BACKGROUND).all()
    for drawn in (chosen, background):
        assert drawn.tolist() == sorted(set(drawn.tolist()))


def test_chance_is_fair_and_a_seed_repeats_it():
    assigned = torch.cat((torch.zeros(20), torch.full((30,), BACKGROUND))).long()
    times = torch.zeros(50)
    generator = torch.Generator().manual_seed(0)
    for _ in range(2000):
        for drawn in sample_balanced(assigned, count=16, share=0.25, generator=generator):
            times[drawn] += 1
    assert times[:20].mean() == 2000 * 4 / 20
    assert times[20:].mean() == 2000 * 12 / 30
    assert (times[:20] - 400).abs().max() < 6 * (2000 * 0.2 * 0.8) ** 0.5
    assert (times[20:] - 800).abs().max() < 6 * (2000 * 0.4 * 0.6) ** 0.5
    first, again = (
        sample_balanced(assigned, count=8, share=0.5, generator=torch.Generator().manual_seed(5)) for _ in range(2)
    )
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


@pytest.mark.parametrize(
    ("thresholds", "said"),
    [
        ({"object_from": 0.3, "background_below": 0.7}, "got 0.0, 0.7, 0.3"),
        ({"object_from": 1.5, "background_below": 0.3}, "object_from"),
        ({"object_from": 0.5, "background_below": 0.5, "background_from": -0.1}, "background_from"),
        ({"object_from": float("nan"), "background_below": 0.3}, "object_from"),
    ],
)
def test_wrong_thresholds_are_named(thresholds, said):
    with pytest.raises(UsageError, match=said):
        assign_objects(torch.zeros(2, 2), **thresholds)


def test_wrong_arguments_are_named():
    for overlaps in (torch.zeros(3), torch.zeros(2, 2).long()):
        with pytest.raises(UsageError, match="overlaps: expected anchors x objects"):
            assign_objects(overlaps, object_from=0.7, background_below=0.3)
    for wrong in ({"count": 0, "share": 0.5}, {"count": 8, "share": 1.5}, {"count": 8, "share": float("nan")}):
        with pytest.raises(UsageError, match="count, share"):
            sample_balanced(torch.zeros(3).long(), **wrong)
    for wrong in (torch.zeros(2, 3).long(), torch.zeros(3)):
        with pytest.raises(UsageError, match=r"assigned: expected int64 \(A,\)"):
            sample_balanced(wrong, count=8, share=0.5)
    with pytest.raises(UsageError, match="generator: expected one of the processor, got one of meta"):
        sample_balanced(torch.zeros(300).long(), count=8, share=0.5, generator=OfAnotherDevice())


class OfAnotherDevice:
    """As a generator of a GPU says of itself."""

    device = torch.device("meta")
