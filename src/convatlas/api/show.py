"""The layer table of a network: ours by name, anybody's by `module:function` or as it is, a trained one by folder."""

import contextlib
import dataclasses
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from convatlas import models
from convatlas.arithmetic.tables.table import LayerTable, layer_table
from convatlas.arithmetic.tracing.trace import TraceError, trace
from convatlas.catalog import card, resolve
from convatlas.engine.bundle import bundle_folder, holds_bundle, read_bundle
from convatlas.errors import UsageError, did_you_mean

Input = str | Sequence[int] | Tensor

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16, "int64": torch.int64}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A network to show, what to call it, and the shape of a picture that it takes where that is known."""

    network: nn.Module
    name: str
    picture: tuple[int, ...] | None = None


def show(
    target: str | Path | nn.Module,
    *inputs: Input,
    depth: int | None = None,
    changes: Mapping[str, object] | None = None,
) -> LayerTable:
    """A row for each layer of a network: shape, parameters with their formula, multiply-accumulates, receptive field.

    print(convatlas.show("resnet50", depth=2)); convatlas.show(my_network, (3, 224, 224)).totals.macs

    target: the name of a network of the atlas; a run's or bundle's folder; `module:function`, a function without
    arguments in a module of the current folder that returns a network; or a network, which stays as it is.
    inputs: what the network's forward takes, each as the shape of one picture or other sample, without the batch:
    (3, 224, 224) or "3x224x224", of numbers "float32" unless another follows, as in "77:int64"; or a tensor, as it is.
    By name and for a bundle they may be left out.
    depth: one row for what modules at this depth do together; 1 are the network's own.
    changes: fields of the config of a network of the atlas, such as {"num_classes": 7}.

    Raises UsageError for what cannot be found or meant, and TraceError, with the table's trace until then as `partial`,
    for a network that fails on these inputs.
    """
    return folded(table_of(find_network(target, changes or {}), inputs), depth)


def folded(table: LayerTable, depth: int | None) -> LayerTable:
    """The table folded at this depth; as it is for None. Raises UsageError for a negative depth."""
    if depth is None:
        return table
    if depth < 0:
        raise UsageError(f"depth: expected a whole number of at least 0, got {depth}")
    return table.folded(depth)


def table_of(shown: Shown, inputs: Sequence[Input]) -> LayerTable:
    """The whole table. Raises as `show` does."""
    if not inputs and shown.picture is None:
        raise UsageError(
            f"{shown.name}: what does it take? Give the shape of one picture, channels first: --input "
            f"{_guess(shown.network)} (in Python, show(network, (3, 224, 224)))"
        )
    network = shown.network
    dtype = next((each.dtype for each in network.parameters() if each.is_floating_point()), torch.get_default_dtype())
    given = inputs or (shown.picture or (),)
    try:
        traced = trace(network, *(_tensor(each, dtype) for each in given))
    except TraceError as error:
        if isinstance(error.__cause__, UsageError) and not error.partial.ops:  # it refuses the input in plain words
            raise error.__cause__ from None
        raise
    return dataclasses.replace(layer_table(traced), network=shown.name)


def partial_table(error: TraceError) -> LayerTable:
    """The table until a network stopped."""
    return layer_table(error.partial)


def find_network(target: str | Path | nn.Module, changes: Mapping[str, object]) -> Shown:
    """What is meant by a target, see `show`; ours on the meta device, so that nothing is initialised."""
    if isinstance(target, nn.Module):
        _no_changes(changes, type(target).__name__)
        return Shown(network=target, name=type(target).__name__)
    if isinstance(target, Path) or holds_bundle(Path(target)) or _is_path(target):
        return _of_bundle(Path(target), changes)  # or says what is wrong with the folder
    module, colon, function = target.partition(":")
    if colon:
        _no_changes(changes, target)
        return Shown(network=_called(module, function), name=target)
    name = resolve(target)
    usual = card(name).input
    network = _built(name, changes)
    config = getattr(network, "config", None)
    channels = getattr(config, "in_channels", usual[0])
    side = getattr(config, "image_size", None)  # of networks that take one size only
    return Shown(network=network, name=name, picture=(channels, *(usual[1:] if side is None else (side, side))))


def _is_path(target: str) -> bool:
    r"""Whether a place is meant, be there something or not: `runs/x`, and on Windows `C:\runs\x`, colon and all."""
    return "/" in target or "\\" in target or (Path(target).exists() and not _is_name(target))


def _is_name(word: str) -> bool:
    try:
        resolve(word)
    except UsageError:
        return False
    return True


def _of_bundle(path: Path, changes: Mapping[str, object]) -> Shown:
    bundle = read_bundle(bundle_folder(path))
    _no_changes(changes, str(path))
    cut = bundle.preprocess
    network = _built(bundle.model, bundle.changes)
    return Shown(network=network, name=bundle.model, picture=(cut.channels, cut.height, cut.width))


def _built(name: str, changes: Mapping[str, object]) -> nn.Module:
    with torch.device("meta"):
        return models.create_model(name, **changes)


def _no_changes(changes: Mapping[str, object], target: str) -> None:
    if changes:
        raise UsageError(f"{target}: only a network of the atlas, by its name, can be built with {', '.join(changes)}")


def _called(module: str, function: str) -> nn.Module:
    """What `module:function` gives; modules of the current folder go first, as with uvicorn."""
    target = f"{module}:{function}"
    if not module or not all(part.isidentifier() for part in (*module.split("."), *function.split("."))):
        raise UsageError(f'{target}: expected module:function, such as "my_networks:small"')
    with _current_folder_first():
        found = _imported(target, module)
        for part in function.split("."):
            if not hasattr(found, part):
                near = did_you_mean(part, [each for each in dir(found) if not each.startswith("_")])
                raise UsageError(f"{target}: {module} has no {part}.{near}")
            found = getattr(found, part)
        if not isinstance(found, nn.Module):
            found = _result(target, found)
    if not isinstance(found, nn.Module):
        raise UsageError(f"{target}: gives {type(found).__name__}, not a torch.nn.Module")
    return found


@contextlib.contextmanager
def _current_folder_first() -> Iterator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _imported(target: str, module: str) -> object:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            raise UsageError(
                f"{target}: there is no module {error.name}; a module is looked for in {Path.cwd()}, then among those "
                "that are installed"
            ) from error
        raise UsageError(f"{target}: {module} imports {error.name}, which is not installed") from error
    except Exception as error:  # a stranger's module may raise anything
        raise UsageError(f"{target}: importing {module} failed: {type(error).__name__}: {error}") from error


def _result(target: str, function: object) -> object:
    if not callable(function):
        raise UsageError(f"{target}: is {type(function).__name__}, not a function that returns a torch.nn.Module")
    try:
        return function()
    except Exception as error:  # as above
        raise UsageError(f"{target}: calling it without arguments failed: {type(error).__name__}: {error}") from error


def _tensor(given: Input, dtype: torch.dtype) -> Tensor:
    """A batch of one of this shape, without numbers; a tensor as it is."""
    if isinstance(given, Tensor):
        return given
    shape, kind = parse_input(given) if isinstance(given, str) else (tuple(given), None)
    if not all(isinstance(size, int) and size > 0 for size in shape):
        raise UsageError(f"input: expected whole numbers of at least 1, such as (3, 224, 224), got {given!r}")
    strides = [1]
    for size in reversed(shape):
        strides.insert(0, strides[0] * size)
    return torch.empty_strided((1, *shape), strides, dtype=DTYPES[kind] if kind else dtype, device="meta")


def parse_input(text: str) -> tuple[tuple[int, ...], str | None]:
    """`"3x224x224"` -> (3, 224, 224), None; `"77:int64"` -> (77,), "int64". Raises UsageError for anything else."""
    sizes, colon, kind = text.strip().lower().partition(":")
    parts = sizes.split("x")
    if not all(part.isascii() and part.isdigit() and 0 < int(part) < 10**9 for part in parts):
        raise UsageError(
            f"input {text}: expected a shape without the batch, such as 3x224x224: channels, height, width"
        )
    if colon and kind not in DTYPES:
        raise UsageError(f"input {text}: expected one of {', '.join(DTYPES)} after the colon")
    return tuple(map(int, parts)), kind if colon else None


def _guess(network: nn.Module) -> str:
    """A shape that the first layer would take, to show how one is written."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            return f"{module.in_channels}x224x224"
        if isinstance(module, nn.Linear):
            return str(module.in_features)
    return "3x224x224"
