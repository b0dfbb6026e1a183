"""Which weights a run starts from and why; what then learns, and what stays as it was."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.nn import functional

from convatlas.api.finish import _origin_of_weights
from convatlas.catalog import card
from convatlas.data.loader import read_all
from convatlas.data.picture_set import ArrayReader, DataSplits, PictureSet
from convatlas.data.preprocess import Preprocess
from convatlas.engine.bundle import Bundle, write_bundle
from convatlas.engine.checkpoint import load_checkpoint
from convatlas.engine.classifier import answering, classifiers
from convatlas.engine.features import cache_features, classifier_alone
from convatlas.engine.observer import Observer
from convatlas.engine.optimizer import make_optimizer, make_schedule
from convatlas.engine.parts import learning_parts, parts, set_learning
from convatlas.engine.plan import Plan, Wishes, make_plan
from convatlas.engine.run import RunFolder
from convatlas.engine.start import initial_network, start_training, zero_new_classifiers
from convatlas.engine.strategy import choose_start, default_model
from convatlas.errors import CheckpointError, DownloadError, UsageError, WeightsError
from convatlas.models import MODELS, create_model
from convatlas.models.classify.efficientnet_lite import CONFIGS
from convatlas.recipes.recipe import Recipe
from convatlas.tasks.make import make_task
from convatlas.weights import default_weights, imagenet_classes, weight_set
from convatlas.weights.cache import cached_path
from convatlas.weights.load import load_backbone
from tests.models.members import ALWAYS, SHORTER, SIDES, designs, settled

pytestmark = pytest.mark.row("F-03")

LITE0 = "package/efficientnet_lite0"
MOBILE = "torchvision/mobilenet_v2/IMAGENET1K_V2"
TINY = {"epochs": 2, "batch_size": 4, "threads": 1, "deterministic": True}


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVATLAS_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def photographs() -> DataSplits:
    """Two classes of 64 x 64 pictures that differ in colour, and vary."""
    random = np.random.default_rng(0)
    labels = np.arange(20) % 2
    pictures = [
        (random.uniform(0, 1, (64, 64, 3)) * ([255, 90, 90] if label else [90, 90, 255])).astype(np.uint8)
        for label in labels
    ]
    names = tuple(f"{number}.png" for number in range(len(labels)))
    whole = PictureSet(
        names=names, targets=labels, classes=("blue", "red"), read=ArrayReader(np.stack(pictures)), origin="colours"
    )
    order = np.arange(20)
    return DataSplits(train=whole.take(order[:14]), val=whole.take(order[14:]), test=None, how="for a test")


def plan_of(splits: DataSplits, *, changes: dict[str, object] | None = None, **wishes) -> Plan:
    return make_plan(splits, Wishes(device="cpu", size=64, changes={**TINY, **(changes or {})}, **wishes))


def trained(plan: Plan, splits: DataSplits, folder, *, resume: bool = False):
    task = make_task(plan.task, plan.model, plan.classes, label_smoothing=plan.recipe.label_smoothing)
    train, val = (read_all(part, plan.preprocess) for part in (splits.train, splits.val))
    return start_training(plan, task, train, val, RunFolder(folder), resume=resume, observer=Observer())


@pytest.mark.parametrize(
    ("count", "strategy"),
    [(1, "transfer"), (999, "transfer"), (1000, "fine-tune"), (5000, "fine-tune"), (5001, "scratch")],
)
def test_pictures_a_class_decide(count, strategy):
    start = choose_start("efficientnet_lite0", {}, count)
    assert start.strategy == strategy
    assert f"{count:,}" in start.reason
    assert start.weight_set == (None if strategy == "scratch" else LITE0)


@pytest.mark.parametrize("strategy", ["transfer", "fine-tune", "scratch"])
def test_what_is_asked_for_stands(strategy):
    start = choose_start("efficientnet_lite0", {}, 3, strategy=strategy)
    assert (start.strategy, start.reason) == (strategy, "you asked for it")


def test_no_published_weights_means_from_scratch_and_says_so():
    start = choose_start("lenet5_modern", {}, 3)
    assert (start.strategy, start.weight_set) == ("scratch", None)
    assert start.reason == "no weights of lenet5_modern are published"
    with pytest.raises(UsageError, match="no weights of lenet5_modern are published; --weights RUN"):
        choose_start("lenet5_modern", {}, 3, strategy="transfer")
    assert "width=0.7" in choose_start("mobilenet_v2", {"width": 0.7}, 3).reason


def test_a_change_that_changes_nothing_is_no_other_network():
    assert choose_start("mobilenet_v2", {"width": 1.0}, 3, strategy="transfer").weight_set == MOBILE


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"model": "resnet18", "recipe": "transfer"}, "trainable=classifier and strategy scratch"),
        ({"strategy": "transfer", "changes": {"trainable": "all"}}, "trainable=all and strategy transfer"),
        ({"model_changes": {"width": 2.0}, "weights": LITE0}, "with width=1.0, not 2.0: leave"),
        ({"model_changes": {"dropout": "much"}}, "dropout must be .*, not 'much'"),
        ({"model_changes": {"stages": 5}}, "stages must be .*, not 5"),
        ({"model": "mobilenet_v2", "model_changes": {"stages": 5}}, "stages must be .*, not 5"),
        ({"model": "resnet18", "model_changes": {"bottleneck": "no"}}, "bottleneck must be True or False, not 'no'"),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused(photographs, wishes, message):
    with pytest.raises(UsageError, match=message):
        plan_of(photographs, **{"model": "efficientnet_lite0", **wishes})


def test_a_network_that_a_plan_cannot_keep_is_refused(photographs):
    stages = CONFIGS["efficientnet_lite0"].stages[:2]
    with pytest.raises(UsageError, match=r"model\.stages: .* cannot be kept in a run's plan"):
        plan_of(photographs, model="efficientnet_lite0", strategy="scratch", model_changes={"stages": stages})
    plan = plan_of(photographs, model="resnet18", model_changes={"depths": (1, 1, 1, 1)})
    again = Plan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert create_model(again.model, **again.changes).config == create_model(plan.model, **plan.changes).config


def test_weights_that_are_not_here_are_not_downloaded_unasked():
    start = choose_start("mobilenet_v2", {}, 3)
    assert start.strategy == "scratch"
    assert MOBILE in start.reason and "--weights default brings them" in start.reason
    assert choose_start("mobilenet_v2", {}, 3, weights="default").weight_set == MOBILE
    assert choose_start("mobilenet_v2", {}, 3, strategy="transfer").weight_set == MOBILE


def test_weights_that_are_named_are_used_however_many_pictures_there_are():
    start = choose_start("efficientnet_lite0", {}, 9000, weights="default")
    assert (start.strategy, start.weight_set) == ("fine-tune", LITE0)


def test_damaged_weights_are_not_fetched_anew_unasked(photographs, tmp_path, monkeypatch):
    from convatlas.api.train import train
    from tests.api.conftest import picture_folder

    path = cached_path(weight_set(MOBILE))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged")
    monkeypatch.setattr("convatlas.weights.fetch.download", lambda *_, **__: pytest.fail("downloaded"))
    photos = picture_folder(tmp_path / "photos", count=8)
    with pytest.raises(WeightsError, match=r"its SHA-256 is .* expected .*; remove it and fetch"):
        train(photos, model="mobilenet_v2", size=64, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_weights_in_the_cache_are_used():
    path = cached_path(weight_set(MOBILE))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"here")
    start = choose_start("mobilenet_v2", {}, 3)
    assert (start.strategy, start.weight_set) == ("transfer", MOBILE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "fine_tune"}, "unknown strategy 'fine_tune'. Did you mean \"fine-tune\""),
        ({"strategy": "scratch", "weights": "default"}, "starts from no weights"),
        ({"weights": MOBILE}, f"weights: {MOBILE} are of mobilenet_v2, not of efficientnet_lite0"),
        ({"weights": "runs/nothing"}, "there is no folder runs/nothing, and as a key it is not known"),
        ({"weights": __file__}, "is a file; a run starts from a key"),
        ({"weights": "package/efficientnet_lite"}, "unknown weight set"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        choose_start("efficientnet_lite0", {}, 3, **arguments)


def test_weights_that_cannot_be_had_offline_stop_before_anything_is_written(photographs, tmp_path, monkeypatch):
    from convatlas.engine.start import bring_weights

    plan = plan_of(photographs, model="mobilenet_v2", strategy="transfer")
    with pytest.raises(DownloadError, match="By hand: download https"):
        bring_weights(plan, offline=True)


def test_the_network_for_someone_who_names_none(monkeypatch):
    large, small = np.zeros((64, 80, 3), np.uint8), np.zeros((28, 28, 3), np.uint8)
    assert default_model([large, large, small])[0] == "efficientnet_lite0"
    for pictures in ([small, small, large], [large[:, :, :1]]):
        assert default_model(pictures) == ("lenet5_modern", "auto: the pictures are small or grey")
    monkeypatch.setattr("convatlas.weights.cache.importlib.util.find_spec", lambda name: None)
    name, reason = default_model([large])
    assert name == "lenet5_modern"
    assert reason.startswith("auto: efficientnet_lite0 would do better on photographs, but")
    assert "pip install 'convatlas[lite0]'" in reason


def test_the_best_published_set_is_the_default():
    assert default_weights("resnet50").key == "torchvision/resnet50/IMAGENET1K_V2"
    assert default_weights("mobilenet_v2", {"width": 1.4}).changes == {"width": 1.4}
    assert default_weights("lenet5") is None


def test_the_plan_takes_from_the_weights_what_they_expect(photographs):
    plan = make_plan(photographs, Wishes(model="efficientnet_lite0", device="cpu"))
    transform = weight_set(LITE0).transform
    assert (plan.start.strategy, plan.recipe_name, plan.recipe.trainable) == ("transfer", "transfer", "classifier")
    assert (plan.recipe.mean, plan.recipe.std) == (transform.mean, transform.std)
    assert (plan.preprocess.height, plan.preprocess.resize, plan.preprocess.fit) == (224, 256, "crop")
    assert plan.changes == {"in_channels": 3, "num_classes": 2}
    assert {plan.origins[name] for name in ("mean", "std", "preprocess.resize", "model.in_channels")} == {"the weights"}
    assert plan.origins["strategy"] == "auto: 7 training pictures a class, fewer than 1,000"
    assert {name for name in plan.settings() if not plan.origins.get(name)} == set()
    smaller = make_plan(photographs, Wishes(model="efficientnet_lite0", device="cpu", size=112))
    assert (smaller.preprocess.height, smaller.preprocess.resize) == (112, 128)
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


@pytest.mark.parametrize("model", ["resnet18", "mobilenet_v2", "efficientnet_b0", "lenet5_modern", "lenet5"])
def test_each_parameter_is_in_one_part_the_classifier_in_the_first(model):
    with torch.device("meta"):
        network = create_model(model)
    found = parts(network)
    names = [name for part in found for name in part.parameters]
    assert sorted(names) == sorted(name for name, _ in network.named_parameters())
    assert [part.depth for part in found] == list(range(len(found)))
    if model == "resnet18":
        assert [part.name for part in found] == [
            "classifier", "stages.3", "stages.2", "stages.1", "stages.0", "stem",
        ]  # fmt: skip


def test_parts_begin_one_after_the_other_and_learn_more_slowly():
    network = create_model("resnet18", num_classes=3)
    recipe = Recipe(epochs=20, lr=0.1, optimizer="sgd", part_decay=0.5, unfreeze_by=0.5)
    begins = {
        part.name: next(e for e in range(1, 21) if part in learning_parts(parts(network), recipe, e))
        for part in parts(network)
    }
    assert begins == {"classifier": 1, "stages.3": 3, "stages.2": 5, "stages.1": 7, "stages.0": 9, "stem": 11}
    optimizer = make_optimizer(network, parts(network), recipe)
    make_schedule(optimizer, recipe, steps_per_epoch=1)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    named = dict(network.named_parameters())
    for part in parts(network):
        assert {rates[id(named[name])] for name in part.parameters} == {0.1 * 0.5**part.depth}

    set_learning(network, parts(network), recipe, epoch=3)
    learning = {name for name, parameter in named.items() if parameter.requires_grad}
    assert learning == {name for part in parts(network)[:2] for name in part.parameters}
    norms = {name: module for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert {name for name, norm in norms.items() if norm.training} == {n for n in norms if n.startswith("stages.3")}


@pytest.mark.parametrize("epochs", [1, 2, 3, 20])
def test_however_short_the_run_every_part_begins(epochs):
    network = create_model("resnet18", num_classes=3)
    assert learning_parts(parts(network), Recipe(epochs=epochs, unfreeze_by=0.4), epochs) == parts(network)


@pytest.mark.parametrize(
    "model",
    [
        name if name in ALWAYS else pytest.param(name, marks=pytest.mark.every_variant)
        for name in sorted(set(MODELS) - {"lenet5"})
    ],
)
def test_a_classifier_whose_output_is_the_answer_is_alone_in_what_has_to_be_run(model):
    with torch.device("meta"):
        network = create_model(model, **SHORTER.get(model, {}))
    alone = classifier_alone(Recipe(trainable="classifier"), network, card(model).input)
    if model.startswith(("nin", "overfeat", "squeezenet")):  # an average, or the best place, comes after it
        assert alone is None
    else:
        assert alone is network.get_submodule(*classifiers(network))
        assert alone is list(network.modules())[-1]


@designs(besides={"lenet5"})
def test_a_new_classifier_learns_from_the_first_step_on(name):
    """Zeros would let no gradient through a ReLU that follows."""
    torch.manual_seed(0)
    picture = (3, SIDES[MODELS[name]], SIDES[MODELS[name]])
    source = settled(name, num_classes=5, in_channels=3, **SHORTER.get(name, {}))
    network = settled(name, num_classes=2, in_channels=3, **SHORTER.get(name, {}))
    zero_new_classifiers(network, load_backbone(network, source.state_dict()), picture)
    functional.cross_entropy(network(torch.randn(2, *picture)), torch.tensor([0, 1])).backward()
    (classifier,) = classifiers(network)
    weight = network.get_submodule(classifier).weight
    assert weight.grad.abs().sum() > 0
    assert bool(weight.any()) == (classifier not in answering(network, picture))


@pytest.mark.parametrize("changes", [{}, {"part_decay": 0.01, "unfreeze_by": 0.9, "ema_decay": 0.9, "clip_norm": 0.1}])
def test_features_that_are_computed_once_train_the_same_classifier(photographs, tmp_path, monkeypatch, changes):
    plan = plan_of(photographs, model="efficientnet_lite0", strategy="transfer", changes=changes)
    network = initial_network(plan)
    before = network.state_dict()
    assert classifier_alone(plan.recipe, network, plan.preprocess.shape) is network.head.fc
    once = trained(plan, photographs, tmp_path / "once").deployed.network.state_dict()
    monkeypatch.setattr("convatlas.engine.start.classifier_alone", lambda *_: None)
    anew = trained(plan, photographs, tmp_path / "anew").deployed.network.state_dict()
    for name, value in anew.items():
        torch.testing.assert_close(once[name], value, rtol=1e-4, atol=1e-6)
        if name.startswith("head.fc"):
            assert not torch.equal(value, before[name])
        else:
            assert torch.equal(value, before[name]), f"{name} is of the frozen part"
    assert len(load_checkpoint(RunFolder(tmp_path / "once").last).network) == 2


def test_pictures_that_change_are_not_computed_once(photographs):
    for wishes in ({"changes": {"flip": True}}, {"strategy": "fine-tune"}):
        plan = plan_of(photographs, model="efficientnet_lite0", **wishes)
        assert classifier_alone(plan.recipe, initial_network(plan), plan.preprocess.shape) is None


def test_features_are_the_classifier_s_input(photographs):
    network = create_model("mobilenet_v2", num_classes=2).eval()
    preprocess = plan_of(photographs, model="mobilenet_v2").preprocess
    readable = read_all(photographs.val, preprocess)
    normalize = nn.Module()
    normalize.forward = lambda pixels: pixels.float() / 255
    done = []
    features = cache_features(
        network, network.head.fc, normalize, readable,
        memory_format=torch.contiguous_format, progress=done.append, say=print,
    )  # fmt: skip
    with torch.no_grad():
        expected = network(torch.from_numpy(readable.kept).float() / 255)
        torch.testing.assert_close(network.head.fc(torch.from_numpy(features.kept)), expected)
    assert done[-1] == len(photographs.val)


def test_a_resumed_transfer_ends_as_one_never_stopped(photographs, tmp_path):
    plan = plan_of(photographs, model="efficientnet_lite0", changes={"epochs": 3})
    whole = trained(plan, photographs, tmp_path / "whole").deployed.network.state_dict()

    class Stop(Observer):
        def epoch_done(self, row, *, best):
            raise KeyboardInterrupt

    task = make_task(plan.task, plan.model, plan.classes, label_smoothing=plan.recipe.label_smoothing)
    train, val = (read_all(part, plan.preprocess) for part in (photographs.train, photographs.val))
    with pytest.raises(KeyboardInterrupt):
        start_training(plan, task, train, val, RunFolder(tmp_path / "stopped"), observer=Stop())
    resumed = trained(plan, photographs, tmp_path / "stopped", resume=True).deployed.network.state_dict()
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_fine_tuning_changes_every_stage_that_began(photographs, tmp_path):
    plan = plan_of(
        photographs, model="efficientnet_lite0", strategy="fine-tune",
        changes={"epochs": 3, "ema_decay": 0.0, "lr": 0.01, "warmup_epochs": 0.0, "schedule": "constant"},
    )  # fmt: skip
    before = initial_network(plan).state_dict()
    trained(plan, photographs, tmp_path / "run")
    after = load_checkpoint(RunFolder(tmp_path / "run").last).network
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    network = create_model(plan.model, **plan.changes)
    assert all(changed & set(part.parameters) for part in parts(network))


def test_a_bundle_gives_its_weights_and_its_head_where_the_classes_are_the_same(photographs, tmp_path):
    from convatlas.api.train import train
    from tests.api.conftest import picture_folder

    photos = picture_folder(tmp_path / "photos", count=8)
    first = train(
        photos, model="lenet5_modern", out=tmp_path / "first", changes={"epochs": 1, "threads": 1}, export=False
    )
    with_its_weights = train(
        photos, weights=first.path, strategy="fine-tune", out=tmp_path / "same", export=False,
        changes={"epochs": 1, "threads": 1, "lr": 1e-9, "ema_decay": 0.0},
    )  # fmt: skip
    assert with_its_weights.plan.model == "lenet5_modern"
    kept = safetensors.torch.load_file(first.path / "bundle" / "model.safetensors")
    now = safetensors.torch.load_file(with_its_weights.path / "bundle" / "model.safetensors")
    for name, value in kept.items():
        torch.testing.assert_close(now[name], value, rtol=0, atol=1e-6)

    plan = make_plan(photographs, Wishes(weights=first.path, strategy="transfer", device="cpu"))
    network = initial_network(plan).state_dict()
    assert network["output.weight"].shape == (2, 84)
    assert torch.equal(network["c1.0.weight"], kept["c1.0.weight"])


def test_the_first_answers_of_a_fresh_classifier_are_even(photographs):
    plan = plan_of(photographs, model="efficientnet_lite0")
    with torch.no_grad():
        logits = initial_network(plan).eval()(torch.rand(3, 3, 64, 64))
    assert torch.equal(logits, torch.zeros(3, 2))


def test_a_thousand_other_classes_do_not_get_imagenet_s_classifier(photographs):
    plan = plan_of(photographs, model="efficientnet_lite0")
    thousand = tuple(f"c{number}" for number in range(1000))
    others = dataclasses.replace(plan, classes=thousand, changes={**plan.changes, "num_classes": 1000})
    assert not initial_network(others).state_dict()["head.fc.weight"].any()
    same = dataclasses.replace(others, classes=imagenet_classes())
    assert initial_network(same).state_dict()["head.fc.weight"].any()


def test_a_run_whose_first_weights_have_changed_cannot_be_resumed(photographs, tmp_path):
    source = prepare_lenet(tmp_path / "source", seed=1)
    plan = make_plan(photographs, Wishes(weights=source, strategy="transfer", device="cpu"))
    initial_network(plan)
    shutil.rmtree(source)
    prepare_lenet(tmp_path / "source", seed=2)
    with pytest.raises(CheckpointError, match="is no longer what the run started from"):
        initial_network(plan)


def test_the_terms_of_weights_go_on_from_bundle_to_bundle(photographs, tmp_path):
    source = prepare_lenet(tmp_path / "source", seed=1)
    plan = make_plan(photographs, Wishes(weights=source, strategy="transfer", device="cpu"))
    shutil.rmtree(source)  # it may be gone when the run ends
    said = _origin_of_weights(plan.start)
    assert said == {"weights": "transfer from a bundle: somebody/weights", "weights_licence": "CC-BY-NC-4.0"}


@pytest.mark.parametrize(("strategy", "offline"), [("fine-tune", None), ("auto", True)])
def test_a_run_stopped_before_its_first_checkpoint_brings_its_weights_again(tmp_path, monkeypatch, strategy, offline):
    """And downloads only what was asked for."""
    from convatlas.api.train import resume, train
    from tests.api.conftest import picture_folder

    class Stop(Observer):
        def planned(self, plan, run, splits):
            raise KeyboardInterrupt

    photos = picture_folder(tmp_path / "photos", count=8)
    with pytest.raises(KeyboardInterrupt):
        train(
            photos, model="efficientnet_lite0", strategy=strategy, size=64, out=tmp_path / "run", observer=Stop(),
            changes={"epochs": 1, "threads": 1},
        )  # fmt: skip
    brought = []
    monkeypatch.setattr("convatlas.engine.start.fetch_weights", lambda _, **options: brought.append(options["offline"]))
    assert resume(tmp_path / "run", export=False).epochs == 1
    assert brought == [offline]


def prepare_lenet(folder, *, seed: int):
    torch.manual_seed(seed)
    network = create_model("lenet5_modern", num_classes=2, in_channels=3)
    bundle = Bundle(
        task="classify", model="lenet5_modern", changes={"num_classes": 2, "in_channels": 3}, classes=("a", "b"),
        preprocess=Preprocess(channels=3, height=32, width=32), mean=(0.5,) * 3, std=(0.5,) * 3,
        provenance={"weights": "somebody/weights", "weights_licence": "CC-BY-NC-4.0"},
    )  # fmt: skip
    write_bundle(folder, bundle, {name: value.numpy() for name, value in network.state_dict().items()})
    return folder


def test_grey_pictures_and_small_ones_start_from_the_same_weights(tmp_path):
    random = np.random.default_rng(1)
    pictures = random.integers(0, 255, (8, 25, 25, 1)).astype(np.uint8)
    grey = PictureSet(
        names=tuple(map(str, range(8))), targets=np.arange(8) % 2, classes=("a", "b"),
        read=ArrayReader(pictures), origin="grey",
    )  # fmt: skip
    splits = DataSplits(train=grey, val=grey, test=None, how="for a test")
    plan = make_plan(splits, Wishes(model="efficientnet_lite0", device="cpu"))
    assert (plan.preprocess.channels, plan.preprocess.fit) == (3, "crop")
    one = make_plan(splits, Wishes(model="efficientnet_lite0", model_changes={"in_channels": 1}, device="cpu"))
    assert (one.preprocess.channels, len(one.recipe.mean)) == (1, 1)
    inputs = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        three_channels = initial_network(plan).eval().features(inputs.expand(2, 3, 64, 64))[-1]
        one_channel = initial_network(one).eval().features(inputs)[-1]
    torch.testing.assert_close(one_channel, three_channels, rtol=1e-4, atol=1e-5)


def test_a_network_whose_answers_are_never_negative_is_refused_for_several_labels(photographs):
    def several(part):
        return dataclasses.replace(part, targets=np.eye(2, dtype=np.uint8)[part.targets])

    splits = dataclasses.replace(photographs, train=several(photographs.train), val=several(photographs.val))
    with pytest.raises(UsageError, match="answers of nin_cifar10 are never negative"):
        make_plan(splits, Wishes(model="nin_cifar10", device="cpu"))


@pytest.mark.row("B-26")
def test_a_network_for_one_size_is_built_for_that_of_the_pictures(photographs):
    tiny = {"layers": 1, "hidden_size": 12, "mlp_size": 12, "heads": 2}
    for wishes in ({"size": 64}, {"model_changes": {"image_size": 64}}):
        changes = {**tiny, **wishes.pop("model_changes", {})}
        plan = make_plan(photographs, Wishes(model="vit_ti_16", model_changes=changes, device="cpu", **wishes))
        assert plan.preprocess.shape == (3, 64, 64)
        assert plan.changes["image_size"] == 64
    with pytest.raises(UsageError, match="size is 32 and image_size 64"):
        make_plan(photographs, Wishes(model="vit_ti_16", model_changes={"image_size": 64}, size=32, device="cpu"))
    with pytest.raises(UsageError, match=r"image_size must be a multiple of patch_size=16, not 70"):
        make_plan(photographs, Wishes(model="vit_ti_16", size=70, device="cpu"))


def test_each_layer_of_a_single_stage_is_a_part():
    network = create_model("vit_ti_16", layers=3, hidden_size=12, mlp_size=12, heads=2)
    names = [part.name for part in parts(network)]
    assert names == ["classifier", "head", "stages.0.2", "stages.0.1", "stages.0.0", "stem"]


def test_a_size_below_the_network_s_smallest_is_refused(photographs):
    with pytest.raises(UsageError, match="needs images of at least"):
        make_plan(photographs, Wishes(model="efficientnet_lite0", size=16, device="cpu"))
