"""Settings from environment variables: ORDERS_LAKE_STORAGE_ROOT gives [storage] root."""

import os
import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches

PREFIX = "ORDERS_LAKE_"
# difflib's ratio, without the prefix, from which an unknown name is taken for a misspelled setting
LIKENESS = 0.75


def variable(section: str, key: str) -> str:
    """The variable for a setting: in capitals, with underscores for dots and dashes."""
    return PREFIX + re.sub(r"[.-]", "_", f"{section}_{key}").upper()


def given() -> list[str]:
    """The names of the variables with the prefix that are set, sorted."""
    return sorted(name for name in os.environ if name.startswith(PREFIX))


def unknown(known: Collection[str]) -> Iterator[str]:
    """A message for each variable that names no setting. The message has no value, because it may be a secret."""
    endings = [name.removeprefix(PREFIX) for name in known]
    for name in given():
        if name not in known:
            near = get_close_matches(name.removeprefix(PREFIX).upper(), endings, 1, LIKENESS)
            mend = f"write {PREFIX}{near[0]}" if near else "unset it; docs/SETTINGS.md lists the settings"
            yield f"{name}: no setting has this name; expected {PREFIX}<SECTION>_<KEY>; {mend}"
