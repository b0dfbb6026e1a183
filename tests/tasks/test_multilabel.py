"""Any number of labels a picture: targets and losses worked out by hand."""

import math

import numpy as np
import torch
from torch import nn

from convatlas.models.classify import lenet5
from convatlas.tasks.make import make_task
from convatlas.tasks.multilabel import Multilabel

CLASSES = ("indoors", "person", "dog")
NETWORK = nn.Identity()


def task(**changes: object) -> Multilabel:
    fields: dict[str, object] = {"classes": CLASSES, "decode": lambda output: output}
    return Multilabel(**(fields | changes))  # type: ignore[arg-type]  # fields by name


def test_targets_are_floats() -> None:
    targets = task().targets(torch.tensor([[1, 0, 1], [0, 0, 0]], dtype=torch.uint8))
    assert targets.dtype == torch.float32
    assert targets.tolist() == [[1, 0, 1], [0, 0, 0]]


def test_smoothing_moves_each_towards_one_half() -> None:
    targets = task(label_smoothing=0.2).targets(torch.tensor([[1, 0, 1]], dtype=torch.uint8))
    torch.testing.assert_close(targets, torch.tensor([[0.9, 0.1, 0.9]]))


def test_binary_cross_entropy_by_hand() -> None:
    # Odds 3, 1, 1/3 give the probabilities 3/4, 1/2, 1/4.
    logits = torch.tensor([[3.0, 1.0, 1 / 3]]).log()
    losses = task().losses(NETWORK, logits, torch.tensor([[1.0, 0.0, 1.0]]))
    expected = (math.log(4 / 3) + math.log(2) + math.log(4)) / 3
    torch.testing.assert_close(losses["binary_cross_entropy"], torch.tensor([expected]))


def test_class_weights_multiply_each_yes_or_no() -> None:
    weighted = task(class_weights=(2.0, 0.0, 1.0))
    logits = torch.tensor([[3.0, 1.0, 1 / 3]]).log()
    losses = weighted.losses(NETWORK, logits, torch.tensor([[1.0, 0.0, 1.0]]))
    expected = (2 * math.log(4 / 3) + math.log(4)) / 3
    torch.testing.assert_close(losses["binary_cross_entropy"], torch.tensor([expected]))


def test_the_loss_is_of_decoded_logits() -> None:
    turned = task(decode=lambda output: -output)
    output, targets = torch.tensor([[2.0, -1.0, 0.5]]), torch.tensor([[1.0, 0.0, 1.0]])
    torch.testing.assert_close(
        turned.losses(NETWORK, output, targets)["binary_cross_entropy"],
        task().losses(NETWORK, -output, targets)["binary_cross_entropy"],
    )
    made = make_task("multilabel", "lenet5", tuple("0123456789"))
    assert made.decode is lenet5.decode
    assert (made.name, made.score_name) == ("multilabel", "mean average precision")


def test_the_score_is_mean_average_precision() -> None:
    logits = np.array([[2.0, 1.0, -1.0], [-1.0, 2.0, -1.0]])
    labels = np.array([[1, 1, 0], [0, 0, 0]], np.uint8)
    # indoors: its one picture comes first, 1. person: the other picture comes first, 1/2. dog: none, left out.
    summary = task().summarise(logits, labels, names=["a", "b"], split="test", temperature=1.0)
    assert task().score(summary) == 0.75


def test_without_any_label_there_is_nothing_to_find() -> None:
    summary = task().summarise(
        np.zeros((2, 3)), np.zeros((2, 3), np.uint8), names=["a", "b"], split="test", temperature=1.0
    )
    assert summary.mean_ap is None
    assert task().score(summary) == 0.0
