"""The atlas as a site of files, built in several processes."""

import json
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Final

import convatlas
from convatlas.catalog import list_cards, list_models, resolve
from convatlas.errors import ConvatlasError, MissingExtra, UsageError
from convatlas.files import new_folder
from convatlas.models import MODELS
from convatlas.report.atlas.content import load_content
from convatlas.report.atlas.figures import animation_names
from convatlas.report.atlas.other_files import other_files
from convatlas.report.atlas.site import SINGLE, Site

MARKER: Final = "atlas.json"  # is in every folder that this has written, and in no other
MOST_WORKERS: Final = 8
_NEEDED: Final = ("markdown_it", "pygments", "pygraphviz")  # what the extra `atlas` brings
_TOLD_VERSIONS: Final = ("convatlas", "torch", "numpy", "matplotlib", "pygraphviz")
_LONGEST: Final = (
    "resnet1202_cifar",
    "nasnet_large",
    "nasnet_mobile",
    "nasnet_cifar",
    "densenet264",
    "efficientnet_v2_xl",
    "efficientnet_v2_l",
    "efficientnet_b7",
    "inception_resnet_v2",
    "inception_v4",
)  # they begin first, so that no process is left with one at the end
_PICTURE: Final = re.compile(r"<svg\b.*?</svg>", re.DOTALL)

Progress = Callable[[int, int, str], None]
"""Is told how many pages are done, of how many, and the last one's address."""


@dataclass(frozen=True, kw_only=True)
class AtlasReport:
    """What was built. bytes: of all files. largest: the longest page without its pictures, and its bytes."""

    path: Path
    pages: int
    networks: int
    concepts: int
    questions: int
    bytes: int
    largest: tuple[str, int]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class _Job:
    """A page to make: of a network by name, of a concept or question by slug, of a source file, or one by address."""

    kind: str
    key: str


@dataclass(frozen=True, kw_only=True)
class _Made:
    address: str
    bytes: int
    without_pictures: int


def build_atlas(
    out: str | Path,
    *,
    networks: Sequence[str] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> AtlasReport:
    """Build the site into a folder, as a whole or not at all: `out/index.html` opens in a browser, offline.

    build_atlas("atlas"); build_atlas("small", networks=["lenet5", "resnet50"], workers=1)

    out: a folder; an earlier atlas or an empty folder there is replaced, anything else is left alone.
    networks: names or aliases of those that get a page; all of the catalog when left out.
    workers: processes of one thread each; as many as the machine's cores, at most 8, when left out. The files are the
    same with any number. In a script of your own call this under `if __name__ == "__main__":`, or with workers=1.
    progress: is called after each page.

    Raises UsageError for an unknown network, a number below 1, and a folder that holds something else; MissingExtra
    without the packages of the extra `atlas`; ContentError where a page's example fails or a link leads nowhere; and
    SaveError when the folder cannot be written.
    """
    began = time.perf_counter()
    if any(find_spec(name) is None for name in _NEEDED):
        raise MissingExtra("the atlas", "atlas")
    names = _names(networks)
    if workers is not None and workers < 1:
        raise UsageError(f"workers: expected a whole number of at least 1, got {workers}")
    target = Path(out).resolve()
    _check_target(target)
    site = _site(names)
    jobs = _jobs(site)
    with new_folder(target) as folder:
        for name in ("networks", "concepts", "questions", "code"):
            (folder / name).mkdir()
        made = []
        for page in _all_made(folder, site, jobs, workers or _usual_workers(len(jobs))):
            made.append(page)
            if progress is not None:
                progress(len(made), len(jobs), page.address)
        _write_rest(folder, site)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    largest = max(made, key=lambda page: (page.without_pictures, page.address))
    return AtlasReport(
        path=Path(out),
        pages=len(made),
        networks=len(names),
        concepts=len(site.content.concepts),
        questions=len(site.content.questions),
        bytes=size,
        largest=(largest.address, largest.without_pictures),
        seconds=time.perf_counter() - began,
    )


def _names(networks: Sequence[str] | None) -> tuple[str, ...]:
    """The catalog's own names, in its order."""
    if networks is None:
        return tuple(list_models())
    wanted = {resolve(name) for name in networks}
    if not wanted:
        raise UsageError("networks: expected at least one name, such as lenet5; leave it out for all of them")
    return tuple(name for name in list_models() if name in wanted)


def _site(names: Sequence[str]) -> Site:
    return Site(
        cards=tuple(each for each in list_cards() if each.name in names),
        content=load_content(list_models(), animation_names()),
        versions=tuple((name, metadata.version(name)) for name in _TOLD_VERSIONS),
    )


def _check_target(target: Path) -> None:
    """Raise UsageError unless nothing of anybody's is lost when the folder is written."""
    if not target.name or target == Path.cwd():
        raise UsageError(f"out: {target} cannot be replaced; name a folder in it, such as {target / 'atlas'}")
    if target.is_dir() and any(target.iterdir()) and not _is_atlas(target):
        raise UsageError(f"out: {target} holds something else than an atlas; name another folder, or remove it first")
    if target.exists() and not target.is_dir():
        raise UsageError(f"out: {target} is a file; name a folder")


def _is_atlas(folder: Path) -> bool:
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(marker, dict) and marker.get("written_by") == "convatlas atlas"


def _usual_workers(jobs: int) -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return max(1, min(MOST_WORKERS, cores, jobs))


def _jobs(site: Site) -> list[_Job]:
    """Every page, the longest first."""
    names = [each.name for each in site.cards]
    longest = [name for name in _LONGEST if name in names]
    early = [address for address in SINGLE if address in ("charts.html", "history.html")]
    modules = sorted({MODELS[name].module for name in names})
    return [
        *(_Job(kind="network", key=name) for name in longest),
        *(_Job(kind="single", key=address) for address in early),
        *(_Job(kind="network", key=name) for name in names if name not in longest),
        *(_Job(kind="concept", key=each.slug) for each in site.content.concepts),
        *(_Job(kind="question", key=each.slug) for each in site.content.questions),
        *(_Job(kind="code", key=module) for module in modules),
        *(_Job(kind="single", key=address) for address in SINGLE if address not in early),
    ]


# --- In this process or in several


def _all_made(folder: Path, site: Site, jobs: Sequence[_Job], workers: int) -> Iterator[_Made]:
    if workers == 1:
        builder = _Builder(folder, site)
        yield from map(builder.make, jobs)
        return
    pool = ProcessPoolExecutor(
        min(workers, len(jobs), 61),  # Windows waits for no more handles at once
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(folder, site),
    )
    try:
        with _uninterrupted():  # as long as processes start, which inherit it
            waiting = [pool.submit(_make, job) for job in jobs]
        for done in as_completed(waiting):
            yield done.result()
    except BrokenProcessPool:
        raise ConvatlasError(
            "a process that builds pages has ended; with too little memory try fewer of them (--workers 1)"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the end: none is lost, and processes that start meanwhile inherit that they hear none.

    Windows has no such mask: there a process that is just starting says that it was interrupted.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # it lifts the mask when it starts, which the first process would make it do
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Builder:
    """Makes pages, of one site, into one folder."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.folder = folder
        self.site = site

    def make(self, job: _Job) -> _Made:
        """Write one page."""
        address, text = self._page(job)
        (self.folder / address).write_text(text, encoding="utf-8", newline="\n")
        bare = len(_PICTURE.sub("", text).encode())
        return _Made(address=address, bytes=len(text.encode()), without_pictures=bare)

    def _page(self, job: _Job) -> tuple[str, str]:
        from convatlas.api.atlas_entry import network_entry, source_file  # noqa: PLC0415 - brings torch, which the
        from convatlas.report.atlas import network_page, pages  # noqa: PLC0415 - process that waits does without

        if job.kind == "network":
            return f"networks/{job.key}.html", network_page.network_page(self.site, network_entry(job.key))
        if job.kind == "concept":
            return f"concepts/{job.key}.html", pages.concept_page(self.site, job.key)
        if job.kind == "question":
            return f"questions/{job.key}.html", pages.question_page(self.site, job.key)
        if job.kind == "code":
            source = source_file(job.key)
            defined = [name for name, entry in MODELS.items() if entry.module == job.key]
            return f"code/{source.module}.html", network_page.code_page(self.site, source, defined)
        return job.key, pages.single_page(self.site, job.key)


_BUILDER: _Builder | None = None  # of a worker process


def _start_worker(folder: Path, site: Site) -> None:
    global _BUILDER  # noqa: PLW0603 - a process pool has no other place for what its jobs share
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits for us
    import torch  # noqa: PLC0415

    torch.set_num_threads(1)
    _BUILDER = _Builder(folder, site)


def _make(job: _Job) -> _Made:
    assert _BUILDER is not None
    return _BUILDER.make(job)


def _write_rest(folder: Path, site: Site) -> None:
    """Style, scripts, and the mark by which a later build knows the folder."""
    names = [each.name for each in site.cards]
    marker = {"written_by": "convatlas atlas", "version": convatlas.__version__, "networks": names}
    for name, text in {**other_files(site), MARKER: json.dumps(marker, indent=2) + "\n"}.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
