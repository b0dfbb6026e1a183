"""Which modules of a network are its classifier, and whether what they give is the answer as it stands."""

import torch
from torch import Tensor, nn

from convatlas.weights.names import follows


def classifiers(network: nn.Module) -> frozenset[str]:
    """The names of the modules whose tensors depend on the number of classes: one, or with auxiliary ones several."""
    return frozenset(name.rpartition(".")[0] for name in follows(network, "num_classes"))


def answering(network: nn.Module, picture: tuple[int, int, int]) -> frozenset[str]:
    """Those classifiers whose output is an answer of the network, for pictures of this shape (C, H, W).

    Not NIN's, after which come a ReLU and an average, nor OverFeat's, of whose places the best one counts. Found by
    running a twin without memory.
    """
    with torch.device("meta"):
        twin = type(network)(network.config).eval()
    outputs: dict[str, Tensor] = {}
    for name in classifiers(network):
        twin.get_submodule(name).register_forward_hook(lambda _m, _x, y, name=name: outputs.update({name: y}))
    with torch.no_grad():
        given = twin(torch.empty(1, *picture, device="meta"))
    answers = (given,) if isinstance(given, Tensor) else tuple(given)
    return frozenset(name for name, output in outputs.items() if any(answer is output for answer in answers))
