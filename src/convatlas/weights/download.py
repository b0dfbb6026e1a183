"""Bringing one file over HTTPS: resumed, bounded, checked, and renamed only when it is whole. Standard library only."""

import contextlib
import errno
import http.client
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import convatlas
from convatlas.errors import DownloadError, SaveError
from convatlas.files import sha256
from convatlas.weights.partial import Partial, claim

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here and the bytes of the whole file, None where the server does not say."""

_CHUNK = 1 << 18
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # statuses after which another attempt may go well


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to try: attempts in all, seconds before the second (then twice as long each), seconds without a byte."""

    attempts: int = 4
    wait: float = 0.5
    stall: float = 30.0


class _PassingError(Exception):
    """What another attempt may mend."""


def download(
    address: str,
    target: Path,
    *,
    expected_sha256: str = "",
    max_bytes: int = 4 << 30,
    patience: Patience | None = None,
    progress: Progress | None = None,
) -> str:
    """Bring the file at `address` to `target`, which is replaced only by a whole and right file; return its SHA-256.

    expected_sha256: how the digest must begin; "" takes any, unless the server states one (a hub's X-Linked-ETag).
    A half download is kept and the next call goes on with it, if the server still has the same file (ETag, If-Range).
    Raises DownloadError, naming address and file, when it cannot be had or is not the expected one, and SaveError
    when it cannot be written.
    """
    patience = patience or Patience()
    _check_address(address, None)
    try:
        with claim(target) as partial:
            return _download(address, target, partial, expected_sha256, max_bytes, patience, progress)
    except OSError as error:
        raise SaveError(f"{target}: could not be written ({error.strerror or error})") from error


def _download(
    address: str,
    target: Path,
    partial: Partial,
    expected: str,
    max_bytes: int,
    patience: Patience,
    progress: Progress | None,
) -> str:
    problem = ""
    for attempt in range(patience.attempts):
        if attempt:
            time.sleep(patience.wait * 2 ** (attempt - 1))
        resumed = partial.size > 0
        try:
            stated = _receive(address, partial, max_bytes, patience.stall, progress)
        except _PassingError as error:
            problem = str(error)
            continue
        digest = sha256(partial.data)
        if digest.startswith(expected) and stated in ("", digest):
            os.replace(partial.data, target)
            return digest
        partial.begin(None)
        problem = f"the file's SHA-256 is {digest}, expected {expected or stated}"
        if not resumed:  # a whole transfer of another file: asking again brings the same
            break
    raise DownloadError(f"{address}: {problem}; nothing was written to {target}")


def _receive(address: str, partial: Partial, max_bytes: int, stall: float, progress: Progress | None) -> str:
    """Bring the rest of the file; return the SHA-256 that the server states, or ""."""
    redirects = _Redirects()
    headers = {"User-Agent": f"convatlas/{convatlas.__version__}"}
    if partial.size and partial.etag is not None:
        headers |= {"Range": f"bytes={partial.size}-", "If-Range": partial.etag}
    request = urllib.request.Request(address, headers=headers)
    try:
        response = urllib.request.build_opener(redirects).open(request, timeout=stall)
    except urllib.error.HTTPError as error:
        error.close()
        raise _refused(address, error, partial) from error
    except urllib.error.URLError as error:
        raise _unreachable(address, error.reason, stall) from error
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(address, error, stall) from error
    with response:
        total = _begin(address, response, partial, max_bytes)
        _copy(address, response, partial, total, max_bytes, stall, progress)
    if total is not None and partial.size != total:
        raise _PassingError(f"the transfer ended at {partial.size:,} of {total:,} bytes")
    return redirects.stated_sha256


def _begin(address: str, response: http.client.HTTPResponse, partial: Partial, max_bytes: int) -> int | None:
    """Make ready for the response's bytes; return the size of the whole file, or None where it is not said."""
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdigit() else None
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        said = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if said is None or int(said[1]) != partial.size:
            partial.begin(None)
            raise _PassingError(f"asked for the rest of the file, got {response.headers.get('Content-Range')!r}")
        total = int(said[2])
    else:  # the file is another one, or the server knows no ranges
        etag = response.headers.get("ETag", "")
        partial.begin(etag if etag.startswith('"') and etag.isascii() else None)  # a weak one (W/) proves nothing
    if total is not None and total > max_bytes:
        partial.begin(None)
        raise DownloadError(f"{address}: the server offers {total:,} bytes, more than the {max_bytes:,} expected")
    room = shutil.disk_usage(partial.folder).free
    if total is not None and total - partial.size > room:
        raise OSError(errno.ENOSPC, f"{total - partial.size:,} bytes are needed, {room:,} are free")
    return total


def _copy(
    address: str,
    response: http.client.HTTPResponse,
    partial: Partial,
    total: int | None,
    max_bytes: int,
    stall: float,
    progress: Progress | None,
) -> None:
    done = partial.size
    with partial.data.open("ab") as file:
        while done <= max_bytes:
            try:
                chunk = response.read1(_CHUNK)  # what has come, so that the timeout is one of silence
            except (OSError, http.client.HTTPException) as error:
                raise _unreachable(address, error, stall) from error
            if not chunk:
                return
            file.write(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, total)
    partial.begin(None)
    raise DownloadError(f"{address}: the server sends more than the {max_bytes:,} bytes expected")


def _refused(address: str, error: urllib.error.HTTPError, partial: Partial) -> Exception:
    """What a status other than success means."""
    said = f"the server answered {error.code} {error.reason}".strip()
    if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        partial.begin(None)
        return _PassingError(said)
    if error.code in _PASSING:
        return _PassingError(said)
    if 300 <= error.code < 400:
        said = f"it redirects in a circle, more than {_Redirects.max_redirections} times, or to no web address"
    return DownloadError(f"{address}: {said}")


def _unreachable(address: str, reason: object, stall: float) -> Exception:
    """What a connection that failed means."""
    if isinstance(reason, TimeoutError):
        return _PassingError(f"no byte for {stall:g} s")
    if isinstance(reason, ConnectionRefusedError):
        return DownloadError(f"{address}: the connection was refused")
    broken = (ConnectionError, http.client.HTTPException, ssl.SSLError)
    if isinstance(reason, broken) and not isinstance(reason, ssl.SSLCertVerificationError):
        return _PassingError(f"the connection broke ({reason or type(reason).__name__})")
    return DownloadError(f"{address}: no connection ({reason})")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirections, never from HTTPS to bare HTTP; notes the digest that a hub states on the way."""

    max_redirections = 5
    max_repeats = 2

    def __init__(self) -> None:
        self.stated_sha256 = ""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The request for the next address. Raises DownloadError for one that is not to be asked."""
        _check_address(newurl, req.full_url)
        linked = headers.get("X-Linked-ETag", "").strip('"').lower()
        if re.fullmatch(r"[0-9a-f]{64}", linked):
            self.stated_sha256 = linked
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_address(address: str, redirected_from: str | None) -> None:
    """Raise DownloadError unless it is https, or http on this machine."""
    parts = None
    with contextlib.suppress(ValueError):
        parts = urlsplit(address)
    if parts is not None and (
        (parts.scheme == "https" and parts.hostname) or (parts.scheme == "http" and parts.hostname in _THIS_MACHINE)
    ):
        return
    if redirected_from is None:
        raise DownloadError(f"{address}: expected an https address")
    raise DownloadError(f"{redirected_from}: redirects to {address}, which is not https; refused")
