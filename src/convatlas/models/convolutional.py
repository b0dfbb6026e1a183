"""A network with its dense layers turned into convolutions: one pass scores every window of a picture.

Sermanet et al., "OverFeat", ICLR 2014, https://arxiv.org/abs/1312.6229, Section 3.5; Matan, Burges, LeCun, Denker,
"Multi-Digit Recognition Using a Space Displacement Neural Network", NIPS 1991. A dense layer that sees maps of h x w is
a convolution of h x w; those after it are convolutions of 1 x 1; a pooling over all of h x w slides too.
The weights are shared with the network: the converted one learns, moves and changes with it.

Each score is what the network gives for the window cut out, exactly if its convolutions and poolings pad nothing. A
padded one sees zeros around a window cut out, and the picture going on around one that slides.
"""

import copy
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.layers.squeeze_excitation import SqueezeExcitation

_POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
_FAR = 1152  # 2^7 * 3^2 pixels: a multiple of the strides of networks


class ConvolutionalWindows(nn.Module):
    """Pictures (N, C, H, W) of at least one window -> scores (N, K, rows, columns) of its places.

    window, stride: pixels along rows and along columns; a place further on is a stride further in the picture.
    """

    def __init__(
        self, body: Callable[[Tensor], Tensor], tail: nn.Sequential, window: tuple[int, int], stride: tuple[int, int]
    ) -> None:
        super().__init__()
        self._body = body
        self.tail = tail
        self.window = window
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        scores: Tensor = self.tail(self._body(x))
        return scores


def convolutional(network: nn.Module, x: Tensor) -> ConvolutionalWindows:
    """The network over windows of the size of x (1, C, h, w), a picture of which shows the way through its layers.

    It is for networks whose layers stand one after the other, or that have `features` and, as their `head`, layers one
    after the other. It works as in evaluation whatever the network's mode: dropout is gone. Raises UsageError for any
    other network, for one whose layers look at the whole picture (squeeze-and-excitation), and when the converted
    network does not answer for x as the network does.
    """
    if any(isinstance(module, SqueezeExcitation) for module in network.modules()):
        raise _cannot(network, "its squeeze-and-excitation weighs channels by their means over the whole picture")
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            expected = network(x)
            if not isinstance(expected, Tensor) or expected.dim() != 2:
                raise _cannot(network, "it gives no one row of scores a picture")
            body, layers = _body_and_layers(network, x, expected)
            tail = nn.Sequential(*_over_places(network, layers, body(x)))
            found = tail(body(x))
            if found.shape != (*expected.shape, 1, 1) or not torch.allclose(
                found[:, :, 0, 0], expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max())
            ):
                raise _cannot(network, "its layers do more than stand one after the other")
            stride = _stride(body, tail, x)
    finally:
        for module, training in modes:
            module.training = training
    return ConvolutionalWindows(body, tail, (x.shape[2], x.shape[3]), stride).eval()


def _body_and_layers(
    network: nn.Module, x: Tensor, expected: Tensor
) -> tuple[Callable[[Tensor], Tensor], list[nn.Module]]:
    """What makes maps of pictures, and the layers from there to the scores, in the order in which they work."""
    layers = _leaves_in_order(network, lambda: network(x))
    if layers is not None and _agrees(layers, x, expected):
        return lambda pictures: pictures, layers
    head = getattr(network, "head", None)
    if not isinstance(head, nn.Sequential) or not hasattr(network, "features"):
        raise _cannot(network, "it has no `features` and `head` of layers one after the other")
    features = cast("Callable[[Tensor], tuple[Tensor, ...]]", network.features)
    maps = features(x)[-1]
    layers = _leaves_in_order(head, lambda: head(maps))
    if layers is None or not _agrees(layers, maps, expected):
        raise _cannot(network, "its head is not layers one after the other")
    return lambda pictures: features(pictures)[-1], layers


def _leaves_in_order(module: nn.Module, work: Callable[[], object]) -> list[nn.Module] | None:
    """The modules without children in the order in which they work; None if one works twice."""
    order: list[nn.Module] = []
    leaves = [each for each in module.modules() if not any(each.children())]
    hooks = [leaf.register_forward_pre_hook(lambda leaf, _inputs: order.append(leaf)) for leaf in leaves]
    try:
        work()
    finally:
        for hook in hooks:
            hook.remove()
    return order if len(set(order)) == len(order) else None


def _agrees(layers: list[nn.Module], x: Tensor, expected: Tensor) -> bool:
    try:
        for layer in layers:
            x = layer(x)
    except (RuntimeError, TypeError, ValueError):  # of shapes or arguments that do not fit: not one after the other
        return False
    return isinstance(x, Tensor) and x.shape == expected.shape and torch.allclose(x, expected)


def _over_places(network: nn.Module, layers: list[nn.Module], maps: Tensor) -> list[nn.Module]:
    """The layers for maps of any size; `maps` are those of one window."""
    converted: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, nn.Flatten | nn.Dropout | nn.Identity):
            continue
        if isinstance(layer, nn.Linear):
            place: nn.Module = DenseOverPlaces(layer, (maps.shape[2], maps.shape[3]))
        elif isinstance(layer, _POOLS):
            place = _pool_over_places(network, layer, maps)
        else:
            place = layer
        converted.append(place)
        maps = place(maps)
        if maps.dim() != 4:
            raise _cannot(network, f"{type(layer).__name__} gives no maps")
    return converted


class DenseOverPlaces(nn.Module):
    """A dense layer as a convolution of `size`, with its weights: (N, C, H, W) -> (N, out, H - h + 1, W - w + 1)."""

    def __init__(self, dense: nn.Linear, size: tuple[int, int]) -> None:
        super().__init__()
        self.dense = dense
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        kernel = self.dense.weight.reshape(self.dense.out_features, -1, *self.size)
        return nn.functional.conv2d(x, kernel, self.dense.bias)


def _pool_over_places(network: nn.Module, layer: nn.Module, maps: Tensor) -> nn.Module:
    size = (maps.shape[2], maps.shape[3])
    pooled = layer(maps)
    if pooled.shape[2:] == size:
        return nn.Identity()
    if pooled.shape[2:] != (1, 1):
        raise _cannot(network, f"{type(layer).__name__} pools {size} to {tuple(pooled.shape[2:])}")
    average = isinstance(layer, nn.AdaptiveAvgPool2d)
    return nn.AvgPool2d(size, stride=1) if average else nn.MaxPool2d(size, stride=1)


def _stride(body: Callable[[Tensor], Tensor], tail: nn.Sequential, x: Tensor) -> tuple[int, int]:
    raise NotImplementedError


def _cannot(network: nn.Module, why: str) -> UsageError:
    return UsageError(f"{type(network).__name__} cannot slide as convolutions: {why}. Cut the windows out instead")
