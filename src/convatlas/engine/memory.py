"""A batch that does not fit into memory is halved, and as many more are added up for a step of the optimiser."""

import dataclasses

from convatlas.engine.plan import Plan
from convatlas.errors import TrainingError
from convatlas.recipes.recipe import change

ORIGIN = "halved: memory"


class BatchTooLargeError(TrainingError):
    """Memory ran out in a training step; the checkpoint of the last whole epoch is as it was."""


def halved(plan: Plan) -> tuple[Plan, str]:
    """The plan with half of its batch and twice as many added up for a step, and what to say of it.

    Raises TrainingError when the batch is a single picture.
    """
    recipe = plan.recipe
    if recipe.batch_size == 1:
        raise TrainingError(
            f"one picture of {plan.preprocess.width} x {plan.preprocess.height} is more than the memory holds for a "
            f"training step of {plan.model}. A smaller size, a smaller network, or the strategy transfer needs less"
        )
    smaller = change(recipe, {"batch_size": recipe.batch_size // 2, "accumulate": recipe.accumulate * 2})
    said = (
        f"a batch of {recipe.batch_size} pictures does not fit into memory: going on with batch_size="
        f"{smaller.batch_size} and accumulate={smaller.accumulate}, {smaller.batch_size * smaller.accumulate} pictures "
        f"a step of the optimiser as {'before' if recipe.batch_size % 2 == 0 else 'nearly before'}; "
        f"a BatchNorm sees {smaller.batch_size} at a time"
    )
    origins = {**plan.origins, "batch_size": ORIGIN, "accumulate": ORIGIN}
    return dataclasses.replace(plan, recipe=smaller, origins=origins), said
