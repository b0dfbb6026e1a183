"""The parts of a network in the order of depth, and which of them learn in an epoch, and how fast."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from convatlas.recipes.recipe import Recipe
from convatlas.weights.names import auxiliary, follows


@dataclass(frozen=True, kw_only=True)
class Part:
    """name: "classifier", or that of a stage ("stages.2") or of another child ("stem", "head").

    depth: 0 for the classifier, 1 for what comes right before it, and so on. parameters: their names in the network.
    """

    name: str
    depth: int
    parameters: tuple[str, ...]


def parts(network: nn.Module) -> tuple[Part, ...]:
    """Every parameter of the network in exactly one part, the classifier first.

    The classifier is what depends on the number of classes, and auxiliary classifiers whole; the children of `stages`
    are a part each, and so is any other child; of a single stage, as ViT's, each block. A network whose classes are
    fixed has no classifier, and its last child comes first.
    """
    classifier = auxiliary(network).union(follows(network, "num_classes"))
    stages = getattr(network, "stages", None)
    deep = 3 if isinstance(stages, nn.ModuleList) and len(stages) == 1 else 2
    members: dict[str, list[str]] = {}
    for name, _ in network.named_parameters():
        pieces = name.split(".")
        child = ".".join(pieces[: deep if pieces[0] == "stages" else 1])
        members.setdefault("classifier" if name in classifier else child, []).append(name)
    order = [name for name in members if name != "classifier"]
    if "classifier" in members:
        order.append("classifier")
    return tuple(
        Part(name=name, depth=depth, parameters=tuple(members[name])) for depth, name in enumerate(reversed(order))
    )


def rate_factor(part: Part, recipe: Recipe) -> float:
    """What the learning rate of this part is multiplied by, 0..1."""
    return recipe.part_decay**part.depth


def learning_parts(all_parts: Sequence[Part], recipe: Recipe, epoch: int) -> tuple[Part, ...]:
    """Those that learn in this epoch (from 1): by `unfreeze_by` of the run one after the other has begun."""
    if recipe.trainable == "classifier":
        return tuple(all_parts[:1])
    pause = recipe.unfreeze_by * recipe.epochs / max(1, len(all_parts) - 1)  # epochs from one beginning to the next
    return tuple(part for part in all_parts if epoch > part.depth * pause)


def set_learning(network: nn.Module, all_parts: Sequence[Part], recipe: Recipe, epoch: int) -> None:
    """Make the network ready for the training of this epoch.

    What does not learn gets no gradient and is as in use: BatchNorm takes the statistics that it has and leaves them
    alone, and nothing is dropped.
    """
    network.train(recipe.trainable == "all")
    if recipe.trainable == "all" and not recipe.unfreeze_by:
        return
    learning = {name for part in learning_parts(all_parts, recipe, epoch) for name in part.parameters}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in learning)
    for prefix, module in network.named_modules():
        within = [name for name, _ in module.named_parameters(prefix)]
        if within and learning.isdisjoint(within):
            module.eval()
