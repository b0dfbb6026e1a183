"""A server on this machine whose answers a test writes down, one after another."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

Answer = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """One request; the answers below write to it."""

    protocol_version = "HTTP/1.0"  # the connection ends with the answer

    def do_GET(self) -> None:
        self.server.requests.append(dict(self.headers))
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]  # the last one stays
        try:
            answer(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client has heard enough

    def log_message(self, *words: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """`answers`: what to say, in order; `requests`: the headers of what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.answers: list[Answer] = []
        self.requests: list[dict[str, str]] = []

    def address(self, name: str = "file.safetensors") -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that hangs up is part of the tests


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def whole(body: bytes, *, etag: str | None = '"1"', ranges: bool = True, length: bool = True) -> Answer:
    """The file, or the part of it that is asked for, as a good server sends it."""

    def answer(request: Request) -> None:
        start = 0
        wanted = request.headers.get("Range")
        if ranges and wanted is not None and request.headers.get("If-Range") in (None, etag):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if etag is not None:
            request.send_header("ETag", etag)
        if length:
            request.send_header("Content-Length", str(len(body) - start))
        request.end_headers()
        request.wfile.write(body[start:])

    return answer


def truncated(body: bytes, count: int, *, etag: str | None = '"1"', stall: float = 0) -> Answer:
    """Promises the file and sends `count` bytes of it; with `stall` it is then silent so many seconds, and ends."""

    def answer(request: Request) -> None:
        request.send_response(200)
        if etag is not None:
            request.send_header("ETag", etag)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[:count])
        request.wfile.flush()
        time.sleep(stall)

    return answer


def status(code: int, **headers: str) -> Answer:
    """Nothing but a status and headers (X_Y stands for X-Y)."""

    def answer(request: Request) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer
