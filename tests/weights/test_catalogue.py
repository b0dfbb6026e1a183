import dataclasses
import re
import subprocess
import sys

import pytest

from convatlas.catalog import list_cards, list_models
from convatlas.errors import UsageError
from convatlas.models import MODELS, family_module, model_config
from convatlas.weights import default_weights, imagenet_classes, list_weights, weight_set
from convatlas.weights.keys import NAMES
from convatlas.weights.preprocess import preprocess_of


def test_every_set_is_complete():
    for each in list_weights():
        assert each.key == each.key.strip()
        assert each.key.startswith(f"{each.source}/")
        assert (each.address is None) != (each.package is None), each.key
        assert each.address is None or each.address.startswith("https://"), each.key
        assert len(each.sha256) in (0, 8, 64), each.key
        assert set(each.sha256) <= set("0123456789abcdef"), each.key
        assert each.licence, each.key
        assert each.data, each.key
        assert each.data_terms, each.key
        transform = each.transform
        assert transform.resize is None or transform.resize >= transform.crop >= 160, each.key
        assert transform.interpolation in ("bilinear", "bicubic")
        assert len(transform.mean) == len(transform.std) == 3
        assert all(0 <= value < 1 for value in transform.mean), each.key
        assert all(0 < value <= 1 for value in transform.std), each.key
        assert (each.top1 is None) == (each.top5 is None) == (not each.score_source), each.key
        assert each.top1 is None or 50 < each.top1 < each.top5 < 100, each.key
        assert (each.classes, each.num_classes) == ("imagenet", 1000)


def test_files_of_different_sets_have_different_names():
    names = [(each.source, each.file_name.lower()) for each in list_weights()]
    assert len(names) == len(set(names))
    assert not any(set(name) & set('<>:"/\\|?*') for _, name in names)


def test_a_prefix_of_the_digest_is_the_one_in_the_files_name():
    for each in list_weights("torchvision/*"):
        assert re.search(rf"-{each.sha256}(..)?\.pth$", each.file_name), each.key  # the oldest state two digits more


def test_every_set_is_for_a_network_of_the_atlas_and_its_names_are_known():
    for each in list_weights():
        assert each.model in list_models()
        family = getattr(family_module(each.model), MODELS[each.model].network)
        assert family in NAMES[each.naming], each.key
        assert model_config(each.model, **each.changes).num_classes == each.num_classes


def test_torchvisions_sets_say_what_torchvision_says():
    """Against the installed torchvision: every set of these networks, its address, scores and transform."""
    from torchvision import models

    names = {each.key.split("/")[1] for each in list_weights("torchvision/*")}
    theirs = {
        f"torchvision/{name}/{w.name}": w
        for name in names
        for w in models.get_model_weights(name)
        if w.name != "IMAGENET1K_FEATURES"  # no classifier
    }
    assert {each.key for each in list_weights("torchvision/*")} == set(theirs)
    for key, weights in theirs.items():
        ours, transform = weight_set(key), weights.transforms()
        scores = weights.meta["_metrics"]["ImageNet-1K"]
        assert (ours.address, ours.top1, ours.top5) == (weights.url, scores["acc@1"], scores["acc@5"])
        assert [ours.transform.resize] == transform.resize_size
        assert [ours.transform.crop] == transform.crop_size
        assert ours.transform.interpolation == transform.interpolation.value
        # With these weights torchvision's Inceptions first turn ImageNet's statistics into (pixel - 0.5) / 0.5.
        inception = ours.model in ("googlenet", "inception_v3")
        assert list(ours.transform.mean) == ([0.5] * 3 if inception else transform.mean)
        assert list(ours.transform.std) == ([0.5] * 3 if inception else transform.std)
        assert list(imagenet_classes()) == weights.meta["categories"]


def test_the_cards_state_the_scores_of_torchvisions_sets():
    figures = [
        (each.name, figure)
        for each in list_cards()
        for figure in each.published
        if figure.source == "torchvision, weights IMAGENET1K_V1"
    ]
    assert len(figures) == 50  # top-1 and top-5 of 25 networks
    for name, figure in figures:
        theirs = weight_set(f"torchvision/{name}/IMAGENET1K_V1")  # compared with torchvision above
        assert figure.value == {"accuracy": theirs.top1, "top-5 accuracy": theirs.top5}[figure.measure]


def test_timms_sets_say_what_timm_says():
    from timm.models import get_pretrained_cfg

    for ours in list_weights("timm/*"):
        theirs = get_pretrained_cfg(ours.key.removeprefix("timm/"))
        on_the_hub = f"https://huggingface.co/{theirs.hf_hub_id}/resolve/main/model.safetensors"
        assert ours.address == (on_the_hub if theirs.hf_hub_id else theirs.url)
        assert ours.licence.lower() == theirs.license
        assert ours.num_classes == theirs.num_classes
        assert ours.transform.crop == (theirs.test_input_size or theirs.input_size)[1]
        assert (ours.transform.resize is None) == (theirs.crop_mode == "squash")
        if ours.transform.resize is not None:
            share = theirs.test_crop_pct or theirs.crop_pct
            assert ours.transform.resize == int(ours.transform.crop / share)
        assert ours.transform.interpolation == theirs.interpolation
        assert ours.transform.mean == theirs.mean
        assert ours.transform.std == theirs.std


@pytest.mark.parametrize(
    ("conditions", "keys"),
    [
        ({"pattern": "lite0"}, ["package/efficientnet_lite0", "timm/tf_efficientnet_lite0.in1k"]),
        ({"model": "efficientnet-lite0"}, ["package/efficientnet_lite0", "timm/tf_efficientnet_lite0.in1k"]),
        ({"pattern": "TorchVision/mobilenet_v2*"}, [f"torchvision/mobilenet_v2/IMAGENET1K_V{n}" for n in (1, 2)]),
        ({"pattern": "mobilenet", "licence": "unstated", "model": "resnet18"}, []),
        (
            {"model": "resnet18", "licence": "cc-by-nc-4.0"},
            ["timm/resnet18.fb_ssl_yfcc100m_ft_in1k", "timm/resnet18.fb_swsl_ig1b_ft_in1k"],
        ),
    ],
)
def test_conditions(conditions, keys):
    assert [each.key for each in list_weights(**conditions)] == keys


def test_unknown_words_suggest_the_nearest():
    with pytest.raises(UsageError, match=r'unknown weight set .* Did you mean "torchvision/resnet50/IMAGENET1K_V'):
        weight_set("torchvision/resnet50/IMAGENET1K_V3")
    with pytest.raises(UsageError, match="efficientnet_lite0 has: package/efficientnet_lite0, timm/tf_efficientnet_li"):
        weight_set("efficientnet_lite0")
    with pytest.raises(UsageError, match=r'unknown licence \'Apache\'. Did you mean "Apache-2.0"\? There is: Apache'):
        list_weights(licence="Apache")
    with pytest.raises(UsageError, match="unknown network"):
        list_weights(model="resnet5000")


def test_a_key_in_another_case():
    assert weight_set("TORCHVISION/resnet50/imagenet1k_v1") is weight_set("torchvision/resnet50/IMAGENET1K_V1")


def test_known_classes():
    """As in the issue: chelsea is a cat (281 tabby, 282 tiger cat, 285 Egyptian cat), coffee an espresso (967)."""
    names = imagenet_classes()
    assert len(names) == len(set(names)) == 1000
    assert [names[i] for i in (0, 281, 282, 285, 967, 999)] == [
        "tench",
        "tabby",
        "tiger cat",
        "Egyptian cat",
        "espresso",
        "toilet tissue",
    ]


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ("efficientnet_lite0", "package/efficientnet_lite0"),
        ("tf_efficientnet_lite0", "package/efficientnet_lite0"),
        ("resnet50", "torchvision/resnet50/IMAGENET1K_V2"),
        ("resnet18", "torchvision/resnet18/IMAGENET1K_V1"),
        ("mobilenet_v2", "torchvision/mobilenet_v2/IMAGENET1K_V2"),
        ("vit_b_16", "torchvision/vit_b_16/IMAGENET1K_V1"),  # its better sets are not for commercial use
        ("vit_h_14", "torchvision/vit_h_14/IMAGENET1K_SWAG_LINEAR_V1"),  # it has no others
        ("lenet5_modern", None),
        ("resnet50_paper", None),
    ],
)
def test_default_weights(model, key):
    found = default_weights(model)
    assert (found and found.key) == key


def test_every_network_with_sets_for_its_own_config_has_default_weights():
    for model in {each.model for each in list_weights() if not each.changes}:
        found = default_weights(model)
        assert found is not None
        assert (found.model, found.changes) == (model, {})


def test_every_transform_becomes_a_preprocess():
    for each in list_weights():
        preprocess = preprocess_of(each.transform)
        assert (preprocess.channels, preprocess.height, preprocess.width) == (
            3,
            each.transform.crop,
            each.transform.crop,
        )
        assert (preprocess.fit, preprocess.resize) == (
            ("stretch", None) if each.transform.resize is None else ("crop", each.transform.resize)
        )
    assert {preprocess_of(each.transform).fit for each in list_weights()} == {"crop", "stretch"}


def test_the_sets_are_data_and_need_no_torch():
    code = "import sys; from convatlas.weights import list_weights; list_weights(); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_the_packaged_transform_is_pixels_minus_127_over_128():
    transform = weight_set("package/efficientnet_lite0").transform
    for pixel in (0, 127, 255):
        value = (pixel / 255 - transform.mean[0]) / transform.std[0]
        assert value == pytest.approx((pixel - 127) / 128, abs=1e-12)
    assert dataclasses.asdict(transform)["crop"] == 224
