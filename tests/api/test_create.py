from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from convatlas.api.create import create_model
from convatlas.errors import DownloadError, UsageError, WeightsError
from convatlas.models import create_model as create_fresh
from convatlas.weights.load import load_weight_set


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVATLAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CONVATLAS_OFFLINE", "1")


@pytest.fixture(scope="module")
def lite0() -> dict[str, Tensor]:
    network = create_fresh("efficientnet_lite0")
    load_weight_set(network, "package/efficientnet_lite0")
    return network.state_dict()


def differing(network: nn.Module, state: dict[str, Tensor]) -> set[str]:
    own = network.state_dict()
    return {name for name in own if own[name].shape != state[name].shape or not torch.equal(own[name], state[name])}


@pytest.mark.parametrize("weights", ["default", "package/efficientnet_lite0", "PACKAGE/EfficientNet_Lite0"])
def test_published_weights(lite0: dict[str, Tensor], weights: str) -> None:
    assert differing(create_model("efficientnet-lite0", weights=weights, num_classes=1000), lite0) == set()


def test_another_class_count_gets_a_fresh_classifier_and_all_the_rest(lite0: dict[str, Tensor]) -> None:
    network = create_model("efficientnet_lite0", weights="default", num_classes=7)
    assert differing(network, lite0) == {"head.fc.weight", "head.fc.bias"}
    assert network.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 7)


def test_another_number_of_channels_adapts_the_first_convolution(lite0: dict[str, Tensor]) -> None:
    network = create_model("efficientnet_lite0", weights="default", in_channels=1)
    (first,) = differing(network, lite0)
    torch.testing.assert_close(network.state_dict()[first], lite0[first].sum(dim=1, keepdim=True))


def test_no_weights_is_a_fresh_network(lite0: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    network = create_model("resnet20_cifar")
    torch.manual_seed(0)
    assert differing(network, create_fresh("resnet20_cifar").state_dict()) == set()


def test_a_file_and_named_tensors(tmp_path: Path) -> None:
    state = create_fresh("resnet20_cifar").state_dict()
    file = tmp_path / "mine.safetensors"
    save_file(state, file)
    for weights in (file, str(file), state):
        assert differing(create_model("resnet20_cifar", weights=weights), state) == set()
        head = differing(create_model("resnet20_cifar", weights=weights, num_classes=3), state)
        assert head == {name for name in state if state[name].shape[:1] == (10,)}
    # The right count by name is no other count: the classifier is loaded.
    assert differing(create_model("resnet20_cifar", weights=file, num_classes=10), state) == set()


def test_weights_for_another_class_count_that_nobody_asked_for_are_refused() -> None:
    state = create_fresh("resnet20_cifar", num_classes=3).state_dict()
    with pytest.raises(WeightsError, match="The number of classes differs"):
        create_model("resnet20_cifar", weights=state)


def test_a_set_brings_its_own_config_and_refuses_another() -> None:
    key = "timm/mobilenetv2_140.ra_in1k"
    with pytest.raises(DownloadError, match="offline"):  # the network was right, only the file is not here
        create_model("mobilenet_v2", weights=key)
    with pytest.raises(WeightsError, match=r"is for mobilenet_v2 with width=1\.4"):
        create_model("mobilenet_v2", weights=key, width=1.0)
    with pytest.raises(UsageError, match="are of resnet50, not of resnet18"):
        create_model("resnet18", weights="torchvision/resnet50/IMAGENET1K_V2")


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("lenet5_modern", "default", "lenet5_modern has no published weights; weights=None initialises it freshly"),
        ("resnet50", "torchvision/resnet50/V2", 'unknown weight set .* Did you mean "torchvision/resnet50/IMAGENET1K'),
        ("resnet50", "imagenet", "unknown weight set 'imagenet'"),
        ("resnet5000", "default", "unknown network 'resnet5000'"),
    ],
)
def test_unknown_words(name: str, weights: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        create_model(name, weights=weights)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no such file"):
        create_model("resnet18", weights=tmp_path / "gone.pth")
