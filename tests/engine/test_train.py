"""The training loop: it learns, it resumes exactly, it stops with words, and its arithmetic is the plain loop's."""

import contextlib
import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from convatlas.data.loader import Readable, read_all
from convatlas.data.picture_set import ArrayReader, DataSplits, PictureSet
from convatlas.data.source import open_data
from convatlas.engine.checkpoint import load_checkpoint, save_checkpoint
from convatlas.engine.observer import Observer
from convatlas.engine.plan import Plan, Wishes, make_plan
from convatlas.engine.run import RunFolder
from convatlas.engine.session import _workers, plan_statistics, start_session
from convatlas.engine.start import initial_network, start_training
from convatlas.engine.train import Trained, _check_finite, _Step
from convatlas.errors import CheckpointError, DataError, PictureError, TrainingError, UsageError
from convatlas.layers.normalize import Normalize
from convatlas.models import create_model
from convatlas.recipes.recipe import change
from convatlas.tasks.make import make_task
from convatlas.types import best_epoch, last_gain

pytestmark = pytest.mark.row("F-04")

PLAIN = {
    "epochs": 2, "batch_size": 16, "optimizer": "sgd", "lr": 0.01, "momentum": 0.0, "weight_decay": 0.0,
    "schedule": "constant", "warmup_epochs": 0.0, "rotate": 0.0, "translate": 0.0, "scale": 0.0, "shear": 0.0,
    "elastic": 0.0, "ema_decay": 0.0, "threads": 1, "deterministic": True, "clip_norm": None,
}  # fmt: skip


def some_digits(digits: PictureSet, train: int = 64, val: int = 32) -> DataSplits:
    order = np.random.default_rng(0).permutation(len(digits))
    return DataSplits(
        train=digits.take(order[:train]), val=digits.take(order[train : train + val]), test=None, how="for a test"
    )


def run_plan(plan: Plan, splits: DataSplits, run: RunFolder, **options) -> Trained:
    task = make_task(plan.task, plan.model, plan.classes, label_smoothing=plan.recipe.label_smoothing)
    train, val = (read_all(part, plan.preprocess) for part in (splits.train, splits.val))
    return start_training(plan, task, train, val, run, **{"observer": Observer(), **options})


def planned(splits: DataSplits, model: str = "lenet5_modern", **changes) -> Plan:
    return make_plan(
        splits,
        Wishes(model=model, recipe="handwriting", changes={**PLAIN, **changes}, device="cpu", val=0.15, test=0.15),
    )


def last_weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_checkpoint(RunFolder(path).last).network)


def weights(trained: Trained) -> dict[str, torch.Tensor]:
    return trained.deployed.network.state_dict()


@pytest.mark.row("B-01")
@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("lenet5_modern", {"lr": 0.003, "optimizer": "adamw"}),
        ("lenet5", {"lr": 0.004, "momentum": 0.9, "mean": (0.0784,), "std": (0.7843,), "batch_size": 8}),
    ],
)
def test_it_learns_64_digits_by_heart(digits, tmp_path, model, changes):
    splits = some_digits(digits)
    splits = dataclasses.replace(splits, val=splits.train)
    trained = run_plan(planned(splits, model, epochs=40, **changes), splits, RunFolder(tmp_path))
    assert trained.history[trained.best_epoch - 1].val_score == 1.0
    assert trained.history[-1].train_loss < trained.history[0].train_loss / 4


def test_the_loop_takes_the_steps_of_a_plain_loop(digits, tmp_path):
    splits = some_digits(digits, train=32)
    plan = planned(splits, epochs=3, batch_size=32, lr=0.05, weight_decay=0.1)
    trained = run_plan(plan, splits, RunFolder(tmp_path))

    torch.manual_seed(plan.recipe.seed * 1_000_003)
    network = create_model(plan.model, **plan.changes)
    readable = read_all(splits.train, plan.preprocess)
    pixels = torch.from_numpy(readable.kept).float() / 255
    images = (pixels - plan.recipe.mean[0]) / plan.recipe.std[0]
    labels = torch.from_numpy(splits.train.targets)
    losses = []
    for _ in range(3):  # one batch of all: its order does not matter
        loss = F.cross_entropy(network(images), labels)
        losses.append(loss.item())
        network.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in network.parameters():
                decay = 0.1 if parameter.dim() > 1 else 0.0
                parameter.sub_(0.05 * (parameter.grad + decay * parameter))
    assert [row.train_loss for row in trained.history] == pytest.approx(losses, rel=1e-4)
    last = last_weights(tmp_path)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(last[name], value, rtol=1e-3, atol=1e-5)


def test_accumulating_two_batches_is_one_of_twice_the_size(digits, tmp_path):
    splits = some_digits(digits, train=32)
    whole = run_plan(planned(splits, batch_size=32, epochs=2, lr=0.05), splits, RunFolder(tmp_path / "whole"))
    halves = run_plan(
        planned(splits, batch_size=16, accumulate=2, epochs=2, lr=0.05), splits, RunFolder(tmp_path / "halves")
    )
    assert len(whole.history) == len(halves.history) == 2
    for name, value in last_weights(tmp_path / "whole").items():
        torch.testing.assert_close(last_weights(tmp_path / "halves")[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.row("J-01")
@pytest.mark.parametrize(
    ("pictures", "whole", "parts", "accumulate"),
    [
        (20, 64, 10, 2),  # one step of all pictures
        (20, 64, 8, 4),  # whose batches are 8, 8 and 4, one fewer than are added up
        (20, 8, 4, 2),  # the last step has one batch of 4 alone
        (26, 8, 4, 2),  # and here one of 2
        (22, 12, 6, 2),  # here one of 6 and one of 4
    ],
)
def test_steps_of_smaller_batches_are_those_of_the_whole_one(digits, tmp_path, pictures, whole, parts, accumulate):
    splits = some_digits(digits, train=pictures)
    plain = {"epochs": 2, "lr": 0.05}
    run_plan(planned(splits, batch_size=whole, **plain), splits, RunFolder(tmp_path / "whole"))
    run_plan(planned(splits, batch_size=parts, accumulate=accumulate, **plain), splits, RunFolder(tmp_path / "parts"))
    for name, value in last_weights(tmp_path / "whole").items():
        torch.testing.assert_close(last_weights(tmp_path / "parts")[name], value, rtol=1e-4, atol=1e-6)


class StopsAfter(Observer):
    """Ends the run the way Ctrl-C does, in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def batch_done(self, epoch, batch, batches, images):
        if epoch == self.epoch and batch == 2:
            raise KeyboardInterrupt


@pytest.mark.row("J-01")
@pytest.mark.parametrize("stops", [0, 2], ids=["whole", "stopped"])
def test_the_events_for_tensorboard_are_closed_however_a_run_ends(digits, tmp_path, monkeypatch, stops):
    done = []

    class Events:
        def __init__(self, folder):
            done.append("opened")

        def add(self, row):
            done.append(row.epoch)

        def close(self):
            done.append("closed")

    monkeypatch.setattr("convatlas.engine.train.TensorBoard", Events)
    splits = some_digits(digits)
    with contextlib.suppress(KeyboardInterrupt):
        run_plan(planned(splits), splits, RunFolder(tmp_path), tensorboard=True, observer=StopsAfter(epoch=stops))
    assert done == ["opened", 1, *([] if stops else [2]), "closed"]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_resumed_run_ends_as_if_it_had_not_stopped(digits, tmp_path, optimizer):
    splits = some_digits(digits)
    changes = {
        "epochs": 5, "optimizer": optimizer, "momentum": 0.9, "schedule": "one-cycle", "warmup_epochs": 2.0,
        "ema_decay": 0.9, "rotate": 10.0, "elastic": 1.0, "mixup": 0.2,
    }  # fmt: skip
    plan = planned(splits, **changes)
    straight = run_plan(plan, splits, RunFolder(tmp_path / "straight"))
    run = RunFolder(tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, splits, run, observer=StopsAfter(epoch=3))
    assert len(run.log.read_text(encoding="utf-8").splitlines()) == 1 + 2
    resumed = run_plan(plan, splits, run, resume=True)

    def without_time(trained):
        return [dataclasses.replace(row, seconds=0, images_per_second=0) for row in trained.history]

    assert without_time(resumed) == without_time(straight)
    assert all(torch.equal(weights(resumed)[name], value) for name, value in weights(straight).items())
    assert len(run.log.read_text(encoding="utf-8").splitlines()) == 1 + 5


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_resumed_run_in_channels_last_ends_as_if_it_had_not_stopped(digits, tmp_path, optimizer):
    splits = some_digits(digits)
    plan = planned(splits, epochs=4, optimizer=optimizer, lr=0.003, momentum=0.9, channels_last=True)
    straight = run_plan(plan, splits, RunFolder(tmp_path / "straight"))
    run = RunFolder(tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, splits, run, observer=StopsAfter(epoch=3))
    resumed = run_plan(plan, splits, run, resume=True)
    assert [row.train_loss for row in resumed.history] == [row.train_loss for row in straight.history]
    assert all(torch.equal(weights(resumed)[name], value) for name, value in weights(straight).items())


def test_a_run_that_began_with_the_plain_optimiser_goes_on_with_it(digits, tmp_path, monkeypatch):
    splits = some_digits(digits)
    plan = planned(splits, epochs=4, optimizer="adamw", lr=0.003)
    with monkeypatch.context() as patch:
        patch.setattr("convatlas.engine.optimizer.FUSED_ON", ())  # as it was before there were fused ones
        straight = run_plan(plan, splits, RunFolder(tmp_path / "straight"))
        run = RunFolder(tmp_path / "stopped")
        with pytest.raises(KeyboardInterrupt):
            run_plan(plan, splits, run, observer=StopsAfter(epoch=3))
    resumed = run_plan(plan, splits, run, resume=True)
    assert all(torch.equal(weights(resumed)[name], value) for name, value in weights(straight).items())


def test_a_resumed_run_with_workers_ends_as_if_it_had_not_stopped(digits, tmp_path):
    splits = some_digits(digits)
    plan = planned(splits, epochs=4, optimizer="adamw", lr=0.003, crop_area=0.5, workers=1)
    straight = run_plan(plan, splits, RunFolder(tmp_path / "straight"))
    run = RunFolder(tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, splits, run, observer=StopsAfter(epoch=3))
    resumed = run_plan(plan, splits, run, resume=True)
    assert [row.train_loss for row in resumed.history] == [row.train_loss for row in straight.history]
    assert all(torch.equal(weights(resumed)[name], value) for name, value in weights(straight).items())


def test_a_run_killed_between_its_two_checkpoints_can_be_resumed(digits, tmp_path, monkeypatch):
    splits = some_digits(digits)
    plan = planned(splits, epochs=3, lr=0.003, optimizer="adamw")
    straight = run_plan(plan, splits, RunFolder(tmp_path / "straight"))
    run, saved = RunFolder(tmp_path / "killed"), []

    def dies_after_the_first_of_epoch_1(target, checkpoint):
        saved.append(target.name)
        save_checkpoint(target, checkpoint)
        if saved == ["last.safetensors", "best.safetensors"]:
            raise KeyboardInterrupt

    monkeypatch.setattr("convatlas.engine.train.save_checkpoint", dies_after_the_first_of_epoch_1)
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, splits, run)
    monkeypatch.undo()
    resumed = run_plan(plan, splits, run, resume=True)
    assert [row.val_loss for row in resumed.history] == [row.val_loss for row in straight.history]


def test_a_picture_that_vanishes_is_named_with_and_without_workers(photos, tmp_path):
    root = photos(count=8)
    splits = open_data(root)
    plan = planned(splits, model="lenet5_modern", batch_size=4, mean=(0.5,) * 3, std=(0.5,) * 3)
    for workers in (0, 1):
        train, val = (read_all(part, plan.preprocess, cache_bytes=0) for part in (splits.train, splits.val))
        first = splits.train.names[0]
        content = (root / first).read_bytes()
        (root / first).unlink()
        task = make_task(plan.task, plan.model, plan.classes)
        again = dataclasses.replace(plan, recipe=change(plan.recipe, {"workers": workers}))
        with pytest.raises(DataError, match=Path(first).name) as caught:
            start_training(again, task, train, val, RunFolder(tmp_path / str(workers)), observer=Observer())
        assert "Traceback" not in str(caught.value)
        (root / first).write_bytes(content)


def test_the_moving_average_follows_its_formula(digits, tmp_path):
    splits = some_digits(digits, train=32)
    plan = planned(splits, epochs=3, batch_size=32, lr=0.05, ema_decay=0.2)
    run = RunFolder(tmp_path)
    seen = []

    class Keeps(Observer):
        def epoch_done(self, row, *, best):
            seen.append(load_checkpoint(run.last))

    run_plan(plan, splits, run, observer=Keeps())
    # One step an epoch. The first update copies; then decay min(0.2, (1 + n) / (10 + n)) after n updates.
    expected = dict(seen[0].network)
    for updates, checkpoint in enumerate(seen[1:], start=1):
        decay = min(0.2, (1 + updates) / (10 + updates))
        expected = {k: decay * expected[k] + (1 - decay) * v for k, v in checkpoint.network.items()}
    for name, value in expected.items():
        torch.testing.assert_close(seen[-1].average[f"module.{name}"], value, rtol=1e-5, atol=1e-7)


def test_the_moving_average_leaves_whole_numbers_as_they_are(digits, tmp_path):
    """LeNet-5 holds the indices of its links in a buffer; an average that rounds would rewire it."""
    splits = some_digits(digits)
    changes = {"lr": 0.002, "mean": (0.0784,), "std": (0.7843,), "ema_decay": 0.9, "epochs": 3}
    plan = planned(splits, "lenet5", **changes)
    train, val = (read_all(part, plan.preprocess) for part in (splits.train, splits.val))
    task = make_task(plan.task, plan.model, plan.classes)
    network, normalize = initial_network(plan), Normalize(*plan_statistics(plan))
    session = start_session(plan, task, network, normalize, train, val)
    links = session.network.c3[0].links.clone()
    for _ in range(50):
        session.average.update_parameters(session.network)
    assert torch.equal(session.average.module.c3[0].links, links)
    assert torch.equal(session.average.module.output.codes, session.network.output.codes)


def test_clipping_bounds_the_step(digits, tmp_path):
    splits = some_digits(digits, train=32)
    before = {}
    for clip in (None, 1e-3):
        plan = planned(splits, epochs=1, batch_size=32, lr=1.0, clip_norm=clip)
        run = RunFolder(tmp_path / str(clip))
        torch.manual_seed(plan.recipe.seed * 1_000_003)
        before = {name: p.detach().clone() for name, p in create_model(plan.model, **plan.changes).named_parameters()}
        run_plan(plan, splits, run)
        after = last_weights(run.path)
        length = math.sqrt(sum(float((after[name] - value).square().sum()) for name, value in before.items()))
        if clip is None:
            assert length > 0.1
        else:
            assert length == pytest.approx(1e-3, rel=1e-3)  # lr 1, no momentum: the step is the gradient


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"precision": "bfloat16"}, (torch.bfloat16, None)),
        ({"channels_last": True}, (torch.float32, torch.channels_last)),
        ({"channels_last": False}, (torch.float32, torch.contiguous_format)),
    ],
)
def test_precision_and_memory_format_reach_the_convolutions(digits, tmp_path, monkeypatch, changes, expected):
    splits = some_digits(digits, train=32)
    seen = []

    def look(module, _inputs, output):
        if module.training:
            seen.append(output.detach())

    def watched(name, **options):
        network = create_model(name, **options)
        network.c3[0].register_forward_hook(look)
        return network

    monkeypatch.setattr("convatlas.engine.start.create_model", watched)
    run_plan(planned(splits, epochs=1, **changes), splits, RunFolder(tmp_path))
    dtype, memory_format = expected
    assert seen and all(output.dtype == dtype for output in seen)
    assert memory_format is None or all(output.is_contiguous(memory_format=memory_format) for output in seen)


def test_the_same_seed_gives_the_same_numbers_and_another_does_not(digits, tmp_path):
    splits = some_digits(digits)
    histories = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        trained = run_plan(planned(splits, seed=seed, rotate=5.0), splits, RunFolder(tmp_path / name))
        histories.append([(row.train_loss, row.val_loss) for row in trained.history])
    assert histories[0] == histories[1] != histories[2]


def test_resuming_without_a_checkpoint_says_so(digits, tmp_path):
    splits = some_digits(digits)
    with pytest.raises(CheckpointError, match="is not a checkpoint that can be read"):
        run_plan(planned(splits), splits, RunFolder(tmp_path), resume=True)


def test_a_loss_that_is_not_finite_names_step_rate_and_pictures(digits, tmp_path):
    splits = some_digits(digits)
    with pytest.raises(TrainingError) as caught:
        run_plan(planned(splits, lr=1e30, epochs=3), splits, RunFolder(tmp_path))
    message = str(caught.value)
    assert "not finite at step 2 (epoch 1), learning rate 1e+30" in message
    assert "digits[" in message
    assert "last good checkpoint is kept in" in message
    kept = last_weights(tmp_path)
    assert all(torch.isfinite(value).all() for value in kept.values())


def test_of_losses_that_are_read_together_the_first_bad_one_is_named(digits):
    readable = read_all(some_digits(digits).train, planned(some_digits(digits)).preprocess)
    good, bad = torch.tensor([1.0, 2.0]), torch.tensor([1.0, math.inf])
    steps = [
        _Step(7 + number, 0.1 * number, values.mean(), {"cross_entropy": values}, torch.tensor([2 * number, 5]))
        for number, values in enumerate((good, bad, bad))
    ]
    _check_finite(steps[:1], readable, 2, RunFolder(Path("run")))
    with pytest.raises(TrainingError, match=r"at step 8 \(epoch 2\), learning rate 0\.1: ") as caught:
        _check_finite(steps, readable, 2, RunFolder(Path("run")))
    assert f"1 of 2 pictures ({readable.pictures.names[5]})" in str(caught.value)


def test_patience_ends_a_run_that_does_not_improve(digits, tmp_path):
    splits = some_digits(digits)
    trained = run_plan(planned(splits, lr=1e-12, epochs=20, patience=2), splits, RunFolder(tmp_path))
    assert trained.stopped_early
    assert len(trained.history) < 20
    assert len(trained.history) - last_gain(trained.history).epoch == 2


def test_the_best_checkpoint_is_the_one_that_comes_back(digits, tmp_path):
    splits = some_digits(digits)
    trained = run_plan(planned(splits, lr=0.003, optimizer="adamw", epochs=6), splits, RunFolder(tmp_path))
    best = best_epoch(trained.history)
    assert trained.best_epoch == best.epoch
    readable = read_all(splits.val, planned(splits).preprocess)
    logits = trained.deployed(torch.from_numpy(readable.kept))
    labels = torch.from_numpy(splits.val.targets)
    assert (logits.argmax(1) == labels).float().mean().item() == pytest.approx(best.val_score)
    assert F.cross_entropy(logits, labels).item() == pytest.approx(best.val_loss, rel=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"mixup": 0.4},
        {"cutmix": 1.0},
        {"mixup": 0.4, "cutmix": 1.0},
        {"label_smoothing": 0.1, "class_weights": "balanced"},
        {"precision": "bfloat16"},
        {"channels_last": True},
        {"auto_augment": "trivialaugment"},
        {"auto_augment": "randaugment", "workers": 1},
        {"crop_area": 0.5},
        {"optimizer": "rmsprop", "lr": 1e-3},
        {"clip_norm": 0.5},
        {"flip": True, "rotate": 9.0, "translate": 0.1, "scale": 0.2, "shear": 5.0, "elastic": 1.0},
    ],
    ids="+".join,
)
def test_each_option_trains(digits, tmp_path, changes):
    splits = some_digits(digits)
    options = {"epochs": 8, "optimizer": "adamw", "lr": 0.003, "deterministic": False, **changes}
    trained = run_plan(planned(splits, **options), splits, RunFolder(tmp_path))
    losses = [row.train_loss for row in trained.history]
    assert all(math.isfinite(loss) for loss in losses)
    assert min(losses[-3:]) < losses[0]


@pytest.mark.row("F-04")
def test_several_labels_a_picture_are_learned(tmp_path):
    random = np.random.default_rng(0)
    targets = random.integers(0, 2, (64, 3)).astype(np.uint8)
    array = np.zeros((64, 32, 32), dtype=np.uint8)
    for number, row in enumerate(targets):
        for k in np.flatnonzero(row):
            array[number, 10 * k : 10 * k + 8, 4:28] = 250
    pictures = PictureSet(
        origin="bars", classes=("top", "middle", "bottom"), names=tuple(f"bars[{i}]" for i in range(64)),
        targets=targets, read=ArrayReader(array),
    )  # fmt: skip
    splits = DataSplits(train=pictures, val=pictures, test=None, how="the same twice")
    plan = planned(splits, epochs=30, optimizer="adamw", lr=0.003)
    assert plan.task == "multilabel"
    trained = run_plan(plan, splits, RunFolder(tmp_path))
    assert trained.history[trained.best_epoch - 1].val_score > 0.999


@pytest.mark.parametrize(
    ("device", "at_hand", "changes", "expected"),
    [("cpu", False, {}, 0), ("cuda", False, {}, 3), ("cuda", True, {}, 0), ("cpu", False, {"workers": 2}, 2)],
)
def test_processes_read_pictures_where_the_processors_wait_for_a_gpu(digits, device, at_hand, changes, expected):
    plan = planned(some_digits(digits), **{"threads": 3, **changes})
    assert _workers(plan, torch.device(device), at_hand=at_hand) == expected


def test_devices_and_precisions_that_are_not_there_are_refused(digits, tmp_path):
    splits = some_digits(digits)
    plan = planned(splits)
    with pytest.raises(UsageError, match="unknown device 'gpu'"):
        run_plan(dataclasses.replace(plan, device="gpu"), splits, RunFolder(tmp_path))
    with pytest.raises(UsageError, match="float16 needs a GPU"):
        planned(splits, precision="float16")


def test_a_readable_part_is_left_when_some_pictures_are_not(digits):
    class Broken:
        def __call__(self, index):
            if index % 5 == 0:
                raise PictureError(f"p{index}", "truncated")
            return np.full((32, 32, 1), index, dtype=np.uint8)

    pictures = PictureSet(
        origin="broken", classes=("a", "b"), names=tuple(f"p{i}" for i in range(12)),
        targets=np.arange(12, dtype=np.int64) % 2, read=Broken(),
    )  # fmt: skip
    plan = planned(some_digits(digits))
    readable: Readable = read_all(pictures, plan.preprocess)
    assert [failure.source for failure in readable.failures] == ["p0", "p5", "p10"]
    assert [int(pixels[0, 16, 16]) for pixels in readable.kept] == [1, 2, 3, 4, 6, 7, 8, 9, 11]
    assert readable.pictures.names == tuple(f"p{i}" for i in (1, 2, 3, 4, 6, 7, 8, 9, 11))
    assert readable.pictures.targets.tolist() == [1, 0, 1, 0, 0, 1, 0, 1, 1]
