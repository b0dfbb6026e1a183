"""Files of a bundle compared with their digests while they are being loaded: on two cores it then takes no time."""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from convatlas.engine.bundle import verify_file
from convatlas.errors import BundleError


@contextlib.contextmanager
def verifying(digests: Mapping[Path, str]) -> Iterator[None]:
    """While the block runs another thread compares files with their SHA-256; BundleError in the end if one differs.

    That error also takes the place of the block's own BundleError: an altered file is why it could not be loaded.
    """
    problems: list[BundleError] = []

    def compare() -> None:
        for file, digest in digests.items():
            try:
                verify_file(file, digest)
            except BundleError as error:
                problems.append(error)
            except OSError as error:
                problems.append(BundleError(f"{file}: cannot be read ({error.strerror or error})"))
            except BaseException as error:  # what was not compared is not known to be as it was written
                problems.append(BundleError(f"{file}: could not be compared with its SHA-256 ({error!r})"))

    thread = threading.Thread(target=compare)
    thread.start()
    try:
        yield
    except BundleError:
        thread.join()
        if problems:
            raise problems[0] from None
        raise
    finally:
        thread.join()
    if problems:
        raise problems[0]
