"""Recipes refuse what cannot be meant, naming the field, and read values as people type them."""

import dataclasses

import pytest

from convatlas.errors import UsageError
from convatlas.recipes import RECIPES, named_recipe, recipe_for
from convatlas.recipes.recipe import Recipe, change, parse_changes

pytestmark = pytest.mark.row("F-04")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epochs=5", 5),
        ("lr=1e-3", 0.001),
        ("lr=1", 1.0),
        ("lr=none", None),
        ("flip=true", True),
        ("flip=no", False),
        ("schedule=one-cycle", "one-cycle"),
        ("mean=0.5,0.4,0.3", (0.5, 0.4, 0.3)),
        ("patience=none", None),
        ("weight-decay=0.1", 0.1),
    ],
)
def test_values_are_read_as_the_field_s_type(text, expected):
    (value,) = parse_changes([text]).values()
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch=5", r"no field 'epoch'. Did you mean \"epochs\""),
        ("epochs", "expected field=value"),
        ("epochs=five", "epochs must be a whole number"),
        ("epochs=1.5", "epochs must be a whole number"),
        ("flip=maybe", "flip must be true or false"),
        ("optimizer=adam", r'optimizer must be "sgd" or "adamw" or "rmsprop"'),
        ("lr=fast", "lr must be a number or none"),
    ],
)
def test_a_text_that_is_no_such_value_is_refused(text, message):
    with pytest.raises(UsageError, match=message):
        parse_changes([text])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"batch_size": -1}, "batch_size must be at least 1"),
        ({"lr": 0.0}, "lr must be above 0"),
        ({"lr": float("nan")}, "lr must be a number"),
        ({"lr": float("inf")}, "lr must be a number"),
        ({"clip_norm": 0.0}, "clip_norm must be above 0"),
        ({"crop_area": 0.0}, "crop_area must be above 0 and at most 1"),
        ({"crop_area": 1.5}, "crop_area must be above 0 and at most 1"),
        ({"label_smoothing": 1.0}, "label_smoothing must be below 1"),
        ({"ema_decay": 1.0}, "ema_decay must be below 1"),
        ({"warmup_epochs": 30.0}, "warmup_epochs must be below epochs"),
        ({"mean": (0.5,)}, "mean and std belong together"),
        ({"mean": (0.5,), "std": (0.5, 0.5)}, "a value each for the same channels"),
        ({"mean": (0.5,), "std": (0.0,)}, "std must be above 0"),
        ({"optimizer": "adam"}, "optimizer must be"),
        ({"flip": 1}, "flip must be true or false"),
        ({"epochs": True}, "epochs must be a whole number"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_an_impossible_value_names_its_field(changes, message):
    with pytest.raises(UsageError, match=message):
        Recipe(**changes)


def test_every_field_of_every_named_recipe_survives_json():
    for name in RECIPES:
        recipe = named_recipe(name)
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(recipe).items()}
        assert change(Recipe(), values) == recipe


def test_an_unknown_recipe_suggests_the_nearest():
    with pytest.raises(UsageError, match=r'unknown recipe \'handwritting\'. Did you mean "handwriting"'):
        named_recipe("handwritting")


def test_the_recipe_follows_model_and_data():
    assert recipe_for("lenet5", "digits")[0] == "handwriting_rbf"
    assert recipe_for("lenet5_modern", "digits")[0] == "handwriting"
    assert recipe_for("lenet5_modern", "photos")[0] == "photographs"
