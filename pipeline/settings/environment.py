"""Settings that environment variables give: ORDERS_LAKE_STORAGE_ROOT is [storage] root."""

import os
import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches

PREFIX = "ORDERS_LAKE_"
# so alike, beside the prefix, that another setting is not what is meant
LIKENESS = 0.75


def variable(section: str, key: str) -> str:
    """The name of the variable for a setting: dots and dashes are underscores, all in capitals."""
    return PREFIX + re.sub(r"[.-]", "_", f"{section}_{key}").upper()


def given() -> list[str]:
    """The names of the variables that are set, sorted."""
    return sorted(name for name in os.environ if name.startswith(PREFIX))


def unknown(known: Collection[str]) -> Iterator[str]:
    """A message for each variable whose name is that of no setting. Values are left out: one may be a secret."""
    endings = [name.removeprefix(PREFIX) for name in known]
    for name in given():
        if name not in known:
            near = get_close_matches(name.removeprefix(PREFIX).upper(), endings, 1, LIKENESS)
            mend = f"write {PREFIX}{near[0]}" if near else "unset it; docs/SETTINGS.md lists the settings"
            yield f"{name}: no setting has this name; expected {PREFIX}<SECTION>_<KEY>; {mend}"
