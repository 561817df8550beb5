"""A shop whose orders move between dates, whose runs are disturbed, and how its lake has to look afterwards."""

import shutil
from pathlib import Path
from typing import Any

import duckdb
from forks import Forker
from processes import Shop

# o_1 and o_4 will swap dates, o_6 will be new and the order without an id on another date; 17 January will be other
# orders in a raw file of the same size; 18 January stays as it is
OLD = """
    order_id | user_id | amount | created_at           | updated_at           | items
    o_1      | u_1     | 10     | 2025-01-15T10:00:00Z |                      | [{"sku": "s_1", "qty": 1, "price": 4}]
    o_2      | u_1     | 20     | 2025-01-15T11:00:00Z |                      | [{"sku": "s_1"}, {"sku": "s_2"}]
    o_4      | u_2     | 40     | 2025-01-16T10:00:00Z |                      | []
             | u_5     | 50     | 2025-01-16T11:00:00Z |                      | []
    o_3      | u_1     | 30     | 2025-01-17T10:00:00Z |                      | [{"sku": "s_1", "qty": 2, "price": 5}]
    o_9      | u_3     | 90     | 2025-01-18T10:00:00Z |                      | [{"sku": "s_1", "qty": 1, "price": 9}]
    o_7      | u_1     | 70     | yesterday            |                      | []
"""
NEW = """
    order_id | user_id | amount | created_at           | updated_at           | items
    o_4      | u_2     | 41     | 2025-01-15T10:30:00Z | 2025-01-18T00:00:00Z | [{"sku": "s_2", "qty": 1, "price": 1}]
    o_2      | u_1     | 20     | 2025-01-15T11:00:00Z |                      | [{"sku": "s_1"}, {"sku": "s_2"}]
             | u_5     | 50     | 2025-01-15T11:00:00Z |                      | []
    o_1      | u_1     | 11     | 2025-01-16T09:00:00Z | 2025-01-18T00:00:00Z | [{"sku": "s_1", "qty": 1, "price": 4}]
    o_6      | u_9     | 60     | 2025-01-16T12:00:00Z |                      | [{"sku": "s_9", "qty": 1, "price": 6}]
    o_3      | u_1     | 33     | 2025-01-17T10:00:00Z |                      | [{"sku": "s_1", "qty": 3, "price": 5}]
    o_9      | u_3     | 90     | 2025-01-18T10:00:00Z |                      | [{"sku": "s_1", "qty": 1, "price": 9}]
    o_8      | u_1     | 80     |                      |                      | []
"""
MORE_USERS = "user_id,email,created_at,country\nu_1,ada@example.com,,DE\nu_2,bo@example.org,,FR\n,nobody,,\n"
FIRST, SECOND, LATER, LAST = ("2025-02-01", "2025-02-02", "2025-02-03", "2025-02-04")


class Trial:
    """A shop in one folder, whose runs are killed; `undisturbed` is how the lake looks when they are not."""

    def __init__(self, folder: Path, forker: Forker, **settings: Any) -> None:
        self.shop, self.forker, self.folder = Shop(folder / "shop", **settings), forker, folder
        self.oracles: dict[Any, dict[str, bytes]] = {}

    def run(self, as_of: str, *arguments: str, **moment: Any) -> dict[str, Any]:
        return self.command("run", *arguments, as_of=as_of, **moment)

    def command(self, *words: str, as_of: str, **moment: Any) -> dict[str, Any]:
        """Any command over this lake, a run or `luigi …`, and the moment at which it is disturbed."""
        return self.forker.run([*words, *self.shop.options(run_as_of=as_of)], **moment)

    def finish(self, as_of: str, *arguments: str) -> dict[str, Any]:
        """A run that must succeed."""
        ended = self.run(as_of, *arguments)
        assert ended["status"] == 0, ended["output"]
        return ended

    def load_old(self) -> None:
        self.shop.feed(OLD)
        self.finish(FIRST)

    def change(self) -> None:
        self.shop.feed(NEW)
        self.shop.users_csv.write_text(MORE_USERS)

    def seen(self) -> list[Any]:
        """What people see of the lake: its files, what their manifests say, the warehouse's tables and views."""
        with duckdb.connect(self.shop.warehouse, read_only=True) as warehouse:
            names = ("users", "products", "fact_order", "order_items", "orders", "dim_user", "dim_product")
            tables = {name: sorted(map(repr, warehouse.table(name).fetchall())) for name in names}
        return [self.shop.data(), self.shop.commitments(), tables]

    def derived_from_raw(self) -> dict[str, bytes]:
        """What a lake without a history makes of the raw partitions that this one has."""
        raw = self.shop.data("raw")
        key = tuple(raw.items())
        if key not in self.oracles:
            other = Shop(self.folder / f"oracle_{len(self.oracles)}", **self.shop.settings)
            shutil.copytree(self.shop.root / "raw", other.root / "raw")
            ended = self.forker.run(["run", "--reprocess", *other.options(run_as_of=LAST)])
            assert ended["status"] == 0, ended["output"]
            self.oracles[key] = dated(other.data("normalized", "curated", "quarantine"))
        return self.oracles[key]


def dated(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if "date=2" in name}
