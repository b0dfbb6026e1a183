"""Which networks answer for whole pictures, and that their answers are the papers'."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from convatlas.errors import UsageError
from convatlas.models import MODELS, create_model
from convatlas.models.classify.overfeat import Layer
from convatlas.models.dense import averages_all_places, densely

# By their modules: maps of one size only, or a hidden layer after the pooling; the paper's own way; everything else
# averages all places.
NONE = {"lenet5", "lenet5_modern", "alexnet", "zfnet", "cnn_fms", "mobilenet_v3", "shufflenet_v2_plus", "vit"}
OWN_WAY = {"overfeat", "vgg", "sppnet"}
FAMILIES = {entry.module: name for name, entry in MODELS.items()}  # its last member
AVERAGING = [name for module, name in FAMILIES.items() if module.rpartition(".")[2] not in NONE | OWN_WAY]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.row("B-02", "B-05", "B-06")
@pytest.mark.parametrize("name", FAMILIES.values())
def test_every_family_has_dense_evaluation_or_says_why_not(name):
    with torch.device("meta"):
        network = create_model(name)
    family = MODELS[name].module.rpartition(".")[2]
    if family in NONE:
        with pytest.raises(UsageError, match=f"{type(network).__name__} has no dense evaluation.*ten-crop"):
            densely(network)
    elif family in OWN_WAY:
        assert densely(network) is not network
    else:
        assert densely(network) is network


@pytest.mark.parametrize("name", AVERAGING)
def test_the_answer_is_the_mean_of_the_answers_at_all_places(name):
    """Of the last maps, or where the head has a 3x3 convolution before its pooling, of the maps that are pooled."""
    with torch.device("meta"):
        head = create_model(name).head
    head = head.to_empty(device="cpu").double().eval()
    for module in head.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.3)
    layers = list(head.children())
    channels = next(len(p[0]) if p.dim() > 1 else len(p) for p in head.parameters())
    x = torch.rand(2, channels, 3, 4, dtype=torch.float64)
    with torch.no_grad():
        if any(isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1) for module in head.modules()):
            x, layers = layers[0](x), layers[1:]
        rest = nn.Sequential(*layers)
        places = [rest(x[:, :, row, column, None, None]) for row in range(3) for column in range(4)]
        spread = torch.stack(places).std(dim=0)
        assert spread.max() > 1e-3
        torch.testing.assert_close(rest(x), torch.stack(places).mean(dim=0), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("after", "accepted"),
    [
        ([nn.Flatten(), nn.Dropout(0.5), nn.Identity(), nn.Linear(4, 3)], True),
        ([nn.Flatten()], True),
        ([nn.Flatten(), nn.Linear(4, 5), nn.Linear(5, 3)], False),
        ([nn.Flatten(), nn.Linear(4, 3), nn.ReLU()], False),
        ([nn.Sequential(nn.Flatten(), nn.Hardswish()), nn.Linear(4, 3)], False),
        ([nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 3)], False),
    ],
)
def test_only_dropout_and_one_dense_layer_may_follow_the_pooling(after, accepted):
    network = nn.Module()
    network.head = nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), *after)
    assert averages_all_places(network) == accepted
    network.head = nn.Sequential(nn.AdaptiveAvgPool2d(2), *after)
    assert not averages_all_places(network)


def test_an_average_of_all_places_is_the_mean_of_the_score_map():
    """He et al., Section 3.4: the fully convolutional form of a ResNet, its last layer as a convolution of 1 x 1."""
    network = create_model("resnet18", width=8, num_classes=5).double().eval()
    x = torch.randn(2, 3, 96, 130, dtype=torch.float64)
    with torch.no_grad():
        maps = network.features(x)[-1]
        scores = functional.conv2d(maps, network.head.fc.weight[:, :, None, None], network.head.fc.bias)
        assert scores.shape == (2, 5, 3, 5)
        torch.testing.assert_close(densely(network)(x), scores.mean(dim=(2, 3)), rtol=1e-10, atol=1e-12)


@pytest.mark.row("B-06")
@pytest.mark.parametrize("name", ["vgg11", "vgg11_bn"])
def test_vgg_s_mean_over_one_place_is_its_logits(name):
    network = create_model(name, width=8, hidden=16, num_classes=5).eval()
    x = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(densely(network)(x), network(x), rtol=1e-5, atol=1e-5)


@pytest.mark.row("B-06")
def test_vgg_takes_the_mean_of_its_places():
    network = create_model("vgg11", width=8, hidden=16, num_classes=5).eval()
    x = torch.randn(1, 3, 256, 320)
    with torch.no_grad():
        scores = network.score_map(x)
        assert scores.shape == (1, 5, 2, 4)
        assert scores.flatten(2).std(dim=2).min() > 0
        by_hand = sum(scores[:, :, row, column] for row in range(2) for column in range(4)) / 8
        torch.testing.assert_close(densely(network)(x), by_hand)


@pytest.mark.row("B-05")
def test_overfeat_takes_the_highest_of_all_crops():
    """Section 3.3: each class's maximum over the views that offset pooling sees, here crop by crop."""
    layers = (Layer(out=8, kernel=5, stride=2, pool=2), Layer(out=8, kernel=3, pool=3))
    network = create_model("overfeat_fast", layers=layers, side=2, hidden=(8, 8), num_classes=5)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    network = network.double().eval()
    view = network.config.view
    x = torch.randn(2, 3, view + 12, view + 20, dtype=torch.float64)
    with torch.no_grad():
        crops = [
            network(x[:, :, top : top + view, left : left + view])
            for top in range(0, 13, 4)
            for left in range(0, 21, 4)
        ]
        assert len(crops) == 4 * 6
        best = torch.stack(crops).amax(dim=0)
        torch.testing.assert_close(densely(network)(x), best, rtol=1e-10, atol=1e-12)
        assert (best - network(x)).abs().max() > 1e-3, "offsets see more places than the network alone"


@pytest.mark.row("B-07")
def test_sppnet_covers_the_full_image():
    network = create_model("sppnet_zf5", channels=(4, 4, 4, 4, 4), hidden=8, num_classes=5).eval()
    x = torch.randn(1, 3, 90, 120)
    with torch.no_grad():
        assert torch.equal(densely(network)(x), network(x))
