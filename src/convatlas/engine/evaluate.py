"""A network's logits for a set of pictures."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader

from convatlas.data.loader import Batch, batches


@dataclass(frozen=True, kw_only=True)
class Answers:
    """logits (N, K) float64, labels (N,) or (N, K), places (N,) in the set that the loader reads, ascending."""

    logits: NDArray[np.float64]
    labels: NDArray[Any]
    places: NDArray[np.int64]


@torch.inference_mode()
def answer_all(deployed: nn.Module, loader: DataLoader[Batch], accelerator: Accelerator | None = None) -> Answers:
    """Run a `Deployed` network over a loader in evaluation mode; under several processes each gets all answers.

    The network's mode is as before afterwards.
    """
    device = next((tensor.device for tensor in deployed.parameters()), torch.device("cpu"))
    was_training = deployed.training
    deployed.eval()
    parts: list[tuple[Any, ...]] = []
    for batch in batches(loader):
        logits = deployed(batch.pixels.to(device, non_blocking=True)).float()
        answers = (logits, batch.labels.to(device), batch.places.to(device))
        if accelerator is not None:
            answers = accelerator.gather_for_metrics(answers)
        parts.append(tuple(part.cpu().numpy() for part in answers))
    deployed.train(was_training)
    logits, labels, places = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(places, kind="stable")
    return Answers(logits=logits[order].astype(np.float64), labels=labels[order], places=places[order])
