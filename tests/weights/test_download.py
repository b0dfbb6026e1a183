import hashlib
import os
import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from convatlas.errors import DownloadError, SaveError
from convatlas.weights.download import Patience, download
from tests.weights.conftest import Server, status, truncated, whole

BODY = bytes(range(256)) * 4000  # about a megabyte
DIGEST = hashlib.sha256(BODY).hexdigest()
QUICK = Patience(attempts=3, wait=0.0, stall=5.0)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "file.safetensors"


def only(target: Path) -> bool:
    """The file is there, whole, and nothing beside it."""
    return target.read_bytes() == BODY and list(target.parent.iterdir()) == [target]


def test_a_file_is_brought_and_its_progress_told(server: Server, target: Path) -> None:
    server.answers = [whole(BODY)]
    told: list[tuple[int, int | None]] = []
    digest = download(server.address(), target, expected_sha256=DIGEST, progress=lambda *now: told.append(now))
    assert digest == DIGEST
    assert only(target)
    assert told[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert server.requests[0]["User-Agent"].startswith("convatlas/")


@pytest.mark.parametrize("expected", ["", DIGEST[:8], DIGEST])
def test_a_digest_may_be_known_in_part_or_not(server: Server, target: Path, expected: str) -> None:
    server.answers = [whole(BODY)]
    assert download(server.address(), target, expected_sha256=expected) == DIGEST


def test_a_server_that_does_not_say_how_long_the_file_is(server: Server, target: Path) -> None:
    server.answers = [whole(BODY, length=False)]
    download(server.address(), target, expected_sha256=DIGEST)
    assert only(target)


def test_a_truncated_transfer_goes_on_where_it_ended(server: Server, target: Path) -> None:
    server.answers = [truncated(BODY, 300_000), whole(BODY)]
    download(server.address(), target, expected_sha256=DIGEST, patience=QUICK)
    assert only(target)
    assert server.requests[1]["Range"] == "bytes=300000-"
    assert server.requests[1]["If-Range"] == '"1"'


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(server: Server, target: Path) -> None:
    server.answers = [truncated(BODY, 300_000), status(503)]
    with pytest.raises(DownloadError, match="the server answered 503"):
        download(server.address(), target, expected_sha256=DIGEST, patience=QUICK)
    assert not target.exists()
    server.answers = [whole(BODY)]
    download(server.address(), target, expected_sha256=DIGEST, patience=QUICK)
    assert only(target)
    assert server.requests[-1]["Range"] == "bytes=300000-"


def test_half_of_a_file_that_has_changed_is_not_gone_on_with(server: Server, target: Path) -> None:
    server.answers = [truncated(b"old" * 300_000, 300_000, etag='"old"'), whole(BODY, etag='"new"')]
    download(server.address(), target, patience=QUICK)  # no digest is known: only the ETag can tell
    assert only(target)


def test_a_server_without_ranges_sends_all_again(server: Server, target: Path) -> None:
    server.answers = [truncated(BODY, 300_000), whole(BODY, ranges=False)]
    download(server.address(), target, patience=QUICK)
    assert only(target)


def test_without_an_etag_nothing_is_resumed(server: Server, target: Path) -> None:
    server.answers = [truncated(b"x" * len(BODY), 300_000, etag=None), whole(BODY, etag=None)]
    download(server.address(), target, patience=QUICK)
    assert only(target)
    assert "Range" not in server.requests[1]


def test_a_range_that_cannot_be_had_starts_anew(server: Server, target: Path) -> None:
    server.answers = [truncated(BODY, 300_000), status(416), whole(BODY)]
    download(server.address(), target, patience=QUICK)
    assert only(target)


def test_the_wrong_part_of_the_file_is_not_appended(server: Server, target: Path) -> None:
    server.answers = [truncated(BODY, 300_000), status(206, Content_Range="bytes 5-9/10"), whole(BODY)]
    download(server.address(), target, patience=QUICK)
    assert only(target)


def test_a_corrupt_file_is_refused_and_what_stood_there_stays(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"earlier")
    server.answers = [whole(b"x" * len(BODY))]
    with pytest.raises(DownloadError, match=f"SHA-256 is [0-9a-f]{{64}}, expected {DIGEST}; nothing was written to"):
        download(server.address(), target, expected_sha256=DIGEST, patience=QUICK)
    assert target.read_bytes() == b"earlier"
    assert list(target.parent.iterdir()) == [target]
    assert len(server.requests) == 1  # it would be no other the second time


def test_a_resumed_file_that_is_corrupt_is_brought_anew(server: Server, target: Path) -> None:
    server.answers = [truncated(b"x" * len(BODY), 300_000), whole(BODY)]
    download(server.address(), target, expected_sha256=DIGEST, patience=QUICK)
    assert only(target)
    assert "Range" not in server.requests[2]


def test_a_digest_that_the_hub_states_is_held_to(server: Server, target: Path) -> None:
    server.answers = [status(302, Location=server.address("there"), X_Linked_ETag=f'"{DIGEST}"'), whole(BODY)]
    assert download(server.address(), target) == DIGEST
    server.answers = [status(302, Location=server.address("there"), X_Linked_ETag=f'"{DIGEST}"'), whole(b"other")]
    with pytest.raises(DownloadError, match=f"expected {DIGEST}"):
        download(server.address(), target, patience=QUICK)
    assert only(target)


def test_a_stalled_transfer_is_given_up_and_resumed(server: Server, target: Path) -> None:
    server.answers = [truncated(BODY, 300_000, stall=3), whole(BODY)]
    start = time.monotonic()
    download(server.address(), target, patience=Patience(attempts=2, wait=0, stall=0.3))
    assert only(target)
    assert time.monotonic() - start < 2.5
    assert server.requests[1]["Range"] == "bytes=300000-"


def test_a_server_that_never_answers(target: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/file"
        with pytest.raises(DownloadError, match=r"/file: no byte for 0\.2 s; nothing was written"):
            download(address, target, patience=Patience(attempts=2, wait=0, stall=0.2))


def test_a_connection_that_is_refused(target: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(DownloadError, match=f"http://127.0.0.1:{port}/file: the connection was refused"):
        download(f"http://127.0.0.1:{port}/file", target)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize(("code", "asked"), [(404, 1), (403, 1), (410, 1), (500, 3), (503, 3), (429, 3)])
def test_statuses(server: Server, target: Path, code: int, asked: int) -> None:
    """What may pass is asked for again, what will not is not."""
    server.answers = [status(code)]
    with pytest.raises(DownloadError, match=f"{server.address()}: the server answered {code}"):
        download(server.address(), target, patience=QUICK)
    assert len(server.requests) == asked
    assert list(target.parent.iterdir()) == []


def test_redirections_are_followed_with_the_range(server: Server, target: Path) -> None:
    away = status(302, Location=server.address("there"))
    server.answers = [away, truncated(BODY, 300_000), away, whole(BODY)]
    download(server.address(), target, patience=QUICK)
    assert only(target)
    assert server.requests[3]["Range"] == "bytes=300000-"


def test_a_circle_of_redirections_ends(server: Server, target: Path) -> None:
    server.answers = [status(302, Location=server.address("again"))]
    with pytest.raises(DownloadError, match="redirects in a circle, more than 5 times, or to no web address"):
        download(server.address(), target, patience=QUICK)
    assert len(server.requests) <= 6


def test_a_redirection_to_a_file_of_this_machine_is_refused(server: Server, target: Path) -> None:
    server.answers = [status(302, Location="file:///etc/hostname")]
    with pytest.raises(DownloadError, match="or to no web address"):
        download(server.address(), target, patience=QUICK)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("away", ["http://example.org/file", "ftp://example.org/file"])
def test_a_redirection_to_something_unsafe_is_refused(server: Server, target: Path, away: str) -> None:
    server.answers = [status(302, Location=away)]
    with pytest.raises(DownloadError, match=f"redirects to {away}, which is not https; refused"):
        download(server.address(), target, patience=QUICK)


@pytest.mark.parametrize("address", ["http://example.org/file", "file:///etc/hostname", "https://", "weights.pth"])
def test_only_https_addresses_are_asked(target: Path, address: str) -> None:
    with pytest.raises(DownloadError, match="expected an https address"):
        download(address, target)


@pytest.mark.parametrize("length", [True, False])
def test_more_bytes_than_expected_are_refused(server: Server, target: Path, length: bool) -> None:
    server.answers = [whole(BODY, length=length)]
    with pytest.raises(DownloadError, match=r"(offers 1,024,000 bytes, )?more than the 1,000 "):
        download(server.address(), target, max_bytes=1000, patience=QUICK)
    assert list(target.parent.iterdir()) == []


def test_a_full_disk_is_told_before_it_is_full(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers = [whole(BODY)]
    usage = shutil.disk_usage(target.parent.parent)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(SaveError, match=r"could not be written \(1,024,000 bytes are needed, 1,000 are free\)"):
        download(server.address(), target, patience=QUICK)


def test_a_cache_that_is_a_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises(SaveError, match="could not be written"):
        download(server.address(), tmp_path / "cache" / "file.safetensors")


def test_a_half_download_that_another_process_holds_is_left_alone(server: Server, target: Path) -> None:
    """And one that a killed process left long ago is gone on with."""
    server.answers = [whole(BODY)]
    held = target.parent / ".file.safetensors.0123abcd.part"
    held.mkdir(parents=True)
    (held / "data").write_bytes(BODY[:1000])
    (held / "etag").write_text('"1"', encoding="ascii")
    download(server.address(), target)
    assert held.exists()
    assert "Range" not in server.requests[0]
    os.utime(held / "data", (time.time() - 3600,) * 2)
    download(server.address(), target)
    assert only(target)
    assert server.requests[1]["Range"] == "bytes=1000-"


def test_several_at_once_do_not_disturb_each_other(server: Server, target: Path) -> None:
    server.answers = [whole(BODY)]
    with ThreadPoolExecutor(4) as pool:
        digests = list(pool.map(lambda _: download(server.address(), target, expected_sha256=DIGEST), range(8)))
    assert set(digests) == {DIGEST}
    assert only(target)


def test_an_interrupted_download_keeps_what_it_has(server: Server, target: Path) -> None:
    def stop(done: int, _total: int | None) -> None:
        if done > 100_000:
            raise KeyboardInterrupt

    server.answers = [whole(BODY)]
    with pytest.raises(KeyboardInterrupt):
        download(server.address(), target, progress=stop)
    download(server.address(), target, expected_sha256=DIGEST)
    assert int(server.requests[1]["Range"].removeprefix("bytes=").removesuffix("-")) > 100_000
    assert only(target)
