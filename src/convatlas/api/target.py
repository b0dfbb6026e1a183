"""Which network is meant: a name of the atlas, a trained one's folder, `module:function`, or the network itself."""

import contextlib
import importlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from convatlas import models
from convatlas.catalog import card, resolve
from convatlas.engine.bundle import bundle_folder, holds_bundle, read_bundle
from convatlas.errors import UsageError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Target:
    """A network, what to call it, and the shape of a picture that it takes where that is known."""

    network: nn.Module
    name: str
    picture: tuple[int, ...] | None = None


def find_network(target: str | Path | nn.Module, changes: Mapping[str, object]) -> Target:
    """What is meant; ours on the meta device, so that nothing is initialised.

    target: as `show` takes it. changes: fields of the config of a network of the atlas.
    Raises UsageError for what cannot be found or meant.
    """
    if isinstance(target, nn.Module):
        _no_changes(changes, type(target).__name__)
        return Target(network=target, name=type(target).__name__)
    if isinstance(target, Path) or holds_bundle(Path(target)) or _is_path(target):
        return _of_bundle(Path(target), changes)  # or says what is wrong with the folder
    module, colon, function = target.partition(":")
    if colon:
        _no_changes(changes, target)
        return Target(network=_called(module, function), name=target)
    name = resolve(target)
    usual = card(name).input
    network = _built(name, changes)
    config = getattr(network, "config", None)
    channels = getattr(config, "in_channels", usual[0])
    side = getattr(config, "image_size", None)  # of networks that take one size only
    return Target(network=network, name=name, picture=(channels, *(usual[1:] if side is None else (side, side))))


def _is_path(target: str) -> bool:
    r"""Whether a place is meant, be there something or not: `runs/x`, and on Windows `C:\runs\x`, colon and all."""
    return "/" in target or "\\" in target or (Path(target).exists() and not _is_name(target))


def _is_name(word: str) -> bool:
    try:
        resolve(word)
    except UsageError:
        return False
    return True


def _of_bundle(path: Path, changes: Mapping[str, object]) -> Target:
    bundle = read_bundle(bundle_folder(path))
    _no_changes(changes, str(path))
    cut = bundle.preprocess
    network = _built(bundle.model, bundle.changes)
    return Target(network=network, name=bundle.model, picture=(cut.channels, cut.height, cut.width))


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
    except (Exception, SystemExit) as error:  # a stranger's module may raise anything
        raise UsageError(f"{target}: importing {module} failed: {type(error).__name__}: {error}") from error


def _result(target: str, function: object) -> object:
    if not callable(function):
        raise UsageError(f"{target}: is {type(function).__name__}, not a function that returns a torch.nn.Module")
    try:
        return function()
    except (Exception, SystemExit) as error:  # as above
        raise UsageError(f"{target}: calling it without arguments failed: {type(error).__name__}: {error}") from error
