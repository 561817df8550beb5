"""Files that the user chooses and the pipeline writes. They must not replace files that the pipeline keeps or reads."""

from pathlib import Path

from pipeline import config
from pipeline.errors import BadSetting


def refuse_overwriting(given: str, path: str) -> None:
    """Raise BadSetting if the file lies in the lake, or if a setting names it as source or warehouse.

    `given` is how the user named the path, such as `--export` or `[metrics] textfile =`.
    """
    target, root = Path(path).resolve(), Path(config.storage().root).resolve()
    if target.is_relative_to(root):
        raise BadSetting(f"{given} {path}: lies in the lake's folder {root}; expected a file elsewhere")
    warehouse = config.warehouse()
    kept = {
        "[orders_api] url": config.orders_api().url,
        "[warehouse] path": warehouse.path,
        "[warehouse] users_csv": warehouse.users_csv,
        "[warehouse] products_csv": warehouse.products_csv,
    }
    for setting, own in kept.items():
        if Path(own).resolve() == target:
            raise BadSetting(f"{given} {path}: is the file of {setting}; expected another file")
