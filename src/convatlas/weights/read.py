"""Reading a file of weights: safetensors, or torch's format with tensors alone. A file that holds code is refused."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from convatlas.errors import UsageError, WeightsError

_WRAPPINGS = ("state_dict", "model")  # under which training scripts put the weights beside other things

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The named tensors of a .safetensors, .pth, .pt or .bin file, on the CPU; a checkpoint's are unwrapped.

    Raises WeightsError for a file that is missing, damaged, holds anything but tensors, or would run code.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{path}: is not a whole safetensors file ({error})") from error
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: expected a file of weights: .safetensors, .pth, .pt or .bin")
    return _tensors(path, _load(path))


def _load(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL ([\w.]+)|(?:class|function|type) ([\w.]+)", str(error))
        if code is not None and "Unsupported" in str(error):
            raise WeightsError(
                f"{path}: holds code ({code[1] or code[2]}), not only tensors, and is not opened: a pickle can do "
                "anything when it is read. Where you trust its source, save its tensors alone as safetensors"
            ) from error
        raise WeightsError(f"{path}: is damaged, or not a file of tensors") from error
    except Exception as error:  # whatever torch makes of bytes from outside
        raise WeightsError(f"{path}: is damaged, or not a file of tensors ({type(error).__name__})") from error


def _tensors(path: Path, value: object) -> dict[str, Tensor]:
    if isinstance(value, Mapping):
        if value and all(isinstance(name, str) and isinstance(each, Tensor) for name, each in value.items()):
            return dict(value)
        for name in _WRAPPINGS:
            if isinstance(value.get(name), Mapping):
                return _tensors(path, value[name])
    found = ", ".join(map(str, list(value)[:5])) if isinstance(value, Mapping) else type(value).__name__
    raise WeightsError(f"{path}: expected named tensors, found {found or 'nothing'}")
