"""Answers over several views against the same views answered one by one."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from convatlas.data.picture_set import PictureSet
from convatlas.data.preprocess import Preprocess
from convatlas.data.views import Views
from convatlas.engine.deploy import Deployed
from convatlas.engine.views import answer_views, cut_for, network_for
from convatlas.errors import UsageError
from convatlas.layers.normalize import Normalize
from convatlas.metrics.views import mean_softmax
from convatlas.models import create_model
from convatlas.tasks.family import decode_for

SIZES = [(40, 40), (40, 64), (70, 44)]
CUT = Preprocess(channels=3, height=32, width=32, resize=36)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def pictures() -> PictureSet:
    random = np.random.default_rng(0)
    pixels = [random.integers(0, 256, (*size, 3), np.uint8) for size in SIZES]
    targets = np.arange(3, dtype=np.int64)
    return PictureSet(
        origin="noise", classes=("a", "b", "c"), names=("0", "1", "2"), targets=targets, read=pixels.__getitem__
    )


def deployed(name: str, **changes: object) -> Deployed:
    network = create_model(name, num_classes=3, **changes)
    return Deployed(Normalize((0.5,) * 3, (0.25,) * 3), network, nn.Identity()).eval()


def joined(network: Deployed, views: Views) -> np.ndarray:
    return answer_views(network_for(views, network), pictures(), cut_for(views, CUT), mean_softmax)


def probabilities(network: nn.Module, crop: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(np.ascontiguousarray(crop))[None]).softmax(dim=1)[0].double().numpy()


@pytest.mark.row("B-02")
def test_ten_crops_are_averaged_by_hand():
    network = deployed("lenet5_modern", in_channels=3)
    answers = joined(network, "ten-crop")
    for place, row in enumerate(answers):
        square = Preprocess(channels=3, height=36, width=36)(pictures().read(place))
        total = np.zeros(3)
        for top, left in ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2)):
            crop = square[:, top : top + 32, left : left + 32]
            total += probabilities(network, crop) + probabilities(network, crop[:, :, ::-1])
        np.testing.assert_allclose(np.exp(row), total / 10, rtol=1e-5)


@pytest.mark.row("B-11")
def test_a_whole_picture_and_its_mirror_image_are_averaged_by_hand():
    network = deployed("resnet18", width=8)
    answers = joined(network, "dense")
    for place, (scaled, row) in enumerate(zip([(36, 36), (57, 36), (36, 57)], answers, strict=True)):
        image = Image.fromarray(pictures().read(place)).resize(scaled, Image.Resampling.BILINEAR)
        whole = np.asarray(image).transpose(2, 0, 1)
        mean = (probabilities(network, whole) + probabilities(network, whole[:, :, ::-1])) / 2
        np.testing.assert_allclose(np.exp(row), mean, rtol=1e-5)


def test_a_single_view_is_the_network_s_answer():
    network = deployed("lenet5_modern", in_channels=3)
    expected = [probabilities(network, CUT(pictures().read(place))) for place in range(3)]
    np.testing.assert_allclose(np.exp(joined(network, "single")), expected, rtol=1e-5)


@pytest.mark.row("B-06")
def test_dense_evaluation_of_vgg_is_its_own():
    network = deployed("vgg11", width=8, hidden=16)
    dense = network_for("dense", network)
    assert not dense.training
    pixels = torch.randint(0, 256, (1, 3, 224, 288), dtype=torch.uint8)
    with torch.no_grad():
        expected = network.network.score_map(network.normalize(pixels)).mean(dim=(2, 3))
        torch.testing.assert_close(dense(pixels), expected)
        assert not torch.allclose(network(pixels), expected, atol=1e-4)


@pytest.mark.row("B-08")
def test_the_auxiliary_classifiers_have_no_say():
    network = create_model("googlenet", num_classes=3, aux=True)
    dense = network_for("dense", Deployed(nn.Identity(), network, decode_for("googlenet")).eval())
    x = torch.randn(1, 3, 96, 64)
    with torch.no_grad():
        answer = dense(x)
        network.aux1.fc2.bias.add_(1)
        network.aux2.fc2.bias.add_(1)
        assert torch.equal(dense(x), answer)
        network.head.fc.bias.add_(1)
        assert not torch.allclose(dense(x), answer)


def test_a_network_of_one_size_refuses_whole_pictures():
    with pytest.raises(UsageError, match="LeNet5Modern has no dense evaluation"):
        network_for("dense", deployed("lenet5_modern", in_channels=3))
