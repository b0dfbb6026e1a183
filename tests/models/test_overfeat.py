"""OverFeat against its tables, a twin in plain functions, and its dense evaluation against crop by crop."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.overfeat import CONFIGS, Layer
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-05")

# Tables 1 and 3 by hand: (kernel, channels in, channels out, side of the output), and the side of the picture.
TABLES = {
    "overfeat_fast": (
        231,
        [
            *[(11, 3, 96, 56), (5, 96, 256, 24), (3, 256, 512, 12), (3, 512, 1024, 12), (3, 1024, 1024, 12)],
            *[(6, 1024, 3072, 1), (1, 3072, 4096, 1), (1, 4096, 1000, 1)],
        ],
    ),
    "overfeat_accurate": (
        221,
        [
            *[(7, 3, 96, 108), (7, 96, 256, 30), (3, 256, 512, 15), (3, 512, 512, 15)],
            *[(3, 512, 1024, 15), (3, 1024, 1024, 15)],
            *[(5, 1024, 4096, 1), (1, 4096, 4096, 1), (1, 4096, 1000, 1)],
        ],
    ),
}
# Without margins of zeros a view is the same in a crop and in the whole picture.
UNPADDED = {
    "layers": (Layer(out=6, kernel=5, stride=2, pool=2), Layer(out=7, kernel=3), Layer(out=8, kernel=2, pool=3)),
    "side": 2,
    "hidden": (9, 10),
    "num_classes": 5,
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def tiny(name: str, **changes: object) -> nn.Module:
    """The network with few channels, and weights that do not shrink what they see to nothing."""
    layers = tuple(replace(row, out=4 + number) for number, row in enumerate(CONFIGS[name].layers))
    network = create_model(name, **{"layers": layers, "hidden": (11, 12), "num_classes": 5, **changes})
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            nn.init.normal_(module.bias, std=0.1)
    return network.double().eval()


# --- The tables


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    # The parameters are the sizes of the authors' weight files.
    [("overfeat_fast", 145_920_872, 2_801_403_904), ("overfeat_accurate", 144_656_488, 5_355_446_784)],
)
def test_counts_of_tables_1_and_3(name, parameters, macs):
    with torch.device("meta"):
        network = create_model(name)
    side, layers = TABLES[name]
    assert count_parameters(network) == parameters == sum(k * k * a * b + b for k, a, b, _ in layers)
    assert count_macs(network, (3, side, side)) == macs == sum(k * k * a * b * out * out for k, a, b, out in layers)
    assert network.config.view == side
    assert network(torch.empty(2, 3, side, side, device="meta")).shape == (2, 1000)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("more", [0, 40])
def test_equals_a_twin_in_plain_functions(name, more):
    network = tiny(name)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    *deep, fc1, fc2, fc3 = convolutions
    pools = {"overfeat_fast": (2, 2, 1, 1, 2), "overfeat_accurate": (3, 2, 1, 1, 1, 3)}[name]
    strides = {"overfeat_fast": 4, "overfeat_accurate": 2}[name]
    images = torch.randn(2, 3, TABLES[name][0] + more, TABLES[name][0], dtype=torch.float64)
    x = images
    for index, (conv, pool) in enumerate(zip(deep, pools, strict=True)):
        stride, padding = (strides if index == 0 else 1), (0 if index < 2 else 1)
        x = F.max_pool2d(F.conv2d(x, conv.weight, conv.bias, stride, padding).relu(), pool)
    side = {"overfeat_fast": 6, "overfeat_accurate": 5}[name]
    answers = []
    for top in range(x.shape[2] - side + 1):
        y = x[:, :, top : top + side].flatten(1) @ fc1.weight.flatten(1).T + fc1.bias
        y = y.relu() @ fc2.weight.flatten(1).T + fc2.bias
        answers.append(y.relu() @ fc3.weight.flatten(1).T + fc3.bias)
    assert len(answers) == (1 if more == 0 else 2)
    with torch.no_grad():
        assert answers[0].std() > 1e-6
        torch.testing.assert_close(network(images), torch.stack(answers).amax(dim=0), rtol=1e-10, atol=1e-12)


# --- Dense evaluation


@pytest.mark.parametrize("size", [(0, 0), (4, 8), (30, 17)])
def test_dense_evaluation_equals_crop_by_crop(size):
    """Stride 2 and pooling 2: the next place of the map is 4 pixels further on; offsets undo the last pooling, by 3."""
    network = tiny("overfeat_fast", **UNPADDED)
    view = network.config.view
    assert view == 39  # 2 * 3 pixels before the last pooling, 6 + 1 + 2 = 9, twice that 18, 17 * 2 + 5 = 39
    x = torch.randn(2, 3, view + size[0], view + size[1], dtype=torch.float64)
    with torch.no_grad():
        scores = network.score_map(x)
        assert scores.shape == (2, 5, size[0] // 4 + 1, size[1] // 4 + 1)
        for row in range(scores.shape[2]):
            for column in range(scores.shape[3]):
                crop = x[:, :, 4 * row : 4 * row + view, 4 * column : 4 * column + view]
                torch.testing.assert_close(scores[:, :, row, column], network(crop), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", TABLES)
def test_offset_pooling_equals_the_windows_of_the_last_maps(name):
    """Where convolutions see zeros around a crop, the views of the last maps, before pooling, are what agrees."""
    network = tiny(name)
    side, pool = network.config.side, network.config.layers[-1].pool
    x = torch.randn(1, 3, network.config.view + 20, network.config.view + 50, dtype=torch.float64)
    with torch.no_grad():
        maps = network.features(x)[-1]
        scores = network.score_map(x)
        assert scores.shape[2:] == tuple(length - pool * side + 1 for length in maps.shape[2:])
        for row in range(scores.shape[2]):
            for column in range(scores.shape[3]):
                window = maps[:, :, row : row + pool * side, column : column + pool * side]
                expected = network.head(window)
                torch.testing.assert_close(scores[:, :, row, column], expected, rtol=1e-10, atol=1e-12)
        # Without offsets only every pool-th place is seen, and the logits are the best of those.
        torch.testing.assert_close(network(x), scores[:, :, ::pool, ::pool].amax(dim=(2, 3)), rtol=1e-10, atol=1e-12)


def test_the_paper_s_example_of_offsets():
    """Table 5, scale 2: maps of 20 x 23 before pooling give, for each of nine offsets, 2 x 3 answers: 6 x 9 in all."""
    network = tiny("overfeat_accurate")
    maps = torch.randn(1, network.feature_info[-1].channels, 20, 23, dtype=torch.float64)
    with torch.no_grad():
        assert network.head.score_map(maps).shape == (1, 5, 6, 9)


# --- Initialisation, dropout


def test_weights_start_normal_with_a_hundredth():
    layers = tuple(replace(row, out=row.out // 8) for row in CONFIGS["overfeat_fast"].layers)
    network = create_model("overfeat_fast", layers=layers, hidden=(64, 64))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.std().item() == pytest.approx(0.01, rel=0.06)
            assert not module.bias.any()


def test_both_hidden_dense_layers_are_dropped_by_half():
    network = tiny("overfeat_accurate")
    assert [module.p for module in network.modules() if isinstance(module, nn.Dropout)] == [0.5, 0.5]


# --- Learning


def test_it_learns_64_digits_by_heart(digits: PictureSet):
    layers = (Layer(out=12, kernel=5, pool=2), Layer(out=24, kernel=3), Layer(out=24, kernel=3, padding=1, pool=2))
    network = tiny("overfeat_fast", layers=layers, side=4, hidden=(48, 48), dropout=0.0, in_channels=1, num_classes=10)
    network.float()
    assert network.config.view == 24
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    assert mistakes_after(60, network, *sixty_four(digits, 28), optimizer) == 0


# --- Bad input


@pytest.mark.parametrize(("name", "view"), [("overfeat_fast", 231), ("overfeat_accurate", 221)])
def test_less_than_one_view_is_refused_with_the_smallest(name, view):
    with torch.device("meta"):
        network = create_model(name)
    for run in (network, network.score_map):
        with pytest.raises(
            UsageError, match=rf"OverFeat needs images of at least {view}x{view}, got {view}x{view - 1}"
        ):
            run(torch.zeros(1, 3, view, view - 1, device="meta"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("layers", ()),
        ("layers", ((96, 11),)),
        ("side", 0),
        ("hidden", (3072,)),
        ("hidden", (3072, 0)),
        ("hidden", 3072),
        ("dropout", 1.0),
        ("in_channels", 0),
        ("num_classes", 2.5),
    ],
)
def test_an_impossible_config_names_its_field(field, value):
    with pytest.raises(UsageError, match=rf"OverFeatConfig\.{field} must be"):
        model_config("overfeat_fast", **{field: value})


@pytest.mark.parametrize(("field", "value"), [("out", 0), ("kernel", 0), ("stride", 1.5), ("padding", -1), ("pool", 0)])
def test_an_impossible_layer_names_its_field(field, value):
    with pytest.raises(UsageError, match=rf"Layer\.{field} must be a whole number"):
        Layer(**{"out": 8, "kernel": 3, field: value})
