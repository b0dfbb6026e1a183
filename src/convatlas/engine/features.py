"""What a frozen network says of each picture, computed once: training its classifier then costs next to nothing."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convatlas.data.loader import Pictures, Readable, batches, make_loader
from convatlas.engine.classifier import answering, classifiers
from convatlas.engine.in_parts import InParts, Say
from convatlas.recipes.recipe import Recipe

BATCH = 16  # on a processor the activations of more pictures no longer fit into its caches
MOST_BYTES = 4 << 30  # of features in memory; beyond, the network is run anew for each epoch


def classifier_alone(recipe: Recipe, network: nn.Module, picture: tuple[int, int, int]) -> nn.Module | None:
    """The module that alone has to be run in each epoch: the classifier, for pictures of this shape (C, H, W).

    None where the recipe lets more of the network learn or changes the pictures, and where the classifier is not one
    module whose output is the network's answer.
    """
    if recipe.trainable != "classifier" or recipe.changes_pictures:
        return None
    last = answering(network, picture)
    return network.get_submodule(*last) if len(last) == 1 and last == classifiers(network) else None


@torch.inference_mode()
def cache_features(
    network: nn.Module,
    classifier: nn.Module,
    normalize: nn.Module,
    readable: Readable,
    *,
    memory_format: torch.memory_format,
    progress: Callable[[int], None],
    say: Say,
) -> Readable | None:
    """The set with each picture's input to the classifier, (N, ...) float32, in the place of its pixels.

    network, normalize: on the device to compute on, in the memory format; left in evaluation mode. classifier: a module
    that gives the network's answer. progress is told after each batch how many pictures are done, say of a batch
    that does not fit into memory. None when the features would take more than MOST_BYTES.
    Raises OutOfMemoryError where not even one picture fits.
    """
    network.eval()
    device = next(network.parameters()).device
    pictures = Pictures(readable.pictures, readable.preprocess, kept=readable.kept, threads=torch.get_num_threads())
    loader = make_loader(pictures, batch_size=BATCH, shuffle=False, workers=0)
    features: NDArray[np.float32] | None = None
    done = 0
    seen: dict[str, Tensor] = {}
    handle = classifier.register_forward_hook(lambda _module, inputs, _output: seen.update(x=inputs[0]))

    def features_of(pixels: Tensor) -> Tensor:
        network(normalize(pixels.to(device)).contiguous(memory_format=memory_format))
        return seen["x"].float().cpu()

    in_parts = InParts(features_of, what="computing features", say=say)
    try:
        for batch in batches(loader):
            answer = in_parts(batch.pixels)
            if features is None:
                shape = (len(readable.pictures), *answer.shape[1:])
                if 4 * int(np.prod(shape)) > MOST_BYTES:
                    return None
                features = np.empty(shape, dtype=np.float32)
            features[done : done + len(batch.places)] = answer.numpy()
            done += len(batch.places)
            progress(done)
    finally:
        handle.remove()
    return replace(readable, kept=features)
