"""What training shows while it goes on: a bar on a terminal, few plain lines in a pipe."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from convatlas.cli import progress as module
from convatlas.cli.progress import PIPE_INTERVAL, TrainingProgress
from convatlas.engine.run import RunFolder
from convatlas.engine.strategy import Start
from convatlas.types import EpochRow
from tests.cli.terminal import fake_terminal


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def plan(epochs: int, task: str = "classify") -> Any:
    """As much of a plan as is told."""
    return SimpleNamespace(
        model="lenet5",
        data="/somewhere/photos",
        classes=("cat", "dog"),
        task=task,
        recipe=SimpleNamespace(epochs=epochs),
        recipe_name="handwriting",
        start=Start(strategy="scratch", reason="no weights of lenet5 are published"),
        origins={"recipe": "auto: made for digits", "model": "you"},
    )


def splits(*, test: int | None = None, warnings: tuple[str, ...] = ()) -> Any:
    of_test = None if test is None else range(test)
    return SimpleNamespace(train=range(1200), val=range(20), test=of_test, warnings=warnings)


def row(epoch: int) -> EpochRow:
    return EpochRow(
        epoch=epoch,
        learning_rate=0.1,
        train_loss=0.5,
        val_loss=0.25,
        val_score=0.9,
        val_loss_error=0.01,
        seconds=2.0,
        images_per_second=1234.5,
    )


RUN = RunFolder(Path("runs") / "x")
EPOCH_2 = "epoch   2/3  loss 0.5000  validation loss 0.2500  top-1 90.00%  1,234 images/s"


def test_what_is_planned_is_said_first(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    shown = TrainingProgress()
    assert shown.run is None
    shown.planned(plan(3), RUN, splits(test=30, warnings=("2 pictures are in more than one part",)))
    assert shown.run == RUN
    assert capsys.readouterr() == (
        "",
        "lenet5 on photos: 2 classes, 1,200 training, 20 validation, 30 test pictures\n"
        "strategy scratch: no weights of lenet5 are published\n"
        f"recipe handwriting (made for digits); run in {RUN.path}\n"
        "warning: 2 pictures are in more than one part\n",
    )
    shown.planned(plan(3), RUN, splits())
    assert "1,200 training, 20 validation pictures\n" in capsys.readouterr().err


def test_a_pipe_gets_a_line_now_and_then_and_the_last(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    shown = TrainingProgress()
    shown.planned(plan(3), RUN, splits())
    capsys.readouterr()
    shown.reading(5, 10)
    shown.batch_done(1, 1, 2, 8)
    shown.epoch_done(row(1), best=True)
    assert capsys.readouterr() == ("", ""), "too soon for a line"
    clock.now += PIPE_INTERVAL
    shown.epoch_done(row(2), best=False)
    assert capsys.readouterr() == ("", EPOCH_2 + "\n")
    shown.epoch_done(row(3), best=True)
    shown.stop()
    assert capsys.readouterr() == ("", EPOCH_2.replace("  2/3", "  3/3") + "  kept\n")


def test_a_terminal_gets_a_line_for_each_epoch(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = fake_terminal(monkeypatch, "stderr", 100)
    shown = TrainingProgress()
    shown.planned(plan(3), RUN, splits())
    for epoch in (1, 2, 3):
        shown.epoch_done(row(epoch), best=epoch == 2)
    shown.stop()
    written = stderr.getvalue()
    for epoch in (1, 2, 3):
        assert EPOCH_2.replace("  2/3", f"  {epoch}/3") in written
    assert written.count("  kept") == 1


def test_the_bar_tells_what_is_done_and_how_fast(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = fake_terminal(monkeypatch, "stderr", 100)
    shown = TrainingProgress()
    shown.planned(plan(4), RUN, splits())
    shown.reading(600, 1220)
    shown._bar.refresh()  # what its own thread does ten times a second
    assert "reading" in stderr.getvalue()
    assert "600 pictures" in stderr.getvalue()
    shown.batch_done(2, 1, 10, 32)
    clock.now += 0.5
    shown.batch_done(2, 5, 10, 160)
    shown.stop()
    written = stderr.getvalue()
    assert "epoch 2/4" in written
    assert "320 images/s" in written  # 160 pictures in half a second
    assert "left" in written


def test_a_download_has_a_bar(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = fake_terminal(monkeypatch, "stderr", 100)
    shown = TrainingProgress()
    shown.fetching(3_500_000, 14_000_000)
    shown.stop()
    assert "published weights" in stderr.getvalue()
    assert "3.5/14.0 MB" in stderr.getvalue()
    shown.planned(plan(3), RUN, splits())
    shown.stop()


def test_the_bar_goes_away_and_stopping_twice_does_no_harm(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = fake_terminal(monkeypatch, "stderr", 100)
    TrainingProgress().stop()
    shown = TrainingProgress()
    shown.planned(plan(4), RUN, splits())
    shown.stop()
    assert stderr.getvalue().endswith("\x1b[2K"), "the line of the bar is erased"
    shown.stop()


def test_several_labels_are_scored_by_map(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    shown = TrainingProgress()
    shown.planned(plan(1, "multilabel"), RUN, splits())
    shown.epoch_done(row(1), best=False)
    assert "  mAP 90.00%  " in capsys.readouterr().err
