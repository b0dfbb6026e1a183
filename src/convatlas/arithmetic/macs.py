"""Parameters, and the multiply-accumulates of convolutions and dense layers, of any network."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def count_parameters(network: nn.Module) -> int:
    """Trainable parameters; a parameter that two modules share counts once."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def count_macs(network: nn.Module, image: tuple[int, int, int]) -> int:
    """Multiply-accumulates of one image (C, H, W): each weight of a convolution once for each place it is applied at,
    each weight of a dense layer once. A module of another kind may state its own in `multiply_accumulates(output)`.

    A copy is run on the meta device, so nothing is computed and the network is left as it was.
    """
    on_meta = copy.deepcopy(network).to("meta").eval()
    total = 0

    def add(count: Callable[[nn.Module, Tensor], int]) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(module: nn.Module, _inputs: object, output: Tensor) -> None:
            nonlocal total
            total += count(module, output)

        return hook

    for module in on_meta.modules():
        if isinstance(module, CONVOLUTIONS):
            module.register_forward_hook(add(_of_convolution))
        elif isinstance(module, nn.Linear):
            module.register_forward_hook(add(_of_dense))
        elif hasattr(module, "multiply_accumulates"):
            module.register_forward_hook(add(_as_stated))
    dtype = next((parameter.dtype for parameter in on_meta.parameters()), torch.get_default_dtype())
    with torch.no_grad():
        on_meta(torch.empty(1, *image, device="meta", dtype=dtype))
    return total


def _of_convolution(module: nn.Module, output: Tensor) -> int:
    assert isinstance(module, CONVOLUTIONS)
    return module.weight.numel() * output[0, 0].numel()


def _of_dense(module: nn.Module, output: Tensor) -> int:
    assert isinstance(module, nn.Linear)
    return module.weight.numel() * (output.numel() // module.out_features)


def _as_stated(module: nn.Module, output: Tensor) -> int:
    stated: Callable[[Tensor], int] = module.multiply_accumulates  # type: ignore[assignment]  # hooked only where it is
    return stated(output)
