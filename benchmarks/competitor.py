"""A competitor in a process of its own, which answers on command, so that several take turns on the same cores.

The threads of an engine wait busily for some time after an answer, and two engines of one process share libraries of
threads: each disturbs the others. In processes of their own only one of them works at a time, and each has what its
own user would have. Commands and answers are lines of JSON, through the pipes of the process.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[1]
_ANSWERS = "\x02answer "  # what an engine prints of its own accord is not taken for an answer


class Competitor:
    """A running `python -m MODULE WORDS`, whose main calls `serve`."""

    def __init__(self, module: str, *words: str, threads: int | None = None) -> None:
        """threads: as many for OpenMP and MKL from the start; None leaves the environment as it is."""
        limits = {} if threads is None else {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        self.words = words
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=ROOT,
            env={**os.environ, **limits},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def ask(self, command: Mapping[str, Any]) -> Any:
        """What the process answers. Raises RuntimeError when it has ended, which it has told on stderr."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith(_ANSWERS):
                return json.loads(line.removeprefix(_ANSWERS))
        raise RuntimeError(f"{' '.join(self.words)} ended with {self._process.wait()} instead of an answer")

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(answer: Callable[[dict[str, Any]], Any]) -> None:
    """In the competitor's process: answer each command until there are no more."""
    for line in sys.stdin:
        print(f"{_ANSWERS}{json.dumps(answer(json.loads(line)))}", flush=True)
