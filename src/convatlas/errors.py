"""The errors that convatlas raises on purpose.

Each message names the file, field or option, what was expected, and what to do. `exit_code` is what the command line
ends with: 2 for wrong use (nothing was attempted), 1 for a run that failed.
"""

import difflib
from collections.abc import Iterable


class ConvatlasError(Exception):
    """Any foreseeable failure: the command line prints it without a traceback."""

    exit_code = 1


class UsageError(ConvatlasError, ValueError):
    """A name, option or value that cannot be meant as given."""

    exit_code = 2


class MissingExtra(UsageError, ImportError):  # noqa: N818  # the reader needs the extra, not the word Error
    """A feature whose optional packages are not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs packages that are not installed: pip install 'convatlas[{extra}]'")
        self.extra = extra


class DataError(ConvatlasError):
    """Pictures, labels or annotations that cannot be read or used as they are."""


class PictureError(DataError):
    """One picture that cannot be decoded."""

    def __init__(self, picture: str, reason: str) -> None:
        super().__init__(f"{picture}: {reason}")
        self.picture = picture
        self.reason = reason

    def __reduce__(self) -> tuple[type["PictureError"], tuple[str, str]]:
        # Pickle would otherwise replay __init__ with the one message.
        return PictureError, (self.picture, self.reason)


class BundleError(ConvatlasError):
    """A bundle that is incomplete, altered, or written by a newer version."""


class EngineError(BundleError):
    """A graph that an engine does not take, such as one with an operator that it does not have."""


class OutOfMemoryError(ConvatlasError):
    """Work that does not fit into memory."""


class CheckpointError(ConvatlasError):
    """A checkpoint that cannot be read, or does not belong to the run."""


class TrainingError(ConvatlasError):
    """A training run that cannot go on (a loss that is not finite, no readable picture left)."""


class ExportError(ConvatlasError):
    """A network that could not be exported, or whose export disagrees with it."""


class WeightsError(ConvatlasError):
    """Published weights that are altered, cannot be read, or do not belong to the network."""


class DownloadError(WeightsError):
    """Published weights that could not be brought to this machine."""


class SaveError(ConvatlasError):
    """A file that could not be written; what stood there before is untouched."""


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """`Did you mean "resnet18" or "resnet34"?` with a leading blank, or nothing when no choice is near."""
    near = difflib.get_close_matches(word.lower(), list(choices), n=3, cutoff=0.6)
    if not near:
        return ""
    return " Did you mean " + " or ".join(f'"{choice}"' for choice in near) + "?"
