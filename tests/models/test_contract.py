"""What every network of the catalog promises, checked on each of them."""

import pytest
import torch

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.catalog import card, list_models
from convatlas.errors import UsageError
from convatlas.models import MODELS, create_model, model_config
from convatlas.models.contract import capture

NAMES = list_models()
FREE_CLASSES = [name for name in NAMES if name != "lenet5"]  # its classes are the drawings of ten digits


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def images(name: str, count: int = 2, channels: int | None = None) -> torch.Tensor:
    native, height, width = card(name).input
    return torch.randn(count, channels or native, height, width)


def test_the_table_of_models_and_the_cards_name_the_same_networks():
    assert sorted(MODELS) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_and_macs_are_the_card_s_to_the_last_digit(name):
    with torch.device("meta"):
        network = create_model(name)
    assert count_parameters(network) == card(name).params
    assert count_macs(network, card(name).input) == card(name).macs


@pytest.mark.parametrize("name", NAMES)
def test_features_have_the_channels_and_strides_that_they_state(name):
    network = create_model(name).eval()
    x = images(name)
    features = network.features(x)
    assert len(features) == len(network.feature_info)
    for feature, info in zip(features, network.feature_info, strict=True):
        # A valid convolution loses its margin, so a stage may be smaller than the input over its stride, not larger.
        assert feature.shape[:2] == (2, info.channels)
        assert feature.shape[2] <= x.shape[2] / info.stride
        assert feature.shape[2] > x.shape[2] / (2 * info.stride) - 3
    assert torch.equal(network.head(features[-1]), network(x))


@pytest.mark.parametrize("name", NAMES)
def test_any_number_of_input_channels(name):
    network = create_model(name, in_channels=5)
    assert network(images(name, channels=5)).shape == (2, card(name).num_classes)


@pytest.mark.parametrize("name", FREE_CLASSES)
@pytest.mark.parametrize("classes", [1, 3, 1000])
def test_any_class_count(name, classes):
    assert create_model(name, num_classes=classes)(images(name)).shape == (2, classes)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_gets_a_gradient(name):
    network = create_model(name)
    network(images(name)).square().mean().backward()
    without = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_does_not_depend_on_the_rest_of_the_batch(name):
    network = create_model(name).eval().double()
    x = images(name, count=3).double()
    torch.testing.assert_close(network(x)[:1], network(x[:1]), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_channels_last_gives_the_same(name):
    network = create_model(name).eval().double()
    x = images(name).double()
    last = network.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(last, network(x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_autocast_stays_near(name):
    network = create_model(name).eval()
    x = images(name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = network(x).float()
    exact = network(x)
    assert (rough - exact).abs().max() <= 0.05 * exact.abs().max()


@pytest.mark.parametrize("name", NAMES)
def test_torch_export_agrees_for_any_batch(name):
    network = create_model(name).eval()
    program = torch.export.export(network, (images(name),), dynamic_shapes=({0: torch.export.Dim("N", min=1)},))
    x = images(name, count=5)
    torch.testing.assert_close(program.module()(x), network(x))


@pytest.mark.parametrize("name", NAMES)
def test_compiles_as_one_graph(name):
    network = create_model(name).eval()
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    x = images(name)
    torch.testing.assert_close(compiled(x), network(x))


@pytest.mark.parametrize("name", NAMES)
def test_wrong_input_is_named(name):
    network = create_model(name)
    channels, height, width = card(name).input
    with pytest.raises(UsageError, match=f"built for {channels} channels, got {channels + 1}"):
        network(torch.zeros(1, channels + 1, height, width))
    with pytest.raises(UsageError, match=f"{height}x{width} images only, got {height - 1}x{width}"):
        network(torch.zeros(1, channels, height - 1, width))
    with pytest.raises(UsageError, match=r"expects images \(N, \d, H, W\)"):
        network(torch.zeros(channels, height, width))


def test_unknown_names_and_options_suggest_the_nearest():
    with pytest.raises(UsageError, match=r'unknown network \'lenet6\'. Did you mean "lenet'):
        create_model("lenet6")
    with pytest.raises(UsageError, match=r"lenet5_modern has no option 'num_class'. Did you mean \"num_classes\""):
        create_model("lenet5_modern", num_class=3)


@pytest.mark.parametrize("value", [0, -1, 2.5, "3", True])
def test_an_impossible_config_names_its_field(value):
    with pytest.raises(UsageError, match=r"LeNet5ModernConfig\.num_classes must be a whole number >= 1"):
        model_config("lenet5_modern", num_classes=value)


def test_aliases_spellings_and_case_lead_to_the_same_network():
    for name in ("lenet", "LeNet5_Modern", "lenet5-modern"):
        assert type(create_model(name)).__name__ == "LeNet5Modern"


def test_capture_records_named_layers_and_leaves_no_hook():
    network = create_model("lenet5_modern").eval()
    x = images("lenet5_modern")
    with capture(network, ["c3", "f6"]) as outputs:
        network(x)
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {"c3": (2, 16, 10, 10), "f6": (2, 84)}
    assert torch.equal(network.s4(outputs["c3"]), network.features(x)[1])
    with pytest.raises(RuntimeError, match="inside"), capture(network, ["c3"]):
        raise RuntimeError("inside")
    assert all(not module._forward_hooks for module in network.modules())
    with pytest.raises(UsageError, match=r"has no layer 'c33'. Did you mean \"c3\""), capture(network, ["c33"]):
        pass
