"""What every network of the catalog promises, checked on each of them; test_tracing and test_compiled need a tracer.

The smallest member of each design runs always; its larger ones, which are the same code, with `every_variant`.
"""

import re
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from convatlas.catalog import card
from convatlas.engine.classifier import classifiers
from convatlas.errors import UsageError
from convatlas.models import MODELS, create_model, model_config
from convatlas.models.contract import capture
from tests.models.equality import assert_equal
from tests.models.members import (
    FIXED_CLASSES,
    FIXED_SIZE,
    NAMES,
    SHORTER,
    SIDES,
    SMALLEST,
    VIT,
    WITH_AUXILIARY,
    designs,
    images,
    on_meta,
    settled,
    variants,
    with_auxiliary,
)

# What each design calls itself (with SE blocks, its parent's name), and the side below which a layer of it is left
# without a pixel; where it rounds up when it halves, the side of which one is left.
SMALLEST_PICTURES = {
    "alexnet": ("AlexNet", 63),
    "alexnet_paper": ("AlexNet", 67),
    "zfnet": ("ZFNet", 47),
    "sppnet_zf5": ("SPPNet", 31),
    "vgg11": ("VGG", 32),
    "googlenet": ("GoogLeNet", 15),
    "googlenet_paper": ("GoogLeNet", 31),
    "bn_inception": ("BN-Inception", 7),
    "inception_v2": ("Inception v2", 75),
    "inception_v3": ("Inception v3", 75),
    "inception_v4": ("Inception v4", 75),
    "inception_resnet_v1": ("Inception-ResNet", 75),
    "xception": ("Xception", 7),
    "resnet18": ("ResNet", 32),
    "resnet20_cifar": ("ResNet of CIFAR", 4),
    "resnext50_32x4d": ("ResNeXt", 32),
    "se_resnet18": ("SE-ResNet", 32),
    "senet154": ("SENet-154", 32),
    "se_bn_inception": ("BN-Inception", 7),
    "se_inception_resnet_v2": ("Inception-ResNet", 75),
    "se_mobilenet_v1": ("MobileNetV1", 32),
    "se_shufflenet_v1": ("ShuffleNetV1", 32),
    "nasnet_mobile": ("NASNet", 32),
    "nasnet_cifar": ("NASNet", 4),
    "mobilenet_v1": ("MobileNetV1", 32),
    "mobilenet_v2": ("MobileNetV2", 32),
    "mobilenet_v3_small": ("MobileNetV3", 32),
    "shufflenet_v1_g3": ("ShuffleNetV1", 32),
    "shufflenet_v2_x0_5": ("ShuffleNetV2", 32),
    "shufflenet_v2_plus_small": ("ShuffleNetV2Plus", 32),
    "shufflenet_v2_large": ("ShuffleNetV2Large", 32),
    "shufflenet_v2_exlarge": ("ShuffleNetV2ExLarge", 32),
    "mnasnet_a1": ("MnasNet", 32),
    "efficientnet_b0": ("EfficientNet", 32),
    "efficientnet_lite0": ("EfficientNet-Lite", 32),
    "efficientnet_v2_s": ("EfficientNetV2", 32),
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def scenes(name: str, count: int) -> Tensor:
    """Pictures of four large patches, which differ after averaging too; all noise looks alike from afar."""
    side = SIDES[MODELS[name]]
    return functional.interpolate(torch.randn(count, card(name).input[0], 2, 2), side, mode="bilinear")


def test_the_table_of_models_and_the_cards_name_the_same_networks():
    assert sorted(MODELS) == sorted(NAMES)


def test_each_design_has_a_small_member_that_runs_always():
    assert {entry: name for name, entry in MODELS.items() if entry not in SIDES} == {}, "add its smallest to members.py"
    assert len(SIDES) == len(SMALLEST)


@variants()
def test_no_module_stands_in_a_network_twice(name):
    """Under two names: whoever replaces the one, hooks it or prunes it would not mean the other."""
    network = on_meta(name)
    every = dict(network.named_modules(remove_duplicate=False))
    assert sorted(set(every) - set(dict(network.named_modules()))) == []


@variants()
def test_features_have_the_channels_and_strides_that_they_state(name):
    network = on_meta(name).eval()
    x = torch.empty(2, *card(name).input, device="meta")
    with torch.no_grad():
        features = network.features(x)
    assert len(features) == len(network.feature_info)
    for feature, info in zip(features, network.feature_info, strict=True):
        # A valid convolution loses its margin, so a stage may be smaller than the input over its stride; it is larger
        # only where an odd side is rounded up.
        assert feature.shape[:2] == (2, info.channels)
        assert feature.shape[2] <= -(-x.shape[2] // info.stride)
        assert feature.shape[2] > x.shape[2] / (2 * info.stride) - 3


@variants()
def test_any_number_of_input_channels(name):
    with torch.device("meta"):
        assert create_model(name, in_channels=5, **SHORTER.get(name, {}))(images(name, channels=5)).shape == (
            2,
            card(name).num_classes,
        )


@variants(besides=FIXED_CLASSES)
@pytest.mark.parametrize("classes", [1, 3])
def test_any_class_count(name, classes):
    with torch.device("meta"):
        assert create_model(name, num_classes=classes, **SHORTER.get(name, {}))(images(name)).shape == (2, classes)


@variants(besides=VIT)  # its head reads a token that is no part of the map
def test_the_head_turns_the_last_features_into_the_answer(name):
    network = settled(name)
    x = images(name)
    with torch.no_grad():
        assert torch.equal(network.head(network.features(x)[-1]), network(x))


def margins(network: nn.Module, x: Tensor) -> Tensor:
    """Each feature's height and width, taken from the picture's over the stride: what valid convolutions lost."""
    strides = [info.stride for info in network.feature_info]
    with torch.no_grad():
        sides = [feature.shape[2:] for feature in network.features(x)]
    return torch.tensor([[whole / stride for whole in x.shape[2:]] for stride in strides]) - torch.tensor(sides)


@variants(besides=FIXED_CLASSES)
def test_a_network_whose_answers_are_never_negative_says_so(name):
    """The task of several labels refuses it."""
    network = settled(name)
    with torch.no_grad():
        for classifier in classifiers(network):
            layer = network.get_submodule(classifier)
            if layer.bias is not None:
                layer.bias.fill_(-1e6)
            else:  # of two classes with opposite weights one is below 0
                layer.weight[0::2], layer.weight[1::2] = 1e6, -1e6
        lowest = network(images(name)).min().item()
    assert (lowest >= 0) == getattr(network, "never_negative", False)


@variants(besides=FIXED_SIZE)
def test_any_picture_size(name):
    network = settled(name)
    channels, side = card(name).input[0], SIDES[MODELS[name]]
    x = torch.randn(1, channels, side + 7, 2 * side - 3)
    assert network(x).shape == (1, card(name).num_classes)
    # A margin does not grow with the picture; how its side is rounded at each halving makes less than one pixel.
    lost = margins(on_meta(name).eval(), torch.empty(1, *card(name).input, device="meta"))
    assert (margins(network, x) - lost).abs().max() < 1


@variants()
def test_every_parameter_gets_a_gradient(name):
    network = settled(name)  # not in training: stochastic depth may leave a block out for every picture of a batch
    network(images(name)).square().mean().backward()
    without = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@variants()
def test_an_answer_does_not_depend_on_the_rest_of_the_batch(name):
    network = settled(name).double()
    x = images(name, count=3).double()
    with torch.no_grad():
        assert_equal(network(x)[:1], network(x[:1]))


@variants()
def test_channels_last_gives_the_same(name):
    network = settled(name).double()
    x = images(name).double()
    with torch.no_grad():
        expected = network(x)
        last = network.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    assert_equal(last, expected)


def blocks(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The stem, each block of each stage and the head, or whatever stands in their place, by name."""
    for name, child in network.named_children():
        if not isinstance(child, nn.ModuleList):
            yield name, child
            continue
        for index, stage in enumerate(child):
            yield from ((f"{name}.{index}.{block_name}", block) for block_name, block in stage.named_children())


def newest(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """What a block has made: a cell of NASNet hands on a state that it got, too."""
    return output if isinstance(output, Tensor) else output[-1]


@designs()  # larger ones have more blocks of the same kinds
def test_bfloat16_autocast_stays_near_in_every_block(name):
    """Each block, given what it gets in float32, is off by at most 3 % of the spread of its outputs over the pictures.

    A value rounded to bfloat16 is off by up to 0.4 %, and a block rounds a few to a dozen times: 0.4 to 2.5 % are seen.
    The whole network is no measure: random weights amplify the rounding from block to block, to 30 % in MobileNetV2
    and as much where a twin rounds by hand, so that a mistake in one block would be lost in it.
    """
    network = settled(name)
    pictures = images(name, count=4)
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        # BatchNorm makes small differences large. Without it those of noise are lost in what all noise has in common,
        # and any differences in biases of one, such as AlexNet's.
        pictures = scenes(name, count=4)
        for parameter_name, parameter in network.named_parameters():
            if parameter_name.endswith("bias"):
                nn.init.zeros_(parameter)
    passed: dict[nn.Module, tuple[Tensor, Tensor]] = {}  # what goes into each block and comes out

    def record(block: nn.Module, given: tuple[Tensor], got: Tensor) -> None:
        passed[block] = given[0], newest(got)

    hooks = [block.register_forward_hook(record) for _, block in blocks(network)]
    with torch.no_grad():
        network(pictures)
        for hook in hooks:
            hook.remove()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            off = {}
            for label, block in blocks(network):
                given, wanted = passed[block]
                spread = (wanted - wanted.mean(dim=0)).norm()
                off[label] = ((newest(block(given)) - wanted).norm() / spread).item()
            assert network(images(name)).isfinite().all()
    assert max(off.values()) > 0.001, "nothing was computed in bfloat16"
    assert {label: each for label, each in off.items() if not each <= 0.03} == {}


def test_every_design_with_auxiliary_classifiers_is_tried_with_them():
    assert {name for name in SMALLEST if hasattr(model_config(name), "aux")} == set(WITH_AUXILIARY)


@with_auxiliary("googlenet", "inception_v3", "nasnet_mobile", "shufflenet_v2_large")
def test_auxiliary_classifiers_keep_the_promises_too(name, changes):
    side = card(name).input[1]
    network = settled(name, side=side, aux=True, **changes)
    x = images(name, count=3, side=side)
    answers = network(x)
    assert isinstance(answers, tuple)
    torch.stack(answers).square().mean().backward()
    assert [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []

    with torch.no_grad():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert all(each.isfinite().all() for each in network(x))
        network.double()
        expected, alone = network(x.double()), network(x[:1].double())
        last = network.to(memory_format=torch.channels_last)(x.double().to(memory_format=torch.channels_last))
        for wanted, one, each in zip(expected, alone, last, strict=True):
            assert_equal(one, wanted[:1])
            assert_equal(each, wanted)


@variants()
def test_wrong_input_is_named(name):
    network = on_meta(name)
    channels, height, width = card(name).input
    with pytest.raises(UsageError, match=f"built for {channels} channels, got {channels + 1}"):
        network(torch.zeros(1, channels + 1, height, width))
    with pytest.raises(UsageError, match=r"expects images \(N, \d, H, W\)"):
        network(torch.zeros(channels, height, width))


@pytest.mark.parametrize("name", sorted(FIXED_SIZE))
def test_another_size_than_the_one_it_works_on_is_refused(name):
    channels, height, width = card(name).input
    for size in ((height - 1, width), (height, width + 1)):
        with pytest.raises(UsageError, match=f"{height}x{width} images only, got {size[0]}x{size[1]}"):
            on_meta(name)(torch.zeros(1, channels, *size))


def test_each_design_tells_its_smallest_picture():
    """Here, or where its own test says why it is that one."""
    told_there = {"cnn_f", "nin_cifar10", "overfeat_fast", "squeezenet1_0", "densenet121"}
    assert {MODELS[name] for name in (*SMALLEST_PICTURES, *FIXED_SIZE, *told_there)} == set(SIDES)


@pytest.mark.parametrize(("name", "called", "smallest"), [(name, *each) for name, each in SMALLEST_PICTURES.items()])
def test_a_picture_with_one_side_too_small_is_refused_with_the_smallest(name, called, smallest):
    network = on_meta(name)
    for size in ((smallest - 1, 2 * smallest), (2 * smallest, smallest - 1)):
        with pytest.raises(
            UsageError, match=f"^{called} needs images of at least {smallest}x{smallest}, got {size[0]}x{size[1]}$"
        ):
            network(torch.zeros(1, 3, *size, device="meta"))


@variants(besides=FIXED_SIZE)
def test_the_smallest_size_is_named_and_works(name):
    network = settled(name)
    channels = card(name).input[0]
    with pytest.raises(UsageError, match=r"needs images of at least (\d+)x\1, got 1x1") as refusal:
        network(torch.zeros(1, channels, 1, 1))
    smallest = int(re.search(r"at least (\d+)x", str(refusal.value))[1])
    with pytest.raises(UsageError, match=f"got {smallest}x{smallest - 1}"):
        network(torch.zeros(1, channels, smallest, smallest - 1))
    with torch.no_grad():
        assert network(torch.randn(1, channels, smallest, smallest)).isfinite().all()
        wide = torch.randn(1, channels, smallest, max(smallest, 64))
        assert all(min(feature.shape[2:]) >= 1 for feature in network.features(wide))


def test_unknown_names_and_options_suggest_the_nearest():
    with pytest.raises(UsageError, match=r'unknown network \'lenet6\'. Did you mean "lenet'):
        create_model("lenet6")
    with pytest.raises(UsageError, match=r"lenet5_modern has no option 'num_class'. Did you mean \"num_classes\""):
        create_model("lenet5_modern", num_class=3)


@pytest.mark.parametrize("value", [0, -1, 2.5, "3", True])
@pytest.mark.parametrize("field", ["num_classes", "in_channels"])
@designs(besides=FIXED_CLASSES)
def test_an_impossible_config_names_its_field(name, field, value):
    with pytest.raises(UsageError, match=rf"Config\.{field} must be a whole number >= 1, not {value!r}"):
        model_config(name, **{field: value})


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
