"""A copy of a network to run in its place, with other tensors in it: on the meta device, fake, or real.

The tensors are put in while the copy is made, so that a network of any size is copied without its numbers, and what
modules share they still share in the copy.
"""

import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.arithmetic.tracing.closures import rebind

Convert = Callable[[Tensor], Tensor]

_PLAIN = (Tensor, nn.Parameter, nn.Buffer)


def stand_in(network: nn.Module, convert: Convert) -> tuple[nn.Module, tuple[str, ...]]:
    """A copy of the network in evaluation mode, each of its tensors converted, without the hooks of its user.

    The hooks that torch's own tools registered (weight norm, pruning) stay: they make the weights. Gives the paths of
    the modules, too, whose forward hooks were left out.
    """
    memo: dict[int, Any] = {}
    for tensor in _tensors(network):
        if nn.parameter.is_lazy(tensor):  # made on the device at hand, on which it will get its shape
            kind: Any = type(tensor)
            memo[id(tensor)] = kind(requires_grad=tensor.requires_grad, dtype=tensor.dtype)
        elif type(tensor) in _PLAIN:
            converted = convert(tensor.detach())
            if isinstance(tensor, nn.Parameter):
                converted = nn.Parameter(converted, requires_grad=tensor.requires_grad)
            memo[id(tensor)] = converted
    copied = _copied(network, memo).eval()
    return copied, tuple(path for path, module in copied.named_modules() if _drop_hooks(module))


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    """Parameters, buffers, and tensors that modules keep as plain attributes, in lists, tuples and dicts too."""
    for module in network.modules():
        yield from (each for each in (*module._parameters.values(), *module._buffers.values()) if each is not None)
        for name, value in vars(module).items():
            if name not in ("_parameters", "_buffers", "_modules"):
                yield from _within(value)


def _within(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _within(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _within(each)


def _copied(network: nn.Module, memo: dict[int, Any]) -> nn.Module:
    """A deep copy. What cannot be copied (a lock, an open file) is the network's own in the copy, too."""
    made = dict(memo)
    try:
        copied = copy.deepcopy(network, made)
    except Exception:  # whatever an attribute of a stranger's class may raise
        made = memo
        for module in network.modules():
            for name, value in vars(module).items():
                if name not in ("_parameters", "_buffers", "_modules") and not _can_be_copied(value, memo):
                    made[id(value)] = value
        copied = copy.deepcopy(network, made)
    rebind(copied, made)
    return copied


def _can_be_copied(value: object, memo: dict[int, Any]) -> bool:
    try:
        copy.deepcopy(value, dict(memo))
    except Exception:  # as above
        return False
    return True


def _drop_hooks(module: nn.Module) -> bool:
    """Whether there were forward hooks to leave out. Those on the gradient would not be called anyway."""
    dropped = False
    for hooks in (module._forward_hooks, module._forward_pre_hooks):
        for key in [key for key, hook in hooks.items() if not _is_torchs(hook)]:
            del hooks[key]
            dropped = True
    module._backward_hooks.clear()
    module._backward_pre_hooks.clear()
    return dropped


def _is_torchs(hook: object) -> bool:
    while isinstance(hook, functools.partial):
        hook = hook.func
    return str(getattr(hook, "__module__", "")).startswith("torch.")


def on_meta(tensor: Tensor) -> Tensor:
    """A tensor of the same shape and type without numbers."""
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def on_cpu(tensor: Tensor) -> Tensor:
    """A copy in the processor's memory. Small made-up numbers, always the same ones, where the tensor has none."""
    if not tensor.is_meta:
        return tensor.to("cpu", copy=True)
    made_up = torch.zeros(tensor.shape, dtype=tensor.dtype)
    if tensor.is_floating_point():
        made_up.uniform_(0, 0.1, generator=torch.Generator().manual_seed(0))
    return made_up


def input_on_cpu(tensor: Tensor) -> Tensor:
    """As `on_cpu`, but made-up numbers are those of a picture: 0 to 1."""
    return on_cpu(tensor) * 10 if tensor.is_meta and tensor.is_floating_point() else on_cpu(tensor)
