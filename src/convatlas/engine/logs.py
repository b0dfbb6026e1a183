"""The log of a run: a CSV row for each epoch, and TensorBoard events for those who want them."""

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convatlas.errors import MissingExtra
from convatlas.files import write_text
from convatlas.types import EpochRow


def read_rows(values: Sequence[Mapping[str, Any]]) -> list[EpochRow]:
    """Rows as a checkpoint keeps them."""
    return [EpochRow(**value) for value in values]


def write_csv(path: Path, rows: Sequence[EpochRow]) -> None:
    """All epochs so far, written as a whole so that a resumed run has no row twice."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in dataclasses.fields(EpochRow)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: f"{value:.6g}" for name, value in dataclasses.asdict(row).items()})
    write_text(path, text.getvalue())


class TensorBoard:
    """Events that TensorBoard shows, one point an epoch."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  # an extra, loaded when asked for
        except ImportError as error:
            raise MissingExtra("writing TensorBoard events", "tensorboard") from error
        self._writer = SummaryWriter(str(folder))

    def add(self, row: EpochRow) -> None:
        """Add the points of one epoch."""
        values = dataclasses.asdict(row)
        for name in ("learning_rate", "train_loss", "val_loss", "val_score", "images_per_second"):
            self._writer.add_scalar(name, values[name], row.epoch)
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
