"""Writing so that a reader never sees half a file: a temporary name beside the target, then a rename."""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from convatlas.errors import SaveError


@contextlib.contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """A temporary path to write; it becomes `target` when the block ends well, and goes away when it does not.

    Raises SaveError when the disk is full or the place cannot be written; an earlier `target` is then untouched.
    """
    temporary = _beside(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise SaveError(f"{target}: could not be written ({error.strerror or error})") from error
    finally:
        with contextlib.suppress(OSError):  # a file where its folder should be
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A temporary folder to fill; it becomes `target`, in place of an earlier one, when the block ends well."""
    temporary = _beside(target)
    displaced = _beside(target)
    try:
        if target.exists() and not target.is_dir():
            raise SaveError(f"{target}: is a file; a folder is to be written there. Name another place or remove it")
        temporary.mkdir(parents=True)
        yield temporary
        if target.exists():
            os.replace(target, displaced)
        os.replace(temporary, target)
    except OSError as error:
        raise SaveError(f"{target}: could not be written ({error.strerror or error})") from error
    finally:
        if displaced.exists() and not target.exists():
            os.replace(displaced, target)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(displaced, ignore_errors=True)


def write_text(target: Path, text: str) -> None:
    """Write a UTF-8 text file as a whole or not at all."""
    with new_file(target) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(target: Path, value: Mapping[str, object] | list[object]) -> None:
    """Write indented JSON as a whole or not at all; NaN and infinity are refused, for JSON has neither."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256(path: Path) -> str:
    """The file's SHA-256 as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
