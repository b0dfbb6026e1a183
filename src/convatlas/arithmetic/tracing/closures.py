"""Functions that a network keeps as attributes and that read its modules: `self.act = lambda x: self.norm(x).relu()`.

`copy.deepcopy` leaves functions as they are, so that those of a copied network would still run the modules of the
original. Here they are made anew, around the modules of the copy.
"""

import copy
import functools
from collections.abc import Callable, Sequence
from types import CellType, FunctionType
from typing import Any

from torch import Tensor, nn


def rebind(copied: nn.Module, memo: dict[int, Any]) -> None:
    """Replace each function among the attributes of the copy's modules that encloses modules or tensors.

    memo: what `copy.deepcopy` has put there while it made the copy, the original's id -> its copy.
    """
    for module in copied.modules():
        own = vars(module)
        for name in [name for name in own if name not in ("_parameters", "_buffers", "_modules")]:
            renewed = _rebound(own[name], memo)
            if renewed is not own[name]:
                own[name] = renewed


def _rebound(value: Any, memo: dict[int, Any]) -> Any:
    """The value for the copy: itself, unless there is such a function in it."""
    if isinstance(value, FunctionType):
        return _function(value, memo) if value.__closure__ or value.__defaults__ or value.__kwdefaults__ else value
    if type(value) is functools.partial:
        function, args, options = (_rebound(each, memo) for each in (value.func, value.args, value.keywords))
        same = function is value.func and args is value.args and options is value.keywords
        return value if same else functools.partial(function, *args, **options)
    return _each(value, functools.partial(_rebound, memo=memo))


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """A list, tuple or dict with each of its values changed; anything else, and what does not change, as it is."""
    if type(value) is dict:
        made = {key: change(each) for key, each in value.items()}
        return value if all(made[key] is value[key] for key in value) else made
    if type(value) not in (list, tuple):
        return value
    listed: Sequence[Any] = type(value)(change(each) for each in value)
    return value if all(one is other for one, other in zip(value, listed, strict=True)) else listed


def _function(function: FunctionType, memo: dict[int, Any]) -> Any:
    if id(function) in memo:
        return memo[id(function)]
    old = function.__closure__ or ()
    new = tuple(memo.setdefault(id(cell), CellType()) for cell in old)  # functions may share a cell
    renewed = FunctionType(function.__code__, function.__globals__, function.__name__, None, new)
    renewed.__qualname__ = function.__qualname__
    renewed.__dict__.update(function.__dict__)
    memo[id(function)] = renewed  # before its cells are filled: it may enclose itself
    renewed.__defaults__ = _enclosed(function.__defaults__, memo)
    renewed.__kwdefaults__ = _enclosed(function.__kwdefaults__, memo)
    for before, after in zip(old, new, strict=True):
        try:
            after.cell_contents = _enclosed(before.cell_contents, memo)
        except ValueError:  # a name that is not bound yet
            continue
    return renewed


def _enclosed(value: Any, memo: dict[int, Any]) -> Any:
    """What the copy's function encloses instead. Objects of other kinds are shared: they may be anything."""
    if isinstance(value, nn.Module | Tensor):
        try:
            return copy.deepcopy(value, memo)  # which is the copy's own where the network has it
        except Exception:  # whatever an attribute of a stranger's class may raise
            return value
    if isinstance(value, FunctionType | functools.partial):
        return _rebound(value, memo)
    return _each(value, functools.partial(_enclosed, memo=memo))
