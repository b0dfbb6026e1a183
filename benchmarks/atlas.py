"""`convatlas atlas` for the whole catalog from a fresh process: how long, how many pages, how large the largest is."""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from convatlas.catalog import list_models

ROUNDS = 3
_PICTURE = re.compile(r"<svg\b.*?</svg>", re.DOTALL)


def measure() -> dict[str, Any]:
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "atlas"
        for _ in range(ROUNDS):  # each replaces the one before it
            started = time.perf_counter()
            subprocess.run([sys.executable, "-m", "convatlas", "atlas", "--out", site], check=True, capture_output=True)
            seconds.append(round(time.perf_counter() - started, 1))
        pages = {page.relative_to(site).as_posix(): page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
        size = sum(file.stat().st_size for file in site.rglob("*") if file.is_file())
    without_pictures = {name: len(_PICTURE.sub("", text).encode()) for name, text in pages.items()}
    largest = max(without_pictures, key=lambda name: without_pictures[name])
    return {
        "seconds": seconds,
        "cores": os.cpu_count(),
        "networks": len(list_models()),
        "pages": len(pages),
        "bytes": size,
        "largest_page": largest,
        "largest_page_bytes": without_pictures[largest],
    }


def lines(measured: dict[str, Any]) -> list[str]:
    low, *_, high = times = sorted(measured["seconds"])
    return [
        f"the atlas as a site: {measured['networks']} networks, {measured['pages']} pages, "
        f"{measured['bytes'] / 1e6:.0f} MB, in {times[len(times) // 2]:.0f} s ({low:.0f} to {high:.0f}) on "
        f"{measured['cores']} cores; the largest page but for its pictures: {measured['largest_page_bytes'] / 1e3:.0f} "
        f"KB ({measured['largest_page']})"
    ]
