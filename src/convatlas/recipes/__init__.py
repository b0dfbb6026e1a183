"""Named recipes, and which one a run starts from."""

from pathlib import Path
from typing import Literal

from convatlas.data.idx import has_idx_files
from convatlas.errors import UsageError, did_you_mean
from convatlas.recipes.handwriting import handwriting, handwriting_rbf
from convatlas.recipes.photographs import photographs
from convatlas.recipes.recipe import Recipe
from convatlas.recipes.transfer import fine_tune, transfer

RECIPES = {
    "photographs": photographs,
    "handwriting": handwriting,
    "handwriting_rbf": handwriting_rbf,
    "transfer": transfer,
    "fine_tune": fine_tune,
}
Strategy = Literal["transfer", "fine-tune", "scratch"]


def named_recipe(name: str) -> Recipe:
    """The recipe of that name. Raises UsageError with the nearest names when there is none."""
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}.{did_you_mean(name, RECIPES)} There is: {', '.join(RECIPES)}")
    return RECIPES[name]()


def recipe_for(model: str, data: str, strategy: Strategy = "scratch") -> tuple[str, str]:
    """The name of the recipe that a run starts from when none is named, and why that one."""
    if strategy != "scratch":
        return strategy.replace("-", "_"), f"the strategy is {strategy}"
    if model == "lenet5":
        return "handwriting_rbf", "the network of the 1998 paper"
    if data == "digits":
        return "handwriting", "the data are handwritten digits"
    if has_idx_files(Path(data)):
        return "handwriting", "IDX files hold small grey pictures, which a mirror may turn into something else"
    return "photographs", "the usual one for pictures"
