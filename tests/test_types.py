"""The rule by which an epoch's weights are kept, on histories made by hand."""

import pytest

from convatlas.types import EpochRow, best_epoch, last_gain

pytestmark = pytest.mark.row("F-04")


def history(*losses: float, error: float = 0.02, scores: tuple[float, ...] = ()) -> list[EpochRow]:
    """Rows with these validation losses, each with the same standard error."""
    return [
        EpochRow(
            epoch=number,
            learning_rate=0.1,
            train_loss=1.0,
            val_loss=loss,
            val_loss_error=error,
            val_score=scores[number - 1] if scores else 0.9,
            seconds=1.0,
            images_per_second=1.0,
        )
        for number, loss in enumerate(losses, start=1)
    ]


@pytest.mark.parametrize(
    ("losses", "kept"),
    [
        ((1.0,), 1),
        ((1.0, 0.3), 2),  # clearly better
        ((0.3, 0.5), 1),  # clearly worse
        ((0.30, 0.31), 2),  # as good: the later
        ((0.30, 0.3199, 0.31), 3),
        ((0.30, 0.3201), 1),  # just beyond the standard error
        # It does not slip away step by step: measured from the smallest, not from the last one kept.
        ((0.30, 0.315, 0.33, 0.345), 2),
        ((0.30, 0.40, 0.31), 3),  # back again
        ((0.30, 0.31, 0.20, 0.31), 3),  # one smaller than all before is the measure from then on
    ],
)
def test_the_epoch_that_is_kept(losses, kept):
    assert best_epoch(history(*losses)).epoch == kept


def test_more_pictures_tell_smaller_differences_apart():
    assert best_epoch(history(0.30, 0.31, error=0.02)).epoch == 2
    assert best_epoch(history(0.30, 0.31, error=0.002)).epoch == 1


def test_nothing_is_gained_by_reaching_the_same_score_again():
    assert last_gain(history(0.3, 0.2, 0.1, scores=(0.8, 0.9, 0.9))).epoch == 2
