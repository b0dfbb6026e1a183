"""`--set`: fields of a network's config, as typed."""

import json
from collections.abc import Sequence

from convatlas.errors import UsageError


def parse_model_changes(settings: Sequence[str]) -> dict[str, object]:
    """`["model.width=0.5"]` -> {"width": 0.5}; the network's config checks field and value. `model.` may be left out.

    Raises UsageError for a setting without a name or a value.
    """
    changes: dict[str, object] = {}
    for setting in settings:
        name, equals, text = setting.removeprefix("model.").partition("=")
        if not equals or not name:
            raise UsageError(f"--set {setting}: expected model.field=value, such as --set model.in_channels=1")
        yes_or_no = {"yes": True, "true": True, "no": False, "false": False}.get(text.lower())
        try:
            changes[name] = json.loads(text) if yes_or_no is None else yes_or_no
        except ValueError:
            changes[name] = text
    return changes
