"""Half a download, kept so that the next attempt goes on where this one ended, and shared by no two processes.

A half download is a folder: the bytes so far, and the ETag of the file they are from. It is claimed by renaming it,
which only one process can do; another one then begins its own. Both end with a rename of a whole file to the same
name, so whoever reads the cache sees one whole file or none. That needs no lock, and no stale lock is left behind.
"""

import contextlib
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ABANDONED_AFTER = 600.0  # seconds without a new byte: longer than a living process waits for one


@dataclass(frozen=True)
class Partial:
    """The claimed folder of a half download."""

    folder: Path

    @property
    def data(self) -> Path:
        """The file with the bytes so far."""
        return self.folder / "data"

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self.data.stat().st_size if self.data.exists() else 0

    @property
    def etag(self) -> str | None:
        """The ETag of the file that the bytes are from; None when the server named none, so that none can go on."""
        tag = self.folder / "etag"
        return tag.read_text(encoding="ascii") if tag.exists() else None

    def begin(self, etag: str | None) -> None:
        """Forget the bytes; those to come are from the file that has this ETag."""
        self.data.write_bytes(b"")
        (self.folder / "etag").unlink(missing_ok=True)
        if etag is not None:
            (self.folder / "etag").write_text(etag, encoding="ascii")


@contextlib.contextmanager
def claim(target: Path) -> Iterator[Partial]:
    """The half download of `target` that an earlier attempt left, or a new empty one; kept if the block fails."""
    waiting = target.with_name(f".{target.name}.part")
    mine = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in [waiting, *_abandoned(target)]:
        with contextlib.suppress(OSError):  # there is none, or another process was quicker
            left.rename(mine)
            break
    else:
        mine.mkdir()
    partial = Partial(mine)
    try:
        yield partial
    finally:
        keep = partial.size > 0 and partial.etag is not None
        try:
            if keep:
                mine.rename(waiting)
        except OSError:  # another process left one first
            keep = False
        if not keep:
            shutil.rmtree(mine, ignore_errors=True)


def _abandoned(target: Path) -> Iterator[Path]:
    """What a process that was killed left behind, told by its age."""
    for folder in target.parent.glob(f".{target.name}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - (folder / "data").stat().st_mtime > ABANDONED_AFTER:
                yield folder
