"""A plan decides everything, and says who decided what."""

import json

import numpy as np
import pytest

from convatlas.data.picture_set import DataSplits, PictureSet
from convatlas.data.source import open_data
from convatlas.engine.plan import Plan, Wishes, channel_statistics, make_plan
from convatlas.errors import DataError, UsageError

pytestmark = pytest.mark.row("F-04")


@pytest.fixture(scope="module")
def digit_splits() -> DataSplits:
    return open_data("digits")


def plan_for(splits, model="lenet5_modern", **options) -> Plan:
    return make_plan(splits, Wishes(**{"model": model, "val": 0.15, "test": 0.15, **options}))


def test_digits_are_framed_in_grey_by_the_handwriting_recipe(digit_splits):
    plan = plan_for(digit_splits)
    assert plan.changes == {"in_channels": 1, "num_classes": 10}
    assert (plan.preprocess.channels, plan.preprocess.height, plan.preprocess.fit) == (1, 32, "pad")
    assert plan.preprocess.resize == 28
    assert (plan.recipe_name, plan.origins["recipe"]) == ("handwriting", "auto: the data are handwritten digits")
    assert plan.origins["model.in_channels"] == "auto: the pictures are grey"
    assert plan.origins["lr"] == "recipe handwriting"
    assert plan.origins["batch_size"] == "default"


def test_every_setting_has_an_origin(digit_splits):
    plan = plan_for(digit_splits, changes={"epochs": 3})
    assert {name for name in plan.settings() if not plan.origins.get(name)} == set()
    assert plan.origins["epochs"] == "you"


def test_a_given_value_beats_recipe_and_machine(digit_splits):
    given = {"epochs": 3, "lr": 0.5, "threads": 1, "workers": 2, "mean": (0.5,), "std": (0.25,), "rotate": 0.0}
    plan = plan_for(digit_splits, changes=given, size=None, fit="stretch")
    assert {name: getattr(plan.recipe, name) for name in given} == given
    assert {plan.origins[name] for name in given} == {"you"}
    assert (plan.preprocess.fit, plan.origins["preprocess.fit"]) == ("stretch", "you")


def test_channels_come_last_where_that_is_quicker_and_the_plan_records_it(digit_splits, monkeypatch):
    for model in ("lenet5", "lenet5_modern"):
        plan = plan_for(digit_splits, model=model)
        assert (plan.recipe.channels_last, plan.origins["channels_last"]) == (True, "auto: quicker for convolutions")
    given = plan_for(digit_splits, changes={"channels_last": False})
    assert (given.recipe.channels_last, given.origins["channels_last"]) == (False, "you")
    again = Plan.from_dict(json.loads(json.dumps(given.to_dict())))  # as an earlier run's plan has it
    assert again.recipe.channels_last is False
    vit = plan_for(digit_splits, model="vit_ti_16", size=32)
    assert (vit.recipe.channels_last, vit.origins["channels_last"].partition(":")[0]) == (False, "auto")
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    apple = plan_for(digit_splits)
    assert (apple.recipe.channels_last, apple.origins["channels_last"]) == (False, "auto: not measured on an Apple GPU")


def test_a_shorter_run_warms_up_in_proportion(digit_splits):
    plan = plan_for(digit_splits, changes={"epochs": 6})
    assert plan.recipe.warmup_epochs == pytest.approx(0.975)  # 13 of the recipe's 80
    assert plan.origins["warmup_epochs"] == "auto: in proportion to epochs"
    given = plan_for(digit_splits, changes={"epochs": 6, "warmup_epochs": 2.0})
    assert (given.recipe.warmup_epochs, given.origins["warmup_epochs"]) == (2.0, "you")


def test_another_optimizer_does_not_keep_a_rate_that_was_meant_for_the_recipe_s(digit_splits):
    plan = plan_for(digit_splits, recipe="photographs", changes={"optimizer": "sgd", "batch_size": 128})
    assert plan.recipe.lr == pytest.approx(0.05)  # 0.1 for 256 pictures a step
    assert plan.origins["lr"] == "auto: usual for sgd"
    plan = plan_for(digit_splits, changes={"optimizer": "adamw"})
    assert (plan.recipe.lr, plan.origins["lr"]) == (1e-3, "auto: usual for adamw")


def test_colour_pictures_get_three_channels_and_fill_the_frame(photos):
    plan = plan_for(open_data(photos()))
    assert (plan.changes["in_channels"], plan.preprocess.channels, plan.preprocess.fit) == (3, 3, "crop")
    assert len(plan.recipe.mean) == len(plan.recipe.std) == 3
    assert plan.recipe_name == "photographs"


def test_one_mean_of_a_recipe_serves_three_channels(photos):
    plan = plan_for(open_data(photos()), recipe="handwriting_rbf")
    assert plan.recipe.mean == pytest.approx((0.1 / 1.275,) * 3)


def test_statistics_are_those_of_numpy():
    pictures = [np.random.default_rng(i).integers(0, 256, (2, 5, 5), dtype=np.uint8) for i in range(4)]
    mean, std = channel_statistics(pictures)
    for channel in range(2):
        values = np.concatenate([picture[channel].ravel() for picture in pictures]) / 255
        assert (mean[channel], std[channel]) == pytest.approx((values.mean(), values.std()), abs=1e-6)
    assert channel_statistics([np.zeros((1, 4, 4), np.uint8)])[1][0] == pytest.approx(1 / 255, abs=1e-6)


def test_a_plan_survives_json(digit_splits):
    plan = plan_for(digit_splits, changes={"epochs": 3})
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"changes": {"epoch": 3}}, 'Did you mean "epochs"'),
        ({"recipe": "nothing"}, "unknown recipe"),
        ({"model_changes": {"num_classes": 4}}, "num_classes follows from the data"),
        ({"model_changes": {"in_channels": 2}}, "in_channels must be 1 or 3"),
        ({"model_changes": {"widht": 2}}, "has no option 'widht'"),
        ({"changes": {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}}, "mean has 3 values for 1 channels"),
    ],
)
def test_what_cannot_be_meant_is_refused(digit_splits, options, message):
    with pytest.raises(UsageError, match=message):
        plan_for(digit_splits, **options)


def test_lenet5_is_refused_for_three_classes(photos):
    with pytest.raises(UsageError, match="num_classes must be 10, not 3"):
        plan_for(open_data(photos()), model="lenet5")


def test_a_set_without_a_readable_picture_is_said(photos):
    root = photos()
    for number, file in enumerate(root.rglob("*.png")):
        file.write_bytes(b"no picture %d" % number)
    splits = open_data(root)
    with pytest.raises(DataError, match=r"not one of \d+ pictures tried can be read"):
        plan_for(splits)


def test_pictures_of_one_small_size_are_framed_and_of_several_cropped(photos):
    root = photos(size=20)
    assert plan_for(open_data(root)).preprocess.fit == "pad"
    larger: PictureSet = open_data(photos(classes=("x", "y"), size=50)).train
    assert larger.classes == ("blue", "green", "red", "x", "y")
    assert plan_for(open_data(root)).preprocess.fit == "crop"
