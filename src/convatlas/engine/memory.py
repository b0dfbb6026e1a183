"""A batch that does not fit into memory is halved, and as many more are added up for a step of the optimiser."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from convatlas.engine.no_memory import out_of_memory
from convatlas.engine.plan import Plan
from convatlas.errors import TrainingError
from convatlas.recipes.recipe import change

ORIGIN = "halved: memory"


class BatchTooLargeError(TrainingError):
    """Memory ran out in a training step; the checkpoint of the last whole epoch is as it was.

    pictures: in the training set. fewest: that a batch must have.
    """

    def __init__(self, message: str, *, pictures: int, fewest: int) -> None:
        super().__init__(message)
        self.pictures = pictures
        self.fewest = fewest


@contextlib.contextmanager
def batch_in_memory(plan: Plan, network: nn.Module, pictures: int) -> Iterator[None]:
    """Raise BatchTooLargeError where memory runs out in steps of training by the plan, on so many pictures."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise BatchTooLargeError(
            f"a batch of {min(plan.recipe.batch_size, pictures)} does not fit into memory",
            pictures=pictures,
            fewest=fewest_in_a_batch(network),
        ) from error


def fewest_in_a_batch(network: nn.Module) -> int:
    """2 where the network has a BatchNorm, which cannot learn from one picture whose map is a single value."""
    return 2 if any(isinstance(module, _BatchNorm) for module in network.modules()) else 1


def halved(plan: Plan, pictures: int, *, fewest: int) -> tuple[Plan, str]:
    """The plan with half of its batch and twice as many added up for a step, and what to say of it.

    pictures: in the training set, of which a larger batch has no more. Raises TrainingError when the batch has but the
    fewest pictures that it can have.
    """
    recipe = plan.recipe
    size = min(recipe.batch_size, pictures)
    if size <= fewest:
        of = f"{plan.preprocess.width} x {plan.preprocess.height}"
        raise TrainingError(
            (f"one picture of {of} is" if size == 1 else f"{size} pictures of {of} are")
            + f" more than the memory holds for a training step of {plan.model}"
            + (", whose BatchNorm learns from no fewer" if size == fewest > 1 else "")
            + ". A smaller size, a smaller network, or the strategy transfer needs less"
        )
    # Rounded up, so that a step that saw the whole set still does.
    smaller = change(recipe, {"batch_size": math.ceil(size / 2), "accumulate": recipe.accumulate * 2})
    before, now = (min(each.batch_size * each.accumulate, pictures) for each in (recipe, smaller))
    said = (
        f"a batch of {size} pictures does not fit into memory: going on with batch_size={smaller.batch_size} and "
        f"accumulate={smaller.accumulate}, {now} pictures a step of the optimiser "
        f"{'as before' if now == before else f'where it was {before}'}; a BatchNorm sees {smaller.batch_size} at a time"
    )
    origins = {**plan.origins, "batch_size": ORIGIN, "accumulate": ORIGIN}
    return dataclasses.replace(plan, recipe=smaller, origins=origins), said
