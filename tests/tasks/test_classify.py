"""One label a picture: targets and losses worked out by hand."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convatlas.metrics.summary import ClassifySummary
from convatlas.models import create_model
from convatlas.models.classify import lenet5
from convatlas.tasks.classify import Classify
from convatlas.tasks.family import decode_for, own_losses
from convatlas.tasks.make import balanced_weights, make_task

CLASSES = ("cat", "dog", "cow", "owl")
NETWORK = nn.Identity()  # the usual losses do not look at it


def task(**changes: object) -> Classify:
    fields: dict[str, object] = {"classes": CLASSES, "own_losses": None, "decode": lambda output: output}
    return Classify(**(fields | changes))  # type: ignore[arg-type]  # fields by name


def test_targets_are_distributions() -> None:
    assert task().targets(torch.tensor([1, 3])).tolist() == [[0, 1, 0, 0], [0, 0, 0, 1]]


def test_smoothing_spreads_its_share_over_all_classes() -> None:
    """Szegedy et al. 2015, Section 7: (1 - e) on the truth and e / K on every class, the truth too."""
    targets = task(label_smoothing=0.2).targets(torch.tensor([2]))
    torch.testing.assert_close(targets, torch.tensor([[0.05, 0.05, 0.85, 0.05]]))


def test_cross_entropy_by_hand() -> None:
    # The odds 1 : 2 : 4 : 1 give the probabilities 1/8, 2/8, 4/8, 1/8.
    logits = torch.tensor([[1.0, 2.0, 4.0, 1.0]]).log().expand(2, 4)
    losses = task().losses(NETWORK, logits, task().targets(torch.tensor([2, 0])))
    torch.testing.assert_close(losses["cross_entropy"], torch.tensor([math.log(2), math.log(8)]))


def test_smoothed_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[1.0, 2.0, 4.0, 1.0]]).log()
    smooth = task(label_smoothing=0.4)
    expected = 0.7 * math.log(2) + 0.1 * (math.log(8) + math.log(4) + math.log(8))
    losses = smooth.losses(NETWORK, logits, smooth.targets(torch.tensor([2])))
    torch.testing.assert_close(losses["cross_entropy"], torch.tensor([expected]))


def test_smoothing_is_torchs() -> None:
    logits, labels = torch.randn(7, 4, generator=torch.Generator().manual_seed(0)), torch.arange(7) % 4
    smooth = task(label_smoothing=0.1)
    expected = nn.functional.cross_entropy(logits, labels, reduction="none", label_smoothing=0.1)
    torch.testing.assert_close(smooth.losses(NETWORK, logits, smooth.targets(labels))["cross_entropy"], expected)


def test_class_weights_multiply_each_pictures_loss() -> None:
    logits = torch.zeros(3, 4)  # each class has 1/4: every picture costs ln 4
    weighted = task(class_weights=(1.0, 2.0, 0.5, 0.0))
    losses = weighted.losses(NETWORK, logits, weighted.targets(torch.tensor([1, 2, 3])))
    torch.testing.assert_close(losses["cross_entropy"], torch.tensor([2.0, 0.5, 0.0]) * math.log(4))


def test_a_mixed_picture_weighs_by_its_shares() -> None:
    weighted = task(class_weights=(1.0, 3.0, 1.0, 1.0))
    losses = weighted.losses(NETWORK, torch.zeros(1, 4), torch.tensor([[0.25, 0.75, 0.0, 0.0]]))
    torch.testing.assert_close(losses["cross_entropy"], torch.tensor([(0.25 * 1 + 0.75 * 3) * math.log(4)]))


def test_own_losses_take_the_place_of_cross_entropy_and_are_weighted_too() -> None:
    def own(network: nn.Module, output: Tensor, targets: Tensor) -> dict[str, Tensor]:
        assert network is NETWORK
        return {"first": output.sum(dim=1), "second": targets.sum(dim=1)}

    given = task(own_losses=own, class_weights=(1.0, 10.0, 1.0, 1.0))
    losses = given.losses(NETWORK, torch.ones(2, 4), given.targets(torch.tensor([0, 1])))
    assert {name: loss.tolist() for name, loss in losses.items()} == {"first": [4, 40], "second": [1, 10]}


def test_losses_and_decoding_live_with_the_paper() -> None:
    assert own_losses("lenet5") is lenet5.losses
    assert decode_for("lenet5") is lenet5.decode
    penalties = torch.tensor([[3.0, 1.0]])
    assert decode_for("lenet5")(penalties).tolist() == [[-3, -1]]


def test_other_networks_have_the_usual_loss_and_logits() -> None:
    assert own_losses("lenet5_modern") is None
    logits = torch.randn(2, 3)
    assert decode_for("lenet5_modern")(logits) is logits


def test_make_task_binds_a_networks_own_losses() -> None:
    network = create_model("lenet5")
    made = make_task("classify", "lenet5", tuple("0123456789"))
    assert list(made.losses(network, torch.ones(1, 10), made.targets(torch.tensor([4])))) == ["map"]
    assert (made.name, made.score_name) == ("classify", "top-1 accuracy")
    usual = make_task("classify", "lenet5_modern", CLASSES)
    assert list(usual.losses(network, torch.ones(1, 4), usual.targets(torch.tensor([1])))) == ["cross_entropy"]


@pytest.mark.parametrize(
    ("counts", "weights"),
    [
        # 12 pictures of 3 classes, 4 each on average.
        ([6, 4, 2], (4 / 6, 1.0, 2.0)),
        ([5, 5], (1.0, 1.0)),
        # A class without pictures counts for nothing, and does not change the others.
        ([6, 0, 2], (4 / 6, 0.0, 2.0)),
        ([0, 0], (0.0, 0.0)),
    ],
)
def test_balanced_weights_by_hand(counts: list[int], weights: tuple[float, ...]) -> None:
    found = balanced_weights(np.array(counts))
    assert found == pytest.approx(weights)
    if sum(counts):
        assert np.dot(found, counts) == pytest.approx(sum(counts)), "a picture counts 1 on average"


def test_the_score_is_top_1() -> None:
    logits = np.array([[2.0, 1, 0, 0], [2.0, 1, 0, 0], [0, 0, 3.0, 0], [0, 0, 0, 1.0]])
    summary = task().summarise(logits, np.array([0, 1, 2, 3]), names=list("abcd"), split="val", temperature=1.0)
    assert isinstance(summary, ClassifySummary)
    assert task().score(summary) == summary.top1 == 0.75
    assert (summary.classes, summary.split) == (CLASSES, "val")
