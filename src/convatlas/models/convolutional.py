"""A network with its dense layers turned into convolutions: one pass scores every window of a picture.

Sermanet et al., "OverFeat", ICLR 2014, https://arxiv.org/abs/1312.6229, Section 3.5; Matan, Burges, LeCun, Denker,
"Multi-Digit Recognition Using a Space Displacement Neural Network", NIPS 1991. A dense layer that sees maps of h x w is
a convolution of h x w; those after it are convolutions of 1 x 1; a pooling over all of h x w slides too.

The network's own code runs, in a copy that shares its weights; what is exchanged, while it runs, are the functions
that would make one row of a picture's maps. So it matters not how a network is written: in layers or in functions, with
branches or without.

Each score is what the network gives for the window cut out, exactly if its convolutions and poolings pad nothing. A
padded one sees zeros around a window cut out, and the picture going on around one that slides.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from convatlas.errors import UsageError

Pair = tuple[int, int]  # along rows, along columns

_FLATTEN = (torch.flatten, Tensor.flatten)
_RESHAPE = (torch.reshape, Tensor.reshape, Tensor.view)
_FAR = 40_320  # pixels, 2^7 * 3^2 * 5 * 7: a multiple of the strides of networks
_LONG = 256  # maps of so far a picture are longer than this, at strides below 150; no kernel is
_UNFIT = (RuntimeError, TypeError, ValueError, IndexError)  # what layers raise of shapes and arguments that do not fit


class ConvolutionalWindows(nn.Module):
    """Pictures (N, C, H, W) of at least one window -> scores (N, K, rows, columns) of its places.

    window, stride: pixels along rows and along columns; a place further on is a stride further in the picture.
    """

    def __init__(self, network: nn.Module, sizes: Sequence[Pair | None], window: Pair, stride: Pair) -> None:
        super().__init__()
        self.network = network
        self.window = window
        self.stride = stride
        self._sizes = tuple(sizes)

    def forward(self, x: Tensor) -> Tensor:
        """See the class. Raises UsageError for a picture smaller than the window."""
        if x.dim() != 4 or x.shape[2] < self.window[0] or x.shape[3] < self.window[1]:
            raise UsageError(f"x: expected (N, C, H, W) of at least the window {self.window}, got {tuple(x.shape)}")
        with _OverPlaces(self._sizes):
            scores: Tensor = self.network(x)
        return scores


def convolutional(network: nn.Module, x: Tensor) -> ConvolutionalWindows:
    """The network over windows of the size of x (1, C, h, w), a picture for which it gives one row of scores (1, K).

    The weights are the network's own, so that either learns with the other; after one is moved to another device it
    must be turned anew. It is in evaluation mode, whatever the network's: dropout is gone.
    Of x only the shape, dtype and device matter: both forms must give one row for a random picture like it.
    Raises UsageError when the network takes no such picture, gives something else, takes pictures of one size alone,
    weighs by the whole picture (squeeze-and-excitation, group and instance normalisation, attention), or does with rows
    of scores what maps do not allow. A network that pads nothing is also run on a larger picture, where the scores of
    three places must be those of the windows cut out. Of one that pads they differ in any case: there a function that
    leaves the shape of maps but mixes all of an axis (cumsum, flip, roll, fft) is not seen.
    LeNet-5 checks the size of its pictures: `nn.Sequential(*network.children())` does not.
    """
    if x.dim() != 4 or len(x) != 1 or not x.is_floating_point():
        raise UsageError(f"x: expected one picture (1, C, h, w) of floats, got {x.dtype} of shape {tuple(x.shape)}")
    picture = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)).to(x)
    with torch.no_grad():
        try:
            twin = _twin(network)
        except _UNFIT as error:
            raise _cannot(network, f"it cannot be copied: {_first_line(error)}") from error
        try:
            expected = twin(picture)
        except _UNFIT as error:
            name, shape = type(network).__name__, tuple(x.shape)
            raise UsageError(f"x: {name} does not take pictures of shape {shape}: {_first_line(error)}") from error
        if not isinstance(expected, Tensor) or expected.dim() != 2:
            raise _cannot(network, "it gives no one row of scores a picture")
        try:
            return _turned(network, picture, expected)
        except _UNFIT as error:
            raise _cannot(network, _first_line(error)) from error


def _turned(network: nn.Module, x: Tensor, expected: Tensor) -> ConvolutionalWindows:
    turned = _twin(network)
    for module in turned.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.__class__ = nn.BatchNorm2d  # type: ignore[assignment]  # the same sums; BatchNorm1d refuses maps
    learning = _OverPlaces(None)
    with learning:
        found = turned(x)
    nearest = 1e-4 * float(expected.abs().max())
    if found.shape != (*expected.shape, 1, 1) or not torch.allclose(found[:, :, 0, 0], expected, 1e-3, nearest):
        raise ValueError("it does with rows of scores what maps do not allow")
    windows = ConvolutionalWindows(turned, learning.sizes, (x.shape[2], x.shape[3]), (1, 1)).eval()
    windows.stride = _stride(windows, x)
    padding = _Padding()
    alone = _twin(network)
    with padding:
        alone(x)
    if not padding.seen:
        _compare(alone, windows, x)
    return windows


def _compare(network: nn.Module, windows: ConvolutionalWindows, x: Tensor) -> None:
    """Raise ValueError unless places first, middle and last of a picture two strides larger score as they do alone."""
    (height, width), (down, right) = windows.window, windows.stride
    shape = (1, x.shape[1], height + 2 * down, width + 2 * right)
    picture = torch.rand(shape, generator=torch.Generator().manual_seed(1)).to(x)
    scores = windows(picture)
    for place in range(3):
        cut = picture[:, :, place * down : place * down + height, place * right : place * right + width]
        expected = network(cut)
        nearest = 1e-4 * float(expected.abs().max())
        if not torch.allclose(scores[:, :, place, place], expected, 1e-3, nearest):
            raise ValueError("in a larger picture its scores are not those of the windows cut out")


class _OverPlaces(TorchFunctionMode):
    """While it is entered, what would make rows of maps makes maps (N, K, rows, columns) of places instead.

    sizes: for each dense layer and each pooling that meets maps, in turn, the h x w of them that a window has, None
    where it stays as it is; they are learnt, from one window, where None is given in place of all.
    """

    def __init__(self, sizes: Sequence[Pair | None] | None) -> None:
        super().__init__()
        self.sizes: list[Pair | None] = []
        self._known = None if sizes is None else iter(sizes)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """What torch calls in place of each of its functions."""
        maps, others, named = args[0] if args else None, args[1:], kwargs or {}
        if isinstance(maps, Tensor) and maps.dim() == 4:
            if (func in _FLATTEN and _flattens(*others, **named)) or (func in _RESHAPE and _two_axes(*others)):
                return maps
            wanted = _WINDOWS.get(func)
            size = None if wanted is None else self._size(lambda: wanted(maps, *others, **named))
            if size is not None and func is F.linear:
                return F.conv2d(maps, others[0].reshape(len(others[0]), maps.shape[1], *size), *others[1:], **named)
            if size is not None:
                slide = F.max_pool2d if func is F.adaptive_max_pool2d else F.avg_pool2d
                return slide(maps, size, stride=1)
        return func(*args, **named)

    def _size(self, of_window: Callable[[], Pair | None]) -> Pair | None:
        if self._known is not None:
            return next(self._known)
        self.sizes.append(of_window())
        return self.sizes[-1]


class _Local(TorchFunctionMode):
    """While it is entered, a function of maps that are long along an axis is refused if it looks at all of that axis.

    Where a network means one window, it would mean the whole picture: the scores would be wrong, and of a right shape.
    """

    def __init__(self, axis: int) -> None:
        super().__init__()
        self._axis = axis

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """What torch calls in place of each of its functions."""
        named = kwargs or {}
        result = func(*args, **named)
        maps = args[0] if args else named.get("input")
        if isinstance(maps, Tensor) and maps.dim() == 4 and maps.shape[self._axis] > _LONG:
            others = args[1:]
            if _normalises(func, others, named) or _soft_over(func, maps, others, named) or self._is_gone(maps, result):
                raise ValueError(f"{getattr(func, '__name__', func)} looks at all of a picture's maps at once")
        return result

    def _is_gone(self, maps: Tensor, result: object) -> bool:
        """Whether nothing of the axis is left, as after a sum, or it is one with another."""
        first = result[0] if isinstance(result, tuple) and result else result
        if not isinstance(first, Tensor) or maps.shape[self._axis] in first.shape:
            return False
        return first.dim() < 4 or first.shape[self._axis] == 1


class _Padding(TorchFunctionMode):
    """While it is entered, it is noted whether what lies beyond the edges of maps is made up."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = False

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """What torch calls in place of each of its functions."""
        named = kwargs or {}
        at = _PADDING_AT.get(getattr(func, "__name__", ""))
        given = [named.get("padding", 0), named.get("ceil_mode", False), *(args[at : at + 2] if at == 3 else ())]
        if at == 4:
            given += args[4:5]
        if func in (F.pad, F.interpolate) or any(each not in _NO_PADDING for each in given):
            self.seen = True
        return func(*args, **named)


# Where a function takes its padding; a pooling's ceil_mode, by which it reaches beyond the edge, comes after it.
_PADDING_AT = {"conv2d": 4, "conv_transpose2d": 4, "max_pool2d": 3, "avg_pool2d": 3}
_NO_PADDING = (0, (0, 0), [0, 0], (0,), "valid")

# The argument, the fifth after the maps, that asks a normalisation to take mean and variance from all places.
_FROM_MAPS: dict[Callable[..., Any], tuple[str, bool]] = {
    F.batch_norm: ("training", False),
    F.instance_norm: ("use_input_stats", True),
}
_SOFT = (F.softmax, torch.softmax, Tensor.softmax, F.log_softmax, torch.log_softmax, Tensor.log_softmax)


def _normalises(func: Callable[..., Any], others: Sequence[Any], named: dict[str, Any]) -> bool:
    if func in _FROM_MAPS:
        name, usual = _FROM_MAPS[func]
        return bool(others[4] if len(others) > 4 else named.get(name, usual))
    if func is F.layer_norm:
        return len(named.get("normalized_shape", others[0] if others else ())) > 1  # one axis: of the channels
    return func is F.group_norm


def _soft_over(func: Callable[..., Any], maps: Tensor, others: Sequence[Any], named: dict[str, Any]) -> bool:
    axis = named.get("dim", others[0] if others else None)
    return func in _SOFT and isinstance(axis, int) and maps.shape[axis] > _LONG


def _flattens(start_dim: int = 0, end_dim: int = -1) -> bool:
    return start_dim == 1 and end_dim in (-1, 3)


def _two_axes(*shape: Any) -> bool:
    return len(shape[0] if shape and isinstance(shape[0], Sequence) else shape) == 2


# What a dense layer or a pooling looks at in the maps of a window, h x w; None if it is to stay as it is.


def _dense_window(maps: Tensor, weight: Tensor, bias: Tensor | None = None) -> Pair | None:
    return (maps.shape[2], maps.shape[3]) if weight.shape[1] == maps[0].numel() else None


def _mean_window(maps: Tensor, dim: object = None, keepdim: bool = False) -> Pair | None:
    both = isinstance(dim, Sequence) and {axis % 4 for axis in dim} == {2, 3}
    return (maps.shape[2], maps.shape[3]) if both else None


def _pool_window(maps: Tensor, output_size: int | tuple[int, int], return_indices: bool = False) -> Pair | None:
    size, pooled = (maps.shape[2], maps.shape[3]), F.adaptive_avg_pool2d(maps, output_size).shape[2:]
    if pooled not in {(1, 1), size}:
        raise ValueError(f"it pools maps of {size[0]} x {size[1]} to {pooled[0]} x {pooled[1]}")
    return size if pooled == (1, 1) else (1, 1)


_WINDOWS: dict[Callable[..., Any], Callable[..., Pair | None]] = {
    F.linear: _dense_window,
    torch.mean: _mean_window,
    Tensor.mean: _mean_window,
    F.adaptive_avg_pool2d: _pool_window,
    F.adaptive_max_pool2d: _pool_window,
}


def _twin(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode with the very same weights."""
    shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, shared).eval()


def _stride(windows: ConvolutionalWindows, x: Tensor) -> Pair:
    """Pixels between places: from how many there are in pictures far higher and wider, of which only shapes are had."""
    state = {name: torch.empty_like(tensor, device="meta") for name, tensor in windows.state_dict().items()}
    steps = []
    for axis in (2, 3):
        shape = list(x.shape)
        shape[axis] += _FAR
        picture = torch.empty(shape, dtype=x.dtype, device="meta")
        try:
            with _Local(axis):
                more = functional_call(windows, state, (picture,)).shape[axis] - 1
        except RuntimeError as error:  # of shapes that do not fit
            raise ValueError("a layer of it looks at the whole picture at once") from error
        if more < 1 or _FAR % more:
            raise ValueError("a larger picture has no more places than one window, or not evenly more")
        steps.append(_FAR // more)
    return steps[0], steps[1]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _cannot(network: nn.Module, why: str) -> UsageError:
    return UsageError(f"{type(network).__name__} cannot slide as convolutions: {why}. Cut the windows out instead")
