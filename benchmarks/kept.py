"""What a full run found, kept beside the figures of quick ones with the day on which it was found."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def kept(result: Path, name: str) -> dict[str, Any] | None:
    """What the result of the last run has under this name; None where there was no run, or none that found it."""
    if not result.exists():
        return None
    found: dict[str, Any] | None = json.loads(result.read_text(encoding="utf-8")).get(name)
    return found


def today() -> str:
    return datetime.now(UTC).date().isoformat()
