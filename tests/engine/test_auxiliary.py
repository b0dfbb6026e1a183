"""Auxiliary classifiers serve training alone: they learn with the classifier, and what is used is without them."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch

from convatlas.api.train import resume, train
from convatlas.data.preprocess import Preprocess
from convatlas.data.source import open_data
from convatlas.engine.bundle import ONNX, Bundle, write_bundle
from convatlas.engine.deploy import load_deployed
from convatlas.engine.observer import Observer
from convatlas.engine.parts import parts
from convatlas.engine.plan import Wishes, make_plan
from convatlas.engine.predict.onnx_engine import OnnxEngine
from convatlas.engine.start import initial_network
from convatlas.errors import UsageError
from convatlas.models import create_model
from convatlas.weights.load import load_backbone
from tests.api.conftest import picture_folder

pytestmark = pytest.mark.row("B-08")
TINY = {"epochs": 2, "batch_size": 8, "threads": 1}
AUX = {"aux": True}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("model", ["googlenet", "inception_v3"])
def test_they_learn_with_the_classifier_and_make_no_part_of_the_network_deeper(model):
    with torch.device("meta"):
        plain, whole = parts(create_model(model)), parts(create_model(model, aux=True))
    assert [(part.name, part.depth) for part in whole] == [(part.name, part.depth) for part in plain]
    more = set(whole[0].parameters) - set(plain[0].parameters)
    assert more
    assert all(name.startswith("aux") for name in more)
    assert [part.parameters for part in whole[1:]] == [part.parameters for part in plain[1:]]


def test_a_bundle_is_without_them_from_training_to_the_exported_graph(tmp_path):
    photos = picture_folder(tmp_path / "photos", count=6)
    result = train(photos, model="googlenet", model_changes=AUX, size=64, out=tmp_path / "run", changes=TINY)
    bundle, deployed = load_deployed(result.path / "bundle")
    assert "aux" not in bundle.changes
    assert not any(name.startswith("aux") for name in deployed.network.state_dict())
    pixels = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        np.testing.assert_allclose(
            OnnxEngine(result.path / "bundle" / ONNX)(pixels.numpy()), deployed(pixels), atol=1e-4
        )
    # They have learnt, and the checkpoint to go on from has them.
    kept = safetensors.torch.load_file(next((result.path / "checkpoints").glob("last*.safetensors")))
    assert any("aux1.fc2.weight" in name for name in kept)
    assert json.loads((result.path / "run.json").read_text("utf-8"))["plan"]["changes"]["aux"] is True


def test_a_run_with_them_stopped_and_resumed_ends_with_the_same_bytes(tmp_path):
    class StopAfterOne(Observer):
        def epoch_done(self, row, *, best):
            raise KeyboardInterrupt

    photos = picture_folder(tmp_path / "photos", count=6)
    wishes = {"model": "googlenet", "model_changes": AUX, "size": 64, "changes": TINY, "export": False}
    straight = train(photos, out=tmp_path / "straight", **wishes)
    with pytest.raises(KeyboardInterrupt):
        train(photos, out=tmp_path / "stopped", observer=StopAfterOne(), **wishes)
    resumed = resume(tmp_path / "stopped", export=False)
    files = [run.path / "bundle" / "model.safetensors" for run in (straight, resumed)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_weights_without_them_start_a_training_with_them(tmp_path):
    source = create_model("googlenet", num_classes=2)
    bundle = Bundle(
        task="classify", model="googlenet", changes={"num_classes": 2}, classes=("a", "b"),
        preprocess=Preprocess(channels=3, height=64, width=64), mean=(0.5,) * 3, std=(0.5,) * 3,
    )  # fmt: skip
    write_bundle(tmp_path / "bundle", bundle, {name: value.numpy() for name, value in source.state_dict().items()})
    splits = open_data(picture_folder(tmp_path / "photos", count=4))
    wishes = {"model_changes": AUX, "weights": tmp_path / "bundle", "device": "cpu"}
    with pytest.raises(UsageError, match=r"aux=True .* only its classifier learns .* choose strategy fine-tune"):
        make_plan(splits, Wishes(strategy="transfer", **wishes))
    plan = make_plan(splits, Wishes(strategy="fine-tune", **wishes))
    network = initial_network(plan)
    for name, value in network.state_dict().items():
        if name.startswith("stages"):
            assert torch.equal(value, source.state_dict()[name])
    # A classifier starts from zeros; zeros in the layers below it would let nothing through.
    for dense in (network.head.fc, network.aux1.fc2, network.aux2.fc2):
        assert not dense.weight.any()
    assert network.aux1.fc1.weight.std() > 0
    assert network.aux2.conv.conv.weight.std() > 0


def test_fresh_names_all_of_an_auxiliary_classifier_that_the_weights_lack():
    network = create_model("inception_v3", aux=True, num_classes=3, width=0.05)
    without = create_model("inception_v3", num_classes=5, width=0.05)
    fresh = load_backbone(network, without.state_dict()).fresh
    assert set(fresh) == {name for name in network.state_dict() if name.startswith(("aux", "head.fc"))}
