"""`field` and `draw_fields`: any network, a bundle with its own weights, and what cannot be drawn."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from convatlas.api.draw_fields import draw_fields
from convatlas.api.field import field
from convatlas.arithmetic.field.effective import effective_receptive_field
from convatlas.data.preprocess import Preprocess
from convatlas.engine.bundle import write_bundle
from convatlas.errors import UsageError
from convatlas.models import create_model
from tests.engine.bundles import corners

pytestmark = pytest.mark.row("A-05")


def test_a_network_of_ones_own() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
    report = field(network, image=(3, 8, 8), effective=True, visits=True, count=1)
    assert report.network == "Sequential"
    first, second = report.layers
    assert first.box == (3, 3, 3, 3)
    assert first.effective is not None
    assert first.visits is not None
    assert first.visits[0].tolist() == [1, 2, 3, 3, 3, 3, 2, 1]
    assert (second.box, second.effective, second.visits) == (None, None, None)


def test_a_bundle_is_measured_with_its_own_weights(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = create_model("lenet5_modern", num_classes=3, in_channels=1)
    bundle = corners(preprocess=Preprocess(channels=1, height=32, width=32))
    write_bundle(tmp_path / "bundle", bundle, {name: value.numpy() for name, value in network.state_dict().items()})
    report = field(tmp_path / "bundle", effective=True, count=2)
    assert report.image == (1, 32, 32)
    for layer in report.layers:
        assert layer.effective is not None
        own = effective_receptive_field(network, layer.computed.layer, (1, 32, 32), count=2)
        assert np.array_equal(layer.effective.influence, own.influence)


def test_the_chance_of_the_process_is_not_touched() -> None:
    before = torch.get_rng_state()
    field("lenet5_modern", effective=True, count=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    dense = field(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), image=(3, 2, 2))
    with pytest.raises(UsageError, match="none of them gives a map"):
        draw_fields(dense, tmp_path / "none.png")
    many = field(nn.Sequential(*(nn.ReLU() for _ in range(50))), image=(1, 4, 4))
    with pytest.raises(UsageError, match="50 are too many for one picture; name at most 40"):
        draw_fields(many, tmp_path / "many.png")
    with pytest.raises(UsageError, match="out: expected a name that ends in"):
        draw_fields(dense, tmp_path / "none.jpg")
    with pytest.raises(UsageError, match="weights: only what is measured"):
        field(nn.ReLU(), image=(1, 4, 4), weights="default")
    assert list(tmp_path.iterdir()) == []
