"""The papers' names of parts, against the modules of the networks themselves."""

from collections import Counter
from dataclasses import asdict

import pytest
import torch

import convatlas
from convatlas.catalog import card, list_cards, list_models

# What a paper draws once and repeats has one name at several places.
REPEATED = {
    "entry flow",
    "middle flow",
    "Normal Cell",
    "Reduction Cell",
    *(f"Inception-{letter}" for letter in "ABC"),
    *(f"Inception-resnet-{letter}" for letter in "ABC"),
    *(f"Inception (Figure {figure})" for figure in (5, 6, 7)),
    "reduction (Figure 10)",
}
# Networks whose authors name no part: a table of sizes alone, or code without a paper.
UNNAMED = {"ResNet-CIFAR", "ShuffleNetV2.Large", "ShuffleNetV2+"}


@pytest.fixture(scope="module")
def modules():
    """The paths of the modules of every network, built without numbers."""
    with torch.device("meta"):
        return {name: dict(convatlas.create_model(name).named_modules()) for name in list_models()}


@pytest.mark.row("I-04")
def test_every_path_is_a_module_of_the_network(modules):
    wrong = [(each.name, path) for each in list_cards() for path in each.part_names if path not in modules[each.name]]
    assert not wrong


def test_names_are_unique_but_for_what_a_paper_repeats():
    for each in list_cards():
        twice = {name for name, count in Counter(each.part_names.values()).items() if count > 1}
        assert twice <= REPEATED, each.name
        assert all(name == name.strip() != "" for name in each.part_names.values())


def test_only_networks_whose_authors_name_no_part_have_no_names():
    unnamed = {each.name for each in list_cards() if not each.part_names}
    assert unnamed == {each.name for each in list_cards() if each.family in UNNAMED} | {"shufflenet_v2_50"}


def test_repeated_parts_are_of_one_kind(modules):
    """All that is called "Inception-A" in a network is built by the same class, and so are all numbered modules."""
    for each in list_cards():
        kinds = {}
        for path, name in each.part_names.items():
            if name in REPEATED - {"entry flow"}:
                kinds.setdefault(name, set()).add(type(modules[each.name][path]))
        assert all(len(kind) == 1 for kind in kinds.values()), each.name


@pytest.mark.parametrize(
    ("network", "stage", "name", "count"),
    [
        ("inception_v4", 0, "Inception-A", 4),
        ("inception_v4", 1, "Inception-B", 7),
        ("inception_v4", 2, "Inception-C", 3),
        ("inception_resnet_v1", 1, "Inception-resnet-B", 10),
        ("inception_resnet_v2", 1, "Inception-resnet-B", 20),
        ("inception_v2", 1, "Inception (Figure 6)", 5),
        ("inception_v3", 1, "Inception (Figure 6)", 4),
        ("nasnet_mobile", 1, "Normal Cell", 4),
        ("nasnet_large", 3, "Normal Cell", 6),
        ("nasnet_cifar", 0, "Normal Cell", 6),
        ("xception", 2, "middle flow", 8),
    ],
)
def test_all_repetitions_of_a_stage_are_named(modules, network, stage, name, count):
    """The papers' multiplicities, and with them no block of a stage that is left without its name."""
    names = card(network).part_names
    paths = [path for path in modules[network] if path.count(".") == 2 and path.startswith(f"stages.{stage}.")]
    assert sum(names.get(path) == name for path in paths) == count


@pytest.mark.parametrize(
    ("network", "path", "name"),
    [
        ("lenet5", "c3", "C3"),
        ("alexnet", "stages.2.conv4", "conv4"),
        ("zfnet", "stages.2.conv3", "layer 3"),
        ("vgg16", "stages.3.conv3", "conv4_3"),
        ("vgg19_bn", "stages.4.conv4", "conv5_4"),
        ("googlenet_paper", "stages.1.e", "inception (4e)"),
        ("se_bn_inception", "stages.2.0", "inception (4e)"),
        ("plain34", "stages.0", "conv2_x"),
        ("resnet152", "stages.3", "conv5_x"),
        ("resnext50_32x4d", "stages.3", "conv5"),
        ("se_resnet50", "stages.0", "stage 2"),
        ("densenet121", "stages.3.block", "Dense Block (4)"),
        ("densenet_bc100_k12_cifar", "stages.2.transition", "Transition Layer (2)"),
        ("squeezenet1_1", "stages.2.fire6", "fire6"),
        ("mobilenet_v2", "stages.6", "bottleneck, row 8"),
        ("mobilenet_v3_large", "stages.5", "bneck, rows 14-16"),
        ("efficientnet_b7", "head", "stage 9"),
        ("efficientnet_v2_s", "head", "stage 7"),
        ("efficientnet_v2_l", "head", "stage 8"),
        ("shufflenet_v2_x1_0", "head.last", "Conv5"),
        ("vit_b_16", "stages.0", "Transformer Encoder"),
    ],
)
def test_parts_have_the_names_of_the_paper(network, path, name):
    assert card(network).part_names[path] == name


def test_a_card_is_plain_data_and_can_be_looked_up():
    lenet = card("lenet5")
    assert asdict(lenet)["part_names"] == dict(lenet.part_names)
    assert len({lenet, card("resnet50"), card("lenet5")}) == 2
