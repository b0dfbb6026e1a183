"""Seeds and determinism."""

import random

import numpy as np
import torch

from convatlas.errors import UsageError


def seed_all(seed: int, epoch: int) -> None:
    """Seed Python, NumPy and torch for one epoch.

    Each epoch starts from its own seed, so a run resumed at the end of an epoch goes on as if it had not stopped.
    """
    mixed = epoch_seed(seed, epoch) % 2**32
    random.seed(mixed)
    np.random.seed(mixed)  # third-party transforms draw from the global generator
    torch.manual_seed(mixed)


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of one epoch of a run, another for each pair; below 2**52 for seeds of a recipe."""
    return seed * 1_000_003 + epoch


def prepare_torch(*, threads: int | None, deterministic: bool) -> None:
    """Set the number of threads, and make torch refuse operations that are not deterministic when asked.

    Both hold for the whole process. On CUDA the environment must also hold CUBLAS_WORKSPACE_CONFIG=:4096:8; torch says
    so in its own words. Raises UsageError for fewer than one thread.
    """
    if threads is not None:
        if threads < 1:
            raise UsageError(f"threads: expected a whole number of at least 1, got {threads}")
        torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
