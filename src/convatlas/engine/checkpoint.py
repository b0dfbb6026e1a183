"""Checkpoints: one safetensors file whose metadata holds the rest as JSON, replaced as a whole. No pickle."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from convatlas.errors import CheckpointError, SaveError
from convatlas.files import new_file

FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state at the end of an epoch.

    network, average: state dicts (average: the moving average of the weights, None without one). optimizer: the
    optimiser's own state dict. progress: JSON values: epochs done, steps taken, the history, the best score.
    """

    network: Mapping[str, Tensor]
    average: Mapping[str, Tensor] | None
    optimizer: Mapping[str, Any]
    progress: Mapping[str, Any]


def save_checkpoint(target: Path, checkpoint: Checkpoint) -> None:
    """Write the file as a whole or not at all. Raises SaveError when the disk is full; the earlier one then stays."""
    tensors = {f"network.{name}": tensor for name, tensor in checkpoint.network.items()}
    if checkpoint.average is not None:
        tensors |= {f"average.{name}": tensor for name, tensor in checkpoint.average.items()}
    numbers: dict[str, dict[str, Any]] = {}
    for index, state in checkpoint.optimizer["state"].items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
            else:
                numbers.setdefault(str(index), {})[name] = value
    description = {
        "format_version": FORMAT_VERSION,
        "progress": dict(checkpoint.progress),
        "average": checkpoint.average is not None,
        "optimizer": {"groups": checkpoint.optimizer["param_groups"], "numbers": numbers},
    }
    metadata = {"convatlas": json.dumps(description, allow_nan=False)}
    with new_file(target) as temporary:
        try:
            safetensors.torch.save_file(_separate(tensors), temporary, metadata)
        except SafetensorError as error:
            raise SaveError(f"{target}: could not be written ({error})") from error


def load_checkpoint(source: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU. Raises CheckpointError, naming the file, when it is not a whole one."""
    try:
        with safe_open(source, framework="pt") as file:
            description = json.loads(file.metadata()["convatlas"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # a file, not a dict
        if description["format_version"] > FORMAT_VERSION:
            raise CheckpointError(f"{source}: was written by a newer convatlas; upgrade to read it")
        state: dict[int, dict[str, Any]] = {int(i): dict(v) for i, v in description["optimizer"]["numbers"].items()}
        for key, tensor in tensors.items():
            if key.startswith("optimizer."):
                _, index, name = key.split(".", 2)
                state.setdefault(int(index), {})[name] = tensor
        return Checkpoint(
            network=_under("network.", tensors),
            average=_under("average.", tensors) if description["average"] else None,
            optimizer={"state": state, "param_groups": description["optimizer"]["groups"]},
            progress=description["progress"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise CheckpointError(f"{source}: is not a checkpoint that can be read ({error})") from error


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, contiguous and each in memory of its own, as safetensors wants them."""
    return {
        name: torch.clone(tensor.detach().cpu(), memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
