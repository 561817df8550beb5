"""The commands that are disturbed, each with the lake that it finds."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from trials import FIRST, MORE_USERS, OLD, Trial

# every date is open, so a plain run too brings what is new in the source
OPEN = {"orders_api_settle_hours": 10_000}
DAYS = ("--since", "2025-01-15", "--until", "2025-01-18")
ALL_DAYS = ("--since", "2025-01-15", "--until", "2025-01-19")
NOBODY = "user_id,email,created_at,country\nu_2,bo@example.org,,FR\n"

KILLED_ERASE = "`erase` was interrupted on this date; run the same command again"


@dataclass(frozen=True)
class Scene:
    """`command` is what is disturbed, after `prepare` has made the lake of a shop with these `settings`.

    A plain run need not finish a command that `is_repeated`: whoever gave it gives it again. Until then the lake is as
    before or as afterwards if the command `is_one_step`, and a plain run may fail with an error that has the text
    `excuse`. If what is left `depends_on_raw`, each raw partition may be the old one or the new one, and all else has
    to follow from it.
    """

    name: str
    command: tuple[str, ...]
    prepare: Callable[[Trial], None]
    settings: dict[str, Any] = field(default_factory=dict)
    is_repeated: bool = False
    is_one_step: bool = False
    excuse: str | None = None
    depends_on_raw: bool = False
    is_over_rest: bool = False  # then runs need days, for an API does not tell which it has
    # it takes seconds, so few of its operations are tried
    is_slow: bool = False

    @property
    def plain_run(self) -> tuple[str, ...]:
        return ("run", *ALL_DAYS) if self.is_over_rest else ("run",)


def nothing_yet(trial: Trial) -> None:
    trial.shop.feed(OLD)


def keep_lines(trial: Trial, is_kept: Callable[[str], bool]) -> None:
    """Take the other orders from the dump."""
    lines = trial.shop.dump.read_text().splitlines(keepends=True)
    trial.shop.dump.write_text("".join(filter(is_kept, lines)))


def with_dates(trial: Trial) -> None:
    """An API answers with orders of dates only."""
    trial.shop.feed(OLD)
    keep_lines(trial, lambda line: '"2025-' in line)


def old_lake(trial: Trial) -> None:
    trial.load_old()
    trial.change()


def other_users(trial: Trial) -> None:
    trial.load_old()
    trial.shop.users_csv.write_text(MORE_USERS)


def dropped_date(trial: Trial) -> None:
    trial.load_old()
    ended = trial.command("drop", "--date", "2025-01-16", "--reason", "test orders", as_of=FIRST)
    assert ended["status"] == 0, ended["output"]


def left_by_a_user(trial: Trial) -> None:
    """The user u_1 has left the shop, but not the lake yet."""
    trial.load_old()
    keep_lines(trial, lambda line: json.loads(line)["user_id"] != "u_1")
    trial.shop.users_csv.write_text(NOBODY)
    trial.finish(FIRST)


ONE_STEP = {"is_repeated": True, "is_one_step": True}
SCENES = (
    Scene("first run", ("run",), nothing_yet),
    Scene("forced run", ("run", "--force"), old_lake, OPEN),
    Scene("forced run of settled dates", ("run", "--force", *DAYS), old_lake, depends_on_raw=True),
    Scene("date", ("luigi", "WriteFactOrder", "--date", "2025-01-15", "--force"), old_lake, OPEN),
    Scene("SeedDims", ("luigi", "SeedDims"), other_users),
    Scene("drop", ("drop", "--date", "2025-01-16", "--reason", "test orders"), Trial.load_old, **ONE_STEP),
    Scene("restore", ("drop", "--date", "2025-01-16", "--restore"), dropped_date, **ONE_STEP),
    Scene("erase", ("erase", "--user-id", "u_1", "--yes"), left_by_a_user, is_repeated=True, excuse=KILLED_ERASE),
    Scene("report", ("report",), Trial.load_old, is_repeated=True, is_slow=True),
    Scene("run over REST", ("run", *ALL_DAYS), with_dates, OPEN, is_over_rest=True),
)
BY_NAME = {scene.name: scene for scene in SCENES}
