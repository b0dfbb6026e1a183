"""The cards, and looking them up."""

import subprocess
import sys

import pytest

from convatlas.catalog import card, list_cards, list_models, resolve
from convatlas.errors import UsageError


@pytest.mark.row("B-01")
def test_lenet5_carries_the_paper_s_figures():
    lenet = card("lenet5")
    assert (lenet.year, lenet.params, lenet.connections, lenet.input) == (1998, 60_000, 340_908, (1, 32, 32))
    assert [(figure.measure, figure.value) for figure in lenet.published] == [("error", 0.95), ("error", 0.8)]


def test_names_and_aliases_are_unique_and_each_alias_leads_home():
    names = [name for each in list_cards() for name in (each.name, *each.aliases)]
    assert len(names) == len(set(names))
    assert all(resolve(alias) == each.name for each in list_cards() for alias in each.aliases)


def test_every_card_is_complete_and_its_parents_exist():
    for each in list_cards():
        assert all((each.idea, each.features, each.use, each.title, each.authors, each.params_source, each.macs_source))
        assert each.url.startswith("https://")
        assert all(parent in list_models() for parent in each.parents)


# LeNet begins the atlas; the Vision Transformer takes its design from language, not from a convolutional network.
FRESH_STARTS = {"lenet5", "vit_b_16"}


@pytest.mark.row("I-03")
def test_every_network_descends_from_an_older_one_but_for_two_that_start_afresh():
    assert {each.name for each in list_cards() if not each.parents} == FRESH_STARTS
    for each in list_cards():
        for parent in each.parents:
            assert card(parent).name == parent, f"{each.name}: {parent} is an alias"
            assert card(parent).year <= each.year, f"{parent} is younger than its child {each.name}"


@pytest.mark.row("I-03")
def test_no_network_is_its_own_ancestor_and_all_lines_end_at_a_fresh_start():
    for each in list_cards():
        generation, ancestors = {each.name}, set()
        while generation:
            generation = {parent for name in generation for parent in card(name).parents} - ancestors
            ancestors |= generation
        assert each.name not in ancestors
        assert each.name in FRESH_STARTS or len(ancestors & FRESH_STARTS) == 1


@pytest.mark.row("I-03")
@pytest.mark.parametrize(
    ("child", "parent"),
    [
        ("alexnet_paper", "lenet5"),
        ("nin_imagenet", "nin_cifar10"),
        ("googlenet_paper", "nin_imagenet"),
        ("vgg11", "alexnet_paper"),
        ("plain34", "vgg19"),
        ("plain20_cifar", "plain34"),
        ("densenet121", "resnet50"),
        ("xception", "inception_v3"),
        ("mobilenet_v1", "xception"),
        ("mobilenet_v2", "mobilenet_v1"),
        ("efficientnet_b0", "mobilenet_v2"),
        ("senet154", "se_resnext101_32x4d"),
    ],
)
def test_the_papers_name_their_forebears(child, parent):
    assert parent in card(child).parents


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"pattern": "LeNet5*"}, ["lenet5", "lenet5_modern"]),
        ({"pattern": "lenet5"}, ["lenet5", "lenet5_modern"]),
        ({"pattern": "lenet*_modern"}, ["lenet5_modern"]),
        ({"pattern": "net5_mod"}, ["lenet5_modern"]),
        ({"pattern": "zzz"}, []),
        # On families whose papers are complete in the atlas: a new family changes none of these.
        ({"pattern": "lenet*", "year": 1998, "max_params": 60_000}, ["lenet5"]),
        ({"pattern": "lenet*", "year": 1998}, ["lenet5", "lenet5_modern"]),
        ({"pattern": "lenet*", "year": 1997}, []),
        ({"pattern": "lenet*", "since": 1998}, ["lenet5", "lenet5_modern"]),
        ({"pattern": "lenet*", "since": 1999}, []),
        ({"pattern": "lenet*", "until": 1998}, ["lenet5", "lenet5_modern"]),
        ({"pattern": "lenet*", "until": 1997}, []),
        ({"pattern": "lenet*", "max_macs": 400_000}, ["lenet5"]),
        ({"pattern": "lenet*", "task": "classify"}, ["lenet5", "lenet5_modern"]),
        ({"pattern": "resnet*_cifar", "max_params": 500_000}, ["resnet20_cifar", "resnet32_cifar"]),
    ],
)
def test_conditions_narrow_the_list(conditions, expected):
    assert list_models(**conditions) == expected


def test_without_a_condition_it_lists_all_of_them_oldest_first():
    names = list_models()
    assert {"lenet5", "resnet50", "mobilenet_v2", "efficientnet_b0"} <= set(names)
    years = [card(name).year for name in names]
    assert years == sorted(years)
    assert list_models(since=1998, until=1998) == list_models(year=1998) != names


def test_unknown_names_and_tasks_are_refused_with_a_suggestion():
    with pytest.raises(UsageError, match=r'unknown network \'lenet55\'. Did you mean "lenet5"'):
        card("lenet55")
    with pytest.raises(UsageError, match=r'unknown task \'clasify\'. Did you mean "classify"'):
        list_models(task="clasify")


def test_the_catalog_needs_no_torch():
    code = "import sys, convatlas; convatlas.list_models(); print('torch' in sys.modules, 'numpy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]
