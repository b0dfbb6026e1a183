"""A bundle's network as it is used: pixels in, logits out, nothing left for the caller to get wrong."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convatlas.engine.bundle import WEIGHTS, Bundle, bundle_folder, read_bundle, read_tensors, verify_file
from convatlas.errors import BundleError, UsageError
from convatlas.layers.normalize import Normalize
from convatlas.models import create_model
from convatlas.tasks.family import decode_for
from convatlas.weights.names import auxiliary


class Deployed(nn.Module):
    """Normalisation, network and the family's own decoding in one: uint8 pixels (N, C, H, W) -> float logits (N, K).

    This is what predicts, and what is exported.
    """

    def __init__(self, normalize: nn.Module, network: nn.Module, decode: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.normalize = normalize
        self.network = network
        self.decode = decode

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels of any number of pictures to their logits."""
        return self.decode(self.network(self.normalize(pixels)))


def without_auxiliary(network: nn.Module) -> nn.Module:
    """The network as it is used, on the CPU: auxiliary classifiers serve training alone. Without any, the network."""
    sides, own = auxiliary(network), network.state_dict()
    if sides.isdisjoint(own):
        return network
    used: nn.Module = type(network)(dataclasses.replace(cast("Any", network.config), aux=False))
    used.load_state_dict({name: tensor for name, tensor in own.items() if name not in sides})
    return used


def load_deployed(path: Path, device: str | torch.device = "cpu") -> tuple[Bundle, Deployed]:
    """The network of a bundle (or of a run that holds one), in evaluation mode.

    Raises UsageError when there is no bundle, BundleError when it is altered or its tensors do not fit its network.
    """
    folder = bundle_folder(path)
    bundle = read_bundle(folder, verify=False)
    verify_file(folder / WEIGHTS, bundle.files[WEIGHTS])
    try:
        network = create_model(bundle.model, **bundle.changes)
    except (UsageError, TypeError, ValueError, RuntimeError, MemoryError) as error:
        raise BundleError(f'{folder}: its network "{bundle.model}" cannot be built: {error}') from error
    load_tensors(network, read_tensors(folder), str(folder / WEIGHTS))
    deployed = Deployed(Normalize(bundle.mean, bundle.std), network, decode_for(bundle.model))
    return bundle, deployed.eval().to(device)


def load_tensors(network: nn.Module, tensors: Mapping[str, NDArray[np.generic]], source: str) -> None:
    """Copy tensors into a network; the names and shapes must be exactly its own, else BundleError names them."""
    expected = network.state_dict()
    problems = [f"{name} is missing" for name in expected if name not in tensors]
    problems += [f"{name} is unknown" for name in tensors if name not in expected]
    problems += [
        f"{name} has shape {tensors[name].shape} where {tuple(tensor.shape)} belongs"
        for name, tensor in expected.items()
        if name in tensors and tensors[name].shape != tuple(tensor.shape)
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise BundleError(f"{source}: does not fit its network: {', '.join(problems[:5])}{more}")
    network.load_state_dict({name: torch.from_numpy(_writable(tensors[name])) for name in expected})


def _writable(tensor: NDArray[np.generic]) -> NDArray[np.generic]:
    """torch warns of an array that it may not write to, as one that maps a file is."""
    return tensor if tensor.flags.writeable else tensor.copy()
