"""The files that settings come from."""

import os

from luigi.configuration import LuigiConfigParser

PATH_VARIABLE = "LUIGI_CONFIG_PATH"


def files_read() -> list[str]:
    """The files that luigi has read, the later ones over the earlier. It has no public name for that."""
    return [path for path in LuigiConfigParser._config_paths if os.path.isfile(path)]
