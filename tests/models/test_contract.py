"""What every network of the catalog promises, checked on each of them.

The smallest member of each design runs always; its larger ones, which are the same code, with `every_variant`.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import replace

import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from convatlas.catalog import card, list_models
from convatlas.engine.classifier import classifiers
from convatlas.errors import UsageError
from convatlas.models import MODELS, create_model, model_config
from convatlas.models.classify import bn_inception, cnn_fms, efficientnet, googlenet, mobilenet_v2, nin, overfeat
from convatlas.models.contract import capture

# The smallest member of each design, and the side of the pictures that it and the larger ones are tried on.
SMALLEST = {
    "lenet5": 32,
    "lenet5_modern": 32,
    "alexnet": 80,
    "zfnet": 64,
    "cnn_f": 64,
    "nin_cifar10": 40,
    "overfeat_fast": 231,
    "sppnet_zf5": 64,
    "vgg11": 64,
    "googlenet": 64,
    "bn_inception": 64,
    "inception_v2": 96,
    "inception_v3": 96,
    "resnet18": 64,
    "resnet20_cifar": 16,
    "mobilenet_v2": 64,
    "efficientnet_b0": 64,
    "efficientnet_lite0": 64,
}
SIDES = {MODELS[name]: side for name, side in SMALLEST.items()}
FIXED_SIZE = {"lenet5", "lenet5_modern"}  # a layer as large as its maps: the input's size only
FIXED_CLASSES = {"lenet5"}  # its classes are the drawings of ten digits
# What makes a design's smallest member quicker to trace; each kind of block that it has is still there.
SHORTER = {
    "lenet5": {},
    "lenet5_modern": {},
    "alexnet": {"channels": (8,) * 5},
    "zfnet": {"channels": (8,) * 5},
    "cnn_f": {"convs": tuple(replace(row, out=8) for row in cnn_fms.CNN_F)},
    "nin_cifar10": {"layers": tuple(replace(row, widths=(8,) * len(row.widths)) for row in nin.CIFAR10)},
    "overfeat_fast": {},
    "sppnet_zf5": {"channels": (8,) * 5, "hidden": 16},
    "vgg11": {"depths": (1, 1, 1, 1, 1), "width": 8},
    "googlenet": {"stem": (8, 8, 16), "stages": ((googlenet.TABLE_1[0][0],),) * 3},
    "bn_inception": {"stem": (8, 8, 16), "stages": tuple(rows[:1] for rows in bn_inception.FIGURE_5)},
    "inception_v2": {"width": 0.05, "depths": (1, 1, 1)},
    "inception_v3": {"width": 0.05, "pool_proj": (32,), "channels_7x7": (128,)},
    "resnet18": {"depths": (1, 1, 1, 1), "width": 8},
    "resnet20_cifar": {"depth": 8, "width": 8},
    "mobilenet_v2": {"width": 0.25, "stages": mobilenet_v2.TABLE_2[:2]},
    "efficientnet_b0": {"stages": efficientnet.TABLE_1[:2]},
    "efficientnet_lite0": {"stages": efficientnet.TABLE_1[:2]},
}
TOO_LONG_TO_TRACE = {"resnet1202_cifar"}  # 600 blocks that are all alike: minutes

NAMES = list_models()
# Fewer units where a hundred million weights would only take time: all that is tried besides the counts has these.
LIGHTER = {
    **{
        name: {"layers": tuple(replace(row, out=row.out // 8) for row in config.layers), "hidden": (32, 32)}
        for name, config in overfeat.CONFIGS.items()
    },
    **{name: {"hidden": 64} for name in NAMES if name.startswith(("alexnet", "vgg", "zfnet"))},
    "sppnet_zf5": {"hidden": 64},
    **{name: {"full6": 64, "full7": 64} for name in cnn_fms.CONFIGS},
}


def marked(*values: object) -> object:
    """A case for `make test-all` alone."""
    return pytest.param(*values, marks=pytest.mark.every_variant)


def variants(*, besides: set[str] = frozenset()) -> pytest.MarkDecorator:
    """Every network `besides` those named; all but the smallest of each design with the mark every_variant."""
    names = [name for name in NAMES if name not in besides]
    return pytest.mark.parametrize("name", [name if name in SMALLEST else marked(name) for name in names])


traced = pytest.mark.parametrize(
    ("name", "changes"),
    [*SHORTER.items(), *(marked(name, {}) for name in NAMES if name not in FIXED_SIZE | TOO_LONG_TO_TRACE)],
)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def images(name: str, count: int = 2, *, channels: int | None = None, side: int | None = None) -> Tensor:
    side = side or SIDES[MODELS[name]]
    return torch.randn(count, channels or card(name).input[0], side, side)


def scenes(name: str, count: int) -> Tensor:
    """Pictures of four large patches, which differ after averaging too; all noise looks alike from afar."""
    side = SIDES[MODELS[name]]
    return functional.interpolate(torch.randn(count, card(name).input[0], 2, 2), side, mode="bilinear")


def settled(name: str, *, side: int | None = None, **changes: object) -> nn.Module:
    """The network after a look at some pictures, ready to answer.

    Where BatchNorm's averages are still 0 and 1, a residual network doubles the variance in each block: 600 overflow.
    Nothing but BatchNorm is in training: stochastic depth and dropout would give it averages that no answer has.
    """
    network = create_model(name, **{**LIGHTER.get(name, {}), **changes}).eval()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    if norms:
        with torch.no_grad():
            network(images(name, count=16, channels=changes.get("in_channels"), side=side))
    return network.eval()


def assert_equal_but_for_rounding(got: Tensor, wanted: Tensor) -> None:
    """In float64, relative to the largest output.

    Sums in another order differ by about 1e-16 of their terms, and random weights amplify that from block to block:
    the deepest networks, whose outputs are hundreds, are off by some 1e-12 of the largest; a mistake by 1e-3 or more.
    """
    assert got.dtype == wanted.dtype == torch.float64
    assert (got - wanted).abs().max() <= 1e-10 * wanted.abs().max()


def on_meta(name: str) -> nn.Module:
    with torch.device("meta"):
        network = create_model(name)
    assert all(value.is_meta for value in network.state_dict().values())
    return network


def test_the_table_of_models_and_the_cards_name_the_same_networks():
    assert sorted(MODELS) == sorted(NAMES)


def test_each_design_has_a_small_member_that_runs_always():
    assert {entry: name for name, entry in MODELS.items() if entry not in SIDES} == {}, "add its smallest to SMALLEST"
    assert len(SIDES) == len(SMALLEST)


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
def test_the_head_turns_the_last_features_into_the_answer(name):
    network = settled(name)
    x = images(name)
    with torch.no_grad():
        assert torch.equal(network.head(network.features(x)[-1]), network(x))


@variants()
def test_any_number_of_input_channels(name):
    network = settled(name, in_channels=5)
    assert network(images(name, channels=5)).shape == (2, card(name).num_classes)


@variants(besides=FIXED_CLASSES)
@pytest.mark.parametrize("classes", [1, 3])
def test_any_class_count(name, classes):
    assert settled(name, num_classes=classes)(images(name)).shape == (2, classes)


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
            network.get_submodule(classifier).bias.fill_(-1e6)
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
        assert_equal_but_for_rounding(network(x)[:1], network(x[:1]))


@variants()
def test_channels_last_gives_the_same(name):
    network = settled(name).double()
    x = images(name).double()
    with torch.no_grad():
        expected = network(x)
        last = network.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    assert_equal_but_for_rounding(last, expected)


def blocks(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The stem, each block of each stage and the head, or whatever stands in their place, by name."""
    for name, child in network.named_children():
        if not isinstance(child, nn.ModuleList):
            yield name, child
            continue
        for index, stage in enumerate(child):
            yield from ((f"{name}.{index}.{block_name}", block) for block_name, block in stage.named_children())


@pytest.mark.parametrize("name", SMALLEST)  # larger ones have more blocks of the same kinds
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
        passed[block] = given[0], got

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
                off[label] = ((block(given) - wanted).norm() / spread).item()
            assert network(images(name)).isfinite().all()
    assert max(off.values()) > 0.001, "nothing was computed in bfloat16"
    assert {label: each for label, each in off.items() if not each <= 0.03} == {}


@traced
def test_torch_export_and_onnx_agree_for_any_batch(name, changes):
    network = settled(name, **changes)
    program = torch.export.export(network, (images(name),), dynamic_shapes=({0: torch.export.Dim("N", min=1)},))
    x = images(name, count=5)
    with torch.no_grad():
        expected = network(x)
        torch.testing.assert_close(program.module()(x), expected)
    graph = io.BytesIO()
    torch.onnx.export(program, dynamo=True, verbose=False).save(graph)
    session = onnxruntime.InferenceSession(graph.getvalue(), providers=["CPUExecutionProvider"])
    (answers,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    # Another library adds up in another order: it may be about as far from what float64 gives as torch's float32 is,
    # which a hundred layers of random weights bring to 7e-4 of the largest output, or the exporter's own bound.
    with torch.no_grad():
        exact = network.double()(x.double())
    bound = max(4 * (expected - exact).abs().max().item(), 1e-4 * exact.abs().max().item())
    assert (torch.from_numpy(answers) - exact).abs().max() <= bound


@traced
def test_compiles_as_one_graph(name, changes):
    torch.compiler.reset()
    network = settled(name, **changes)
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    x = images(name)
    torch.testing.assert_close(compiled(x), network(x))


ROWS = googlenet.TABLE_1
WITH_AUXILIARY = {  # each design that can have auxiliary classifiers, in a short form that has them all
    "googlenet": {"stem": (8, 8, 16), "stages": (ROWS[0][:1], ROWS[1][:4], ROWS[2][:1])},
    "inception_v3": SHORTER["inception_v3"],
}


def test_every_design_with_auxiliary_classifiers_is_tried_with_them():
    assert {name for name in SMALLEST if hasattr(model_config(name), "aux")} == set(WITH_AUXILIARY)


@pytest.mark.parametrize(("name", "changes"), WITH_AUXILIARY.items())
def test_auxiliary_classifiers_keep_the_promises_too(name, changes):
    side = card(name).input[1]
    network = settled(name, side=side, aux=True, **changes)
    x = images(name, count=3, side=side)
    answers = network(x)
    assert isinstance(answers, tuple)
    torch.stack(answers).square().mean().backward()
    assert [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []

    program = torch.export.export(network, (x,), dynamic_shapes=({0: torch.export.Dim("N", min=1)},))
    torch.compiler.reset()
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        for others in (program.module()(x), compiled(x)):
            assert type(others) is type(answers)
            torch.testing.assert_close(others, answers)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert all(each.isfinite().all() for each in network(x))

        network.double()
        expected, alone = network(x.double()), network(x[:1].double())
        last = network.to(memory_format=torch.channels_last)(x.double().to(memory_format=torch.channels_last))
        for wanted, one, each in zip(expected, alone, last, strict=True):
            assert_equal_but_for_rounding(one, wanted[:1])
            assert_equal_but_for_rounding(each, wanted)


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
            create_model(name)(torch.zeros(1, channels, *size))


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
@pytest.mark.parametrize("name", [name for name in SMALLEST if name not in FIXED_CLASSES])
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
