"""Network and task in one module, so that data-parallel training sees every gradient."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from convatlas.data.augment import Distortion
from convatlas.recipes.recipe import Recipe
from convatlas.tasks.task import Task

Mix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class TrainStep(nn.Module):
    """pixels (N, C, H, W) uint8 and labels -> named losses, each (N,): normalise, distort, mix, network, losses."""

    def __init__(self, normalize: nn.Module, network: nn.Module, task: Task, recipe: Recipe) -> None:
        super().__init__()
        self.normalize = normalize
        self.network = network
        self.task = task
        self.distortion = Distortion(
            flip=recipe.flip,
            rotate=recipe.rotate,
            translate=recipe.translate,
            scale=recipe.scale,
            shear=recipe.shear,
            elastic=recipe.elastic,
        )
        self.mix = mixing(recipe.mixup, recipe.cutmix)
        self.memory_format = torch.channels_last if recipe.channels_last else torch.contiguous_format

    def forward(self, pixels: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Pixels (N, C, H, W) uint8, labels (N,) or (N, K) -> named losses, each (N,)."""
        # While a picture is bytes, bringing it into another order in memory costs a quarter.
        images = self.distortion(self.normalize(pixels.contiguous(memory_format=self.memory_format)))
        targets = self.task.targets(labels)
        if self.mix is not None and len(images) > 1:
            images, targets = self.mix(images, targets)
        output = self.network(images.contiguous(memory_format=self.memory_format))
        return dict(self.task.losses(self.network, output, targets))


def mixing(mixup: float, cutmix: float) -> Mix | None:
    """torchvision's MixUp and CutMix with these alphas, one of them at random for each batch; None when both are 0."""
    if not mixup and not cutmix:
        return None
    from torchvision.transforms import v2  # noqa: PLC0415  # several seconds, and only for those who ask for it

    chosen = ([v2.MixUp(alpha=mixup)] if mixup else []) + ([v2.CutMix(alpha=cutmix)] if cutmix else [])
    mix: Mix = chosen[0] if len(chosen) == 1 else v2.RandomChoice(chosen)
    return mix
