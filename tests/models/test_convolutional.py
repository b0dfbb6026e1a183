"""Dense layers turned into convolutions: each score is that of the window cut out, for networks of every make."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convatlas.errors import UsageError
from convatlas.models import create_model
from convatlas.models.convolutional import convolutional
from convatlas.ops.windows import slide, slide_maps

pytestmark = pytest.mark.row("C-05")


class AllLayers(nn.Sequential):
    """Every step a layer: two dense ones with normalisation and dropout after maps of 3 x 5."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(2, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d((2, 1)), nn.Conv2d(4, 6, 3),
            nn.Flatten(), nn.Linear(6 * 3 * 5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(), nn.Linear(8, 5),
            nn.Softmax(dim=1),
        )  # fmt: skip

    window, stride = (22, 15), (4, 2)


class AllFunctions(nn.Module):
    """As PyTorch's own tutorial writes networks."""

    window, stride = (20, 20), (4, 4)

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 3, 5), nn.Conv2d(3, 4, 3)
        self.fc1, self.fc2 = nn.Linear(4 * 3 * 3, 7), nn.Linear(7, 5)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(-1, 4 * 3 * 3)
        x = F.dropout(F.relu(self.fc1(x)), training=self.training)
        return F.log_softmax(self.fc2(x), dim=1)


class Pooled(nn.Module):
    """Branches, then a mean or a largest value over all the maps, and one dense layer."""

    window, stride = (17, 13), (2, 2)

    def __init__(self, pool):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 3, 3, stride=2), nn.Conv2d(2, 3, 3, stride=2)
        self.pool = pool
        self.fc = nn.Linear(6, 5)

    def forward(self, x):
        maps = torch.cat((self.a(x).relu(), self.b(x).sigmoid()), dim=1)
        return self.fc(torch.flatten(self.pool(maps), 1))


NETWORKS = {
    "layers": AllLayers,
    "functions": AllFunctions,
    "average": lambda: Pooled(nn.AdaptiveAvgPool2d(1)),
    "largest": lambda: Pooled(nn.AdaptiveMaxPool2d((1, 1))),
    "mean": lambda: Pooled(lambda maps: maps.mean(dim=(2, 3))),
    "kept_axes": lambda: Pooled(lambda maps: maps.mean([-1, -2], keepdim=True)),
    "reshaped": lambda: Pooled(lambda maps: F.adaptive_avg_pool2d(maps, 1).reshape((len(maps), -1))),
}


def made(name):
    torch.manual_seed(0)
    network = NETWORKS[name]()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


def some_pictures(window, more, count=1, channels=2):
    random = torch.Generator().manual_seed(1)
    return torch.randn(count, channels, window[0] + more[0], window[1] + more[1], generator=random)


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_each_score_is_that_of_the_window_cut_out(name):
    network = made(name)
    windows = convolutional(network, some_pictures(network.window, (0, 0)))
    assert (windows.window, windows.stride) == (network.window, network.stride)
    pictures = some_pictures(network.window, (13, 18), count=3)
    scores = windows(pictures)
    (height, width), (down, right) = network.window, network.stride
    assert scores.shape == (3, 5, 13 // down + 1, 18 // right + 1)
    for row in range(scores.shape[2]):
        for column in range(scores.shape[3]):
            cut = pictures[:, :, row * down : row * down + height, column * right : column * right + width]
            torch.testing.assert_close(scores[:, :, row, column], network(cut), rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_naive_and_convolutional_sliding_windows_agree_over_a_pyramid():
    """The row's own words, with LeNet-5 (Matan et al.'s network) on every size of a picture."""
    torch.manual_seed(0)
    network = nn.Sequential(*create_model("lenet5_modern").children()).eval()
    windows = convolutional(network, torch.zeros(1, 1, 32, 32))
    assert windows.stride == (4, 4)
    picture = np.random.default_rng(0).integers(0, 256, (75, 90, 1), dtype=np.uint8)
    sliding = {"window": windows.window, "stride": windows.stride, "factor": 1.5}

    def of_windows(cut):
        return network(torch.from_numpy(cut).permute(0, 3, 1, 2) / 255).numpy()

    def of_level(pixels):
        return windows(torch.from_numpy(pixels)[None].permute(0, 3, 1, 2) / 255)[0].permute(1, 2, 0).numpy()

    naive, maps = slide(picture, of_windows, **sliding), slide_maps(picture, of_level, **sliding)
    assert (naive.boxes == maps.boxes).all()
    assert len(naive.boxes) > 200
    assert maps.scores == pytest.approx(naive.scores, abs=1e-5)


@pytest.mark.parametrize("name", ["vgg11", "overfeat_fast"])
@torch.no_grad()
def test_networks_whose_papers_slide_give_their_own_maps(name):
    """Two files of the atlas turn their dense layers by hand: VGG's Section 3.2, OverFeat's Section 3.5."""
    small = {"vgg11": {"hidden": 32}, "overfeat_fast": {"hidden": (32, 24)}}[name]
    torch.manual_seed(0)
    network = create_model(name, num_classes=6, **small).eval()
    side = {"vgg11": 224, "overfeat_fast": 231}[name]
    windows = convolutional(network, torch.zeros(1, 3, side, side))
    picture = some_pictures((side, side), (32, 64), channels=3)
    if name == "vgg11":
        expected = network.score_map(picture)
    else:
        maps = network.features(picture)[-1]
        expected = network.head.classifier(network.head.pool(maps))
    assert windows.stride == (32, 32)
    torch.testing.assert_close(windows(picture), expected)


@pytest.mark.every_variant
@pytest.mark.parametrize(
    ("name", "channels", "side", "stride"),
    [
        ("alexnet", 3, 224, 32), ("zfnet", 3, 224, 32), ("cnn_f", 3, 224, 32), ("nin_cifar10", 3, 32, 4),
        ("bn_inception", 3, 224, 32), ("inception_v3", 3, 299, 32), ("resnet18", 3, 224, 32),
        ("resnet20_cifar", 3, 32, 4), ("squeezenet1_0", 3, 224, 16), ("densenet40_k12_cifar", 3, 32, 4),
        ("nasnet_cifar", 3, 32, 4), ("mnasnet_b1", 3, 224, 32), ("shufflenet_v2_x1_0", 3, 224, 32),
    ],
)  # fmt: skip
@torch.no_grad()
def test_other_networks_of_the_atlas_slide(name, channels, side, stride):
    torch.manual_seed(0)
    network = create_model(name).eval()
    x = some_pictures((side, side), (0, 0), channels=channels)
    windows = convolutional(network, x)
    assert windows.stride == (stride, stride)
    torch.testing.assert_close(windows(x)[:, :, 0, 0], network(x), rtol=1e-3, atol=1e-4)
    wide = windows(some_pictures((side, side), (0, 2 * stride), channels=channels))
    assert wide.shape[3] >= 2


def test_weights_are_shared_and_the_network_is_left_as_it_was():
    network = made("layers").train()
    windows = convolutional(network, some_pictures(network.window, (0, 0)))
    assert network.training
    assert not windows.training
    assert isinstance(network[7], nn.BatchNorm1d)
    assert {id(each) for each in network.parameters()} == {id(each) for each in windows.parameters()}
    network.eval()
    x = some_pictures(network.window, (0, 0))
    before = windows(x)
    windows(some_pictures(network.window, (8, 8))).sum().backward()
    assert all(each.grad is not None for each in network.parameters())
    with torch.no_grad():
        network[6].weight.add_(1)
    assert not torch.equal(windows(x), before)
    torch.testing.assert_close(windows(x)[:, :, 0, 0], network(x))


def test_it_can_be_exported():
    network = made("functions")
    windows = convolutional(network, some_pictures(network.window, (0, 0)))
    picture = some_pictures(network.window, (8, 12))
    exported = torch.export.export(windows, (picture,)).module()
    torch.testing.assert_close(exported(picture), windows(picture))


class Wrong(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(2, 4, 3), nn.Linear(4 * 6 * 6, 5)
        self.way = forward

    def forward(self, x):
        return self.way(self, x)


def excited(network, x):
    maps = network.conv(x)
    return network.fc((maps * maps.mean(dim=(2, 3), keepdim=True)).flatten(1))


@pytest.mark.parametrize(
    ("way", "said"),
    [
        (lambda n, x: n.conv(x), "it gives no one row of scores a picture"),
        (lambda n, x: (n.fc(n.conv(x).flatten(1)),), "it gives no one row of scores a picture"),
        (excited, "a layer of it looks at the whole picture at once"),
        (lambda n, x: n.fc(n.conv(x).flatten(1)).softmax(dim=-1), "it does with rows of scores what maps do not allow"),
        (
            lambda n, x: n.fc(F.adaptive_avg_pool2d(n.conv(x), 3).repeat(1, 1, 2, 2).flatten(1)),
            "it pools maps of 6 x 6 to",
        ),
        (lambda n, x: n.fc(n.conv(x)[:, :, :6, :6].flatten(1)), "no more places than one window"),
    ],
)
def test_a_network_that_cannot_slide_says_why(way, said):
    with pytest.raises(
        UsageError, match=f"^Wrong cannot slide as convolutions: .*{said}.* Cut the windows out instead"
    ):
        convolutional(Wrong(way), torch.zeros(1, 2, 8, 8))


class Normalised(nn.Sequential):
    def __init__(self, norm):
        super().__init__(nn.Conv2d(2, 4, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 5))


def attended(network, x):
    maps = network.conv(x)
    weights = maps.flatten(2).softmax(dim=2).reshape(maps.shape)
    return network.fc((maps * weights).flatten(1))


@pytest.mark.parametrize(
    ("network", "named"),
    [
        (Normalised(nn.GroupNorm(2, 4)), "group_norm"),
        (Normalised(nn.InstanceNorm2d(4)), "instance_norm"),
        (Normalised(nn.BatchNorm2d(4, track_running_stats=False)), "batch_norm"),
        (Wrong(lambda n, x: n.fc(F.layer_norm(n.conv(x), n.conv(x).shape[1:]).flatten(1))), "layer_norm"),
        (Wrong(lambda n, x: n.fc((n.conv(x) / n.conv(x).amax((2, 3), keepdim=True)).flatten(1))), "amax"),
        (Wrong(lambda n, x: n.fc((n.conv(x) - n.conv(x).mean()).flatten(1))), "mean"),
        (Wrong(lambda n, x: n.fc((n.conv(x) / torch.std(n.conv(x), dim=(2, 3), keepdim=True)).flatten(1))), "std"),
        (Wrong(lambda n, x: n.fc((n.conv(x) - n.conv(x).max(2, keepdim=True)[0]).flatten(1))), "max"),
        (Wrong(lambda n, x: n.fc(n.conv(x).softmax(dim=3).flatten(1))), "softmax"),
        (Wrong(attended), "flatten"),
    ],
)
def test_what_weighs_by_the_whole_picture_is_refused(network, named):
    """Its shapes fit, and in a larger picture each score would be another than that of the window cut out."""
    with pytest.raises(UsageError, match=f"{named} looks at all of a picture's maps at once"):
        convolutional(network.eval(), torch.zeros(1, 2, 8, 8))


class Strided(nn.Module):
    """One convolution that pads nothing, and what is done with its maps."""

    def __init__(self, way):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(2, 4, 5, stride=2), nn.Linear(4 * 6 * 6, 5)
        self.way = way

    def forward(self, x):
        return self.fc(self.way(self.conv(x)).flatten(1))


@pytest.mark.parametrize(
    "way",
    [
        lambda m: m.cumsum(2),
        lambda m: m.flip(3).cumsum(3).flip(3),
        lambda m: torch.fft.fft2(m).abs(),
        lambda m: m.flip(2) * m,
        lambda m: m.roll(1, 2) * m,
    ],
)
def test_what_mixes_an_axis_and_leaves_its_length_is_refused(way):
    torch.manual_seed(0)
    with pytest.raises(UsageError, match="in a larger picture its scores are not those of the windows cut out"):
        convolutional(Strided(way).eval(), torch.zeros(1, 2, 15, 15))


@pytest.mark.parametrize(
    "way",
    [
        lambda m: F.conv2d(m, torch.ones(4, 1, 3, 3), None, 1, 1, 1, 4),
        lambda m: F.max_pool2d(m, 3, 1, 1),
        lambda m: F.avg_pool2d(m, 3, 1, padding=1),
        lambda m: F.pad(m, (1, 1, 1, 1))[:, :, 1:-1, 1:-1].relu(),
    ],
)
def test_a_network_that_pads_slides_though_its_scores_differ(way):
    torch.manual_seed(0)
    assert convolutional(Strided(way).eval(), torch.zeros(1, 2, 15, 15)).stride == (2, 2)


def test_normalisation_by_what_was_learnt_slides():
    network = Normalised(nn.InstanceNorm2d(4, track_running_stats=True)).eval()
    windows = convolutional(network, torch.zeros(1, 2, 8, 8))
    picture = some_pictures((8, 8), (0, 3))
    torch.testing.assert_close(windows(picture)[:, :, 0, 3], network(picture[:, :, :, 3:]))


def test_a_black_picture_hides_no_difference():
    """Without a bias everything is 0 in it, whatever the layers do."""
    network = Wrong(lambda n, x: n.fc(n.conv(x).flatten(1)).cumsum(-1))
    network.conv.bias = network.fc.bias = None
    with pytest.raises(UsageError, match="it does with rows of scores what maps do not allow"):
        convolutional(network, torch.zeros(1, 2, 8, 8))


def test_a_network_that_does_not_take_the_picture_says_so():
    with pytest.raises(UsageError, match=r"x: AllFunctions does not take pictures of shape \(1, 3, 20, 20\): "):
        convolutional(made("functions"), torch.zeros(1, 3, 20, 20))


def test_a_network_that_cannot_be_copied_says_so():
    network = made("functions")
    network.kept = network.fc1.weight * 2  # a tensor with a gradient, which no copy is made of
    with pytest.raises(UsageError, match="AllFunctions cannot slide as convolutions: it cannot be copied: "):
        convolutional(network, torch.zeros(1, 2, 20, 20))


@pytest.mark.parametrize(
    ("name", "side", "said"),
    [
        ("se_resnet50", 64, "looks at the whole picture"),
        ("vit_ti_16", 224, "what maps do not allow"),
        ("lenet5_modern", 32, "works on 32x32 images only"),
    ],
)
def test_networks_of_the_atlas_that_cannot(name, side, said):
    channels = 1 if name == "lenet5_modern" else 3
    with pytest.raises(UsageError, match=said):
        convolutional(create_model(name), torch.zeros(1, channels, side, side))


def test_wrong_pictures_are_named():
    network = made("functions")
    for wrong in (torch.zeros(2, 2, 20, 20), torch.zeros(2, 20, 20), torch.zeros(1, 2, 20, 20, dtype=torch.uint8)):
        with pytest.raises(UsageError, match=r"x: expected one picture \(1, C, h, w\) of floats"):
            convolutional(network, wrong)
    windows = convolutional(network, torch.zeros(1, 2, 20, 20))
    for shape in ((1, 2, 20, 19), (2, 20, 20)):
        with pytest.raises(UsageError, match=r"at least the window \(20, 20\)"):
            windows(torch.zeros(shape))
