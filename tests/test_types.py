"""The rule by which an epoch's weights are kept, on histories made by hand."""

import pytest

from convatlas.types import EpochRow, best_epoch


def history(*epochs: tuple[float, float], pictures: int = 100) -> list[EpochRow]:
    """Rows of (validation score, validation loss)."""
    return [
        EpochRow(
            epoch=number,
            learning_rate=0.1,
            train_loss=1.0,
            val_loss=loss,
            val_score=score,
            val_pictures=pictures,
            seconds=1.0,
            images_per_second=1.0,
        )
        for number, (score, loss) in enumerate(epochs, start=1)
    ]


@pytest.mark.row("F-04")
@pytest.mark.parametrize(
    ("epochs", "kept"),
    [
        ([(0.5, 1.0)], 1),
        ([(0.5, 1.0), (0.9, 0.3)], 2),  # clearly better
        ([(0.5, 0.3), (0.9, 1.0)], 2),  # clearly better, whatever the loss
        ([(0.9, 0.3), (0.5, 0.1)], 1),  # clearly worse, whatever the loss
        # One standard error of 0.90 of 100 pictures is 0.030.
        ([(0.90, 0.3), (0.88, 0.2)], 2),  # as good, and a smaller loss
        ([(0.90, 0.3), (0.88, 0.4)], 1),
        ([(0.90, 0.3), (0.86, 0.2)], 1),
        ([(0.88, 0.2), (0.90, 0.3)], 1),  # as good, and the loss was smaller before
        # It does not slip down step by step: measured from the highest, 0.90, not from the last one kept.
        ([(0.90, 0.3), (0.88, 0.2), (0.86, 0.1)], 2),
        ([(0.90, 0.3), (0.90, 0.3)], 1),  # the first of equals
        # A lucky early 100 % of 100 pictures (standard error 0.0098) does not hold for ever.
        ([(1.0, 0.2), (0.99, 0.15)], 1),
        ([(1.0, 0.2), (1.0, 0.15)], 2),
    ],
)
def test_the_epoch_that_is_kept(epochs, kept):
    assert best_epoch(history(*epochs)).epoch == kept


def test_more_pictures_tell_smaller_differences_apart():
    epochs = [(0.90, 0.3), (0.88, 0.2)]
    assert best_epoch(history(*epochs, pictures=100)).epoch == 2
    assert best_epoch(history(*epochs, pictures=10_000)).epoch == 1
