"""Memory: a batch that is too large is halved aloud, and what a step has freed is kept while a run lasts."""

import contextlib
import json
import sys

import pytest
import torch

from convatlas.api import finish
from convatlas.api.train import plan_training, resume, train
from convatlas.engine import allocator, estimate, start
from convatlas.engine.in_parts import InParts
from convatlas.engine.no_memory import out_of_memory
from convatlas.engine.observer import Observer
from convatlas.engine.run import RunFolder
from convatlas.errors import OutOfMemoryError, TrainingError

pytestmark = pytest.mark.row("J-01")

RECIPE = {"epochs": 2, "batch_size": 8, "optimizer": "sgd", "lr": 0.01, "threads": 1, "workers": 0}
ERRORS = (
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: can't allocate memory: you tried to ..."),
)


class Hears(Observer):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.batches: list[tuple[int, int]] = []

    def halved(self, plan, said):
        self.said.append(said)

    def batch_done(self, epoch, batch, batches, images):
        self.batches.append((epoch, batch))


def holds(monkeypatch, most: int, *, error: Exception, after: int = 0, module=start) -> None:
    """Every network holds `most` pictures in a step of training, but for the first `after` steps of all."""
    steps = 0
    create = module.create_model

    def look(network, inputs):
        nonlocal steps
        if network.training:
            steps += 1
            if steps > after and len(inputs[0]) > most:
                raise error

    def limited(name, **changes):
        network = create(name, **changes)
        network.register_forward_pre_hook(look)
        return network

    monkeypatch.setattr(module, "create_model", limited)


def answers_hold(monkeypatch, most: int, *, error: Exception, module=start) -> None:
    """Every network holds `most` pictures when it does not train."""
    create = module.create_model

    def look(network, inputs):
        if not network.training and len(inputs[0]) > most:
            raise error

    def limited(name, **changes):
        network = create(name, **changes)
        network.register_forward_pre_hook(look)
        return network

    monkeypatch.setattr(module, "create_model", limited)


def run(photos, out, observer, model="lenet5_modern", **changes):
    return train(
        photos, model=model, strategy="scratch", recipe="photographs", size=32, out=out, device="cpu",
        changes={**RECIPE, **changes}, export=False, observer=observer,
    )  # fmt: skip


@pytest.fixture
def pictures(photos):
    return photos(count=20)


def weights(path) -> dict[str, torch.Tensor]:
    from convatlas.engine.checkpoint import load_checkpoint

    return dict(load_checkpoint(RunFolder(path).last).network)


@pytest.mark.parametrize("error", ERRORS, ids=["python", "cuda", "processor"])
def test_a_batch_too_large_is_halved_aloud_and_the_run_is_that_of_the_smaller_one(
    pictures, tmp_path, monkeypatch, error
):
    with monkeypatch.context() as patch:
        holds(patch, 5, error=error)
        heard = Hears()
        result = run(pictures, tmp_path / "halved", heard)
    assert (result.plan.recipe.batch_size, result.plan.recipe.accumulate) == (4, 2)
    assert result.plan.origins["batch_size"] == result.plan.origins["accumulate"] == "halved: memory"
    assert json.loads((tmp_path / "halved" / "run.json").read_text("utf-8"))["plan"] == json.loads(
        json.dumps(result.plan.to_dict())
    )
    (said,) = heard.said
    assert "a batch of 8 pictures does not fit into memory" in said
    assert "batch_size=4 and accumulate=2, 8 pictures a step" in said
    assert "BatchNorm sees 4" in said
    assert said in result.notes
    run(pictures, tmp_path / "small", Hears(), batch_size=4, accumulate=2)
    for name, value in weights(tmp_path / "small").items():
        assert torch.equal(weights(tmp_path / "halved")[name], value)


def test_without_an_observer_it_is_a_warning_and_twice_is_a_quarter(pictures, tmp_path, monkeypatch):
    holds(monkeypatch, 2, error=MemoryError())
    with pytest.warns(UserWarning, match="does not fit into memory") as warned:
        result = run(pictures, tmp_path / "run", None)
    assert (result.plan.recipe.batch_size, result.plan.recipe.accumulate) == (2, 4)
    assert len([each for each in warned if "fit into memory" in str(each.message)]) == 2


def test_later_the_run_goes_on_from_its_last_epoch_and_can_still_be_resumed(pictures, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        holds(patch, 5, error=MemoryError(), after=6)  # in epoch 2: there are 42 training pictures
        heard = Hears()
        result = run(pictures, tmp_path / "run", heard)
    assert result.plan.recipe.batch_size == 4
    assert len(heard.said) == 1
    assert heard.batches.count((1, 1)) == 1  # epoch 1 was not done again
    assert result.epochs == 2
    again = resume(tmp_path / "run", export=False)
    assert again.plan.recipe == result.plan.recipe


def test_a_run_that_is_killed_after_the_halving_has_it_in_its_plan(pictures, tmp_path, monkeypatch):
    holds(monkeypatch, 5, error=MemoryError())
    noted = []

    class Looks(Hears):
        def batch_done(self, epoch, batch, batches, images):
            noted.append(RunFolder(tmp_path / "run").read()["plan"]["recipe"]["batch_size"])

    run(pictures, tmp_path / "run", Looks())
    assert set(noted) == {4}


def test_a_single_picture_that_does_not_fit_is_an_error_that_says_what_helps(pictures, tmp_path, monkeypatch):
    holds(monkeypatch, 0, error=MemoryError())
    with pytest.raises(TrainingError, match=r"one picture of 32 x 32 is more than .* smaller size"):
        run(pictures, tmp_path / "run", Hears(), batch_size=2)
    description = RunFolder(tmp_path / "run").read()
    assert (description["state"], description["plan"]["recipe"]["batch_size"]) == ("failed", 1)


@pytest.mark.parametrize("error", ERRORS, ids=["python", "cuda", "processor"])
def test_validation_that_does_not_fit_leaves_the_training_s_batch_alone(pictures, tmp_path, monkeypatch, error):
    run(pictures, tmp_path / "whole", Hears())
    answers_hold(monkeypatch, 3, error=error)
    heard = Hears()
    result = run(pictures, tmp_path / "parts", heard)
    assert (result.plan.recipe.batch_size, result.plan.recipe.accumulate) == (8, 1)
    assert heard.batches.count((1, 1)) == 1  # no epoch was done again
    assert [said.partition(";")[0] for said in heard.said] == [
        f"{what}: a batch of 9 pictures does not fit into memory, going on with 2 at a time"
        for what in ("validation", "measuring the trained network")
    ]
    assert result.notes == ()
    for name, value in weights(tmp_path / "whole").items():
        assert torch.equal(weights(tmp_path / "parts")[name], value)
    losses = [
        json.loads((tmp_path / name / "metrics.json").read_text("utf-8"))["val"]["loss"] for name in ("whole", "parts")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_validation_of_which_not_even_one_picture_fits_says_so(pictures, tmp_path, monkeypatch):
    answers_hold(monkeypatch, 0, error=MemoryError())
    with pytest.raises(OutOfMemoryError, match="validation: not even one picture of 3 x 32 x 32 fits into memory"):
        run(pictures, tmp_path / "run", Hears())


def test_features_of_a_batch_that_does_not_fit_are_computed_in_parts(pictures, tmp_path, monkeypatch):
    changes = {"epochs": 1, "threads": 1, "workers": 0}
    run(pictures, tmp_path / "known", Hears(), epochs=1)

    def transfer(out, heard):
        return train(
            pictures, strategy="transfer", weights=tmp_path / "known", out=tmp_path / out, device="cpu",
            changes=changes, export=False, observer=heard,
        )  # fmt: skip

    transfer("whole", Hears())
    answers_hold(monkeypatch, 5, error=torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    heard = Hears()
    transfer("parts", heard)
    assert heard.said[0].startswith(
        "computing features: a batch of 16 pictures does not fit into memory, going on with 4"
    )
    for name, value in weights(tmp_path / "whole").items():
        torch.testing.assert_close(weights(tmp_path / "parts")[name], value, rtol=1e-4, atol=1e-6)


def test_memory_that_ends_after_the_training_is_an_error_of_ours(pictures, tmp_path, monkeypatch):
    def no_memory(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore")

    monkeypatch.setattr(finish, "answer_all", no_memory)
    with pytest.raises(OutOfMemoryError, match=r"measuring .* does not fit into memory \(CUDA .* 2\.00 GiB\)"):
        run(pictures, tmp_path / "run", Hears(), epochs=1)


def test_a_network_that_cannot_be_brought_to_its_device_is_an_error_of_ours(pictures, tmp_path, monkeypatch):
    def no_memory(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("convatlas.engine.train.start_session", no_memory)
    with pytest.raises(OutOfMemoryError, match="training of lenet5_modern does not fit into memory"):
        run(pictures, tmp_path / "run", Hears())


def test_another_error_of_an_answer_in_parts_is_passed_on():
    def broken(pixels):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        InParts(broken, what="validation", say=print)(torch.zeros(4, 1))


def test_once_a_batch_did_not_fit_later_ones_are_small_from_the_start():
    seen, said = [], []

    def answer(pictures):
        seen.append(len(pictures))
        if len(pictures) > 2:
            raise MemoryError
        return 2 * pictures

    in_parts = InParts(answer, what="validation", say=said.append)
    pictures = torch.arange(7.0)[:, None]
    for _ in range(2):
        assert torch.equal(in_parts(pictures), 2 * pictures)
    assert seen == [7, 3, 1, 1, 1, 1, 1, 1, 1] + 7 * [1]
    assert len(said) == 1


def test_another_error_is_none_of_memory(pictures, tmp_path, monkeypatch):
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not out_of_memory(KeyError("memory"))
    holds(monkeypatch, 5, error=RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        run(pictures, tmp_path / "run", Hears())


def test_a_batch_larger_than_the_set_is_halved_from_the_set(pictures, tmp_path, monkeypatch):
    holds(monkeypatch, 11, error=MemoryError())
    heard = Hears()
    result = run(pictures, tmp_path / "run", heard, batch_size=64)
    assert (result.plan.recipe.batch_size, result.plan.recipe.accumulate) == (11, 4)
    first, second = heard.said  # there are 42 training pictures
    assert "a batch of 42 pictures does not fit" in first
    assert "batch_size=21 and accumulate=2, 42 pictures a step of the optimiser as before" in first
    assert "batch_size=11 and accumulate=4, 42 pictures a step of the optimiser as before" in second


@pytest.mark.parametrize("count", [4, 5])
def test_a_batch_norm_gets_two_pictures_at_least(photos, tmp_path, monkeypatch, count):
    holds(monkeypatch, 1, error=MemoryError())
    with pytest.raises(TrainingError, match=r"2 pictures of 32 x 32 are more .* BatchNorm learns from no fewer"):
        run(photos(count=count), tmp_path / "run", Hears(), model="mobilenet_v2", batch_size=3, epochs=1)
    assert RunFolder(tmp_path / "run").read()["plan"]["recipe"]["batch_size"] == 2


def test_a_batch_norm_that_was_given_one_picture_says_what_it_needs(photos, tmp_path):
    with pytest.raises(TrainingError, match="cannot learn from one picture of 32 x 32: batch_size must be 2 or more"):
        run(photos(count=4), tmp_path / "run", Hears(), model="mobilenet_v2", batch_size=1, epochs=1)


def plan_of(photos, **changes):
    return plan_training(
        photos, model="lenet5_modern", strategy="scratch", recipe="photographs", size=32, device="cpu",
        changes={**RECIPE, **changes},
    )  # fmt: skip


def test_the_plan_halves_a_batch_that_does_not_fit_aloud_as_the_training_would(pictures, tmp_path, monkeypatch):
    before, _ = plan_of(pictures)
    holds(monkeypatch, 5, error=MemoryError(), module=estimate)
    with pytest.warns(UserWarning, match="a batch of 8 pictures does not fit into memory"):
        plan, cost = plan_of(pictures)
    assert (plan.recipe.batch_size, plan.recipe.accumulate) == (4, 2)
    assert plan.origins["batch_size"] == "halved: memory"
    assert cost.steps == 2 * 11  # 42 pictures in batches of 4, in two epochs
    assert before.recipe.lr == plan.recipe.lr


def test_the_plan_of_a_training_that_fits_in_no_batch_is_an_error_in_words(pictures, monkeypatch):
    holds(monkeypatch, 0, error=MemoryError(), module=estimate)
    with (
        pytest.warns(UserWarning, match="does not fit"),
        pytest.raises(TrainingError, match="one picture of 32 x 32 is more than the memory holds"),
    ):
        plan_of(pictures, batch_size=2)


def test_the_plan_of_a_transfer_runs_the_network_in_parts(pictures, tmp_path, monkeypatch):
    run(pictures, tmp_path / "known", Hears(), epochs=1)
    wishes = {"strategy": "transfer", "weights": tmp_path / "known", "changes": {"batch_size": 8, "threads": 1}}
    answers_hold(monkeypatch, 5, error=MemoryError(), module=estimate)
    with pytest.warns(UserWarning, match="the estimate: a batch of 8 pictures does not fit into memory"):
        plan, _ = plan_training(pictures, device="cpu", **wishes)
    assert (plan.recipe.batch_size, plan.recipe.accumulate) == (8, 1)


@pytest.mark.parametrize(
    "said",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "MPS backend out of memory (MPS allocated: 8.00 GB)",
        "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes",
        "could not create a memory object",
        "could not create a primitive",
        "std::bad_alloc",
    ],
)
def test_memory_that_runs_out_is_known_by_its_words(said):
    assert out_of_memory(RuntimeError(said))


@pytest.mark.parametrize(
    "said",
    [
        "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED.",
        "could not create a primitive descriptor for a convolution forward propagation primitive",
    ],
)
def test_an_operation_that_is_not_supported_is_none_of_memory(said):
    assert not out_of_memory(RuntimeError(said))


def test_an_odd_batch_says_what_a_step_sees_now(pictures, tmp_path, monkeypatch):
    holds(monkeypatch, 5, error=MemoryError())
    heard = Hears()
    result = run(pictures, tmp_path / "run", heard, batch_size=9)
    assert (result.plan.recipe.batch_size, result.plan.recipe.accumulate) == (5, 2)
    assert "10 pictures a step of the optimiser where it was 9" in heard.said[0]


def test_a_run_keeps_its_memory_from_the_first_step_to_the_last(pictures, tmp_path, monkeypatch):
    seen = []

    @contextlib.contextmanager
    def watched():
        seen.append("begin")
        yield
        seen.append("end")

    class Steps(Hears):
        def batch_done(self, epoch, batch, batches, images):
            seen.append("step")

    monkeypatch.setattr(start, "freed_memory_kept", watched)
    run(pictures, tmp_path / "run", Steps(), epochs=1)
    assert (seen[0], set(seen[1:-1]), seen[-1]) == ("begin", {"step"}, "end")


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_freed_memory_is_kept_during_a_run_and_given_back_after_it(monkeypatch):
    calls = []

    class Libc:
        def mallopt(self, *values):
            calls.append(values)

        def malloc_trim(self, pad):
            calls.append(("trim", pad))

    monkeypatch.setattr("ctypes.CDLL", lambda name: Libc())
    with pytest.raises(KeyError), allocator.freed_memory_kept():
        assert calls == [(-3, 32 << 20), (-1, 2**31 - 1)]
        raise KeyError
    assert calls[2:] == [(-1, 64 << 20), ("trim", 0)]


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    with allocator.freed_memory_kept():
        pass
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr("ctypes.CDLL", None)  # would fail if it were called
    with allocator.freed_memory_kept():
        pass
