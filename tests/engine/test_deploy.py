from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convatlas.data.preprocess import Preprocess
from convatlas.engine.bundle import read_tensors, write_bundle
from convatlas.engine.deploy import Deployed, load_deployed
from convatlas.errors import BundleError
from convatlas.layers.normalize import Normalize
from convatlas.models import create_model
from tests.engine.bundles import corners

Tensors = dict[str, NDArray[np.generic]]
LENET = {
    "classes": tuple("0123456789"),
    "changes": {"num_classes": 10},
    "preprocess": Preprocess(channels=1, height=32, width=32),
}


def write_lenet(folder: Path, name: str = "lenet5_modern") -> nn.Module:
    torch.manual_seed(0)
    network = create_model(name)
    changes = {"num_classes": 10} if name == "lenet5_modern" else {}
    write_bundle(folder, corners(**(LENET | {"model": name, "changes": changes})), tensors_of(network))
    return network.eval()


def tensors_of(network: nn.Module) -> Tensors:
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def test_pixels_are_normalised_then_seen_then_decoded() -> None:
    network = nn.Flatten()
    deployed = Deployed(Normalize((0.5, 0.0), (0.25, 2.0)), network, lambda output: -output)
    pixels = torch.tensor([[[[255, 0]], [[51, 255]]]], dtype=torch.uint8)  # two channels of 1 x 2
    # (1 - 0.5) / 0.25, (0 - 0.5) / 0.25, (0.2 - 0) / 2, (1 - 0) / 2, then decoded as the negative
    torch.testing.assert_close(deployed(pixels), torch.tensor([[-2.0, 2.0, -0.1, -0.5]]))


def test_a_bundle_gives_the_network_that_was_written(tmp_path: Path) -> None:
    network = write_lenet(tmp_path / "b")
    pixels = torch.randint(0, 256, (3, 1, 32, 32), dtype=torch.uint8)
    bundle, deployed = load_deployed(tmp_path / "b")
    with torch.no_grad():
        expected = network((pixels.float() / 255 - 0.1) / 0.25)
        torch.testing.assert_close(deployed(pixels), expected)
    assert bundle.model == "lenet5_modern"
    assert not any(module.training for module in deployed.modules())


def test_penalties_of_the_original_lenet_become_logits(tmp_path: Path) -> None:
    network = write_lenet(tmp_path / "b", "lenet5")
    pixels = torch.randint(0, 256, (3, 1, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        penalties: Tensor = network((pixels.float() / 255 - 0.1) / 0.25)
        logits = load_deployed(tmp_path / "b")[1](pixels)
    torch.testing.assert_close(logits, -penalties)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda tensors, key: tensors.pop(key), "{key} is missing"),
        (lambda tensors, key: tensors.update(extra=tensors[key]), "extra is unknown"),
        (lambda tensors, key: tensors.update({key: np.zeros((2, 7), np.float32)}), r"{key} has shape \(2, 7\) where"),
        (lambda tensors, _key: tensors.clear(), "is missing.* and 5 more"),
    ],
    ids=["missing", "unknown", "shape", "many"],
)
def test_tensors_that_do_not_fit_are_named(
    tmp_path: Path, change: Callable[[Tensors, str], object], named: str
) -> None:
    write_lenet(tmp_path / "b")
    tensors = read_tensors(tmp_path / "b")
    assert len(tensors) == 10
    key = next(iter(tensors))
    change(tensors, key)
    write_bundle(tmp_path / "b", corners(**LENET), tensors)
    with pytest.raises(BundleError, match="does not fit its network: .*" + named.replace("{key}", key)):
        load_deployed(tmp_path / "b")


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "lenet6"},
        {"changes": {"num_classes": 10, "colour": 1}},
        {"changes": {"num_classes": 10, "name": "lenet5"}},
    ],
    ids=["model", "option", "clash"],
)
def test_a_network_that_cannot_be_built_is_named(tmp_path: Path, changes: dict[str, object]) -> None:
    write_bundle(tmp_path / "b", corners(**(LENET | changes)), {})
    with pytest.raises(BundleError, match=r"network \"\w+\" cannot be built"):
        load_deployed(tmp_path / "b")
