"""python -m pipeline erase: removes one user's data from every layer."""

import argparse
from collections.abc import Iterator
from dataclasses import replace

from pipeline import config
from pipeline.commands.options import run_all
from pipeline.commands.rebuild import rebuild
from pipeline.contract import DIM_USER, UNDATED
from pipeline.errors import BadSetting, CheckFailed, PipelineError
from pipeline.lake import STALE, Run
from pipeline.report import renew_report
from pipeline.stages.erase import erase, refuse_lost_raw
from pipeline.stages.forget import forget
from pipeline.stages.seed import is_in_csv
from pipeline.stages.user import Held, in_dimension, in_records, survey
from pipeline.tasks.dims import sources, warehouse_path
from pipeline.tasks.source import open_source

SUMMARY = "remove one user's data from every layer"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--user-id",
        metavar="ID",
        required=True,
        help="the user whose records are removed, as user_id has it; an integer as its digits",
    )
    parser.add_argument(
        "--yes", action="store_true", help="remove the records; without it, only say what would be removed"
    )
    parser.set_defaults(handler=_erase_user)


def _erase_user(options: argparse.Namespace, settings: list[str]) -> None:
    with run_all(options, settings) as task:
        erase_user(options.user_id, task.this_run, really=options.yes)


def erase_user(user_id: str, run: Run, *, really: bool) -> None:
    """Print what the lake has of a user, and which sources would bring it back. If `really`, remove it.

    Raises BadSetting, NotLanded, CorruptPartition, UnusableWarehouse, RunFailed, and CheckFailed if data is left.
    """
    if not user_id.strip():
        raise BadSetting("--user-id: it is blank; expected the user_id as the tables have it")
    held = survey(run, user_id, open_source().shape)
    print(*_in_lake(held, in_dimension(run.lake, user_id)), *_sources(run, user_id), sep="\n")
    refuse_lost_raw(run.lake, held)
    if really:
        _erase(run, user_id)
    else:
        print("nothing was erased; add --yes to erase it")


def _erase(run: Run, user_id: str) -> None:
    """Remove the user, rebuild the dates, and search again. Raises CheckFailed if data of the user is left."""
    lake = run.lake
    with lake.work.extracting():
        dates = erase(run, user_id, open_source().shape)
        forget(lake, warehouse_path(), user_id)
        if dates or lake.files.read(STALE) is not None:
            rebuild("erase", dates, replace(run, intent=replace(run.intent, reprocess=True)))
    renew_report(run)
    left = [date for date, part in survey(run, user_id, open_source().shape).items() if part.in_all]
    if left or in_dimension(lake, user_id):
        raise CheckFailed(
            f"data of the user is left in {', '.join(left) or 'dim_user'}; expected none; "
            "another run may have brought the data back meanwhile; run this command again"
        )


def _in_lake(held: dict[str, Held], in_dim_user: int) -> Iterator[str]:
    """A line for each partition that holds the user."""
    for date, part in held.items():
        if part.in_all:
            yield (
                f"{'undated   ' if date == UNDATED else date}  {part.records:,} record(s) in raw, {part.orders:,} in "
                f"orders, {part.rows:,} row(s) of fact_order, {part.quarantined:,} in quarantine"
            )
    if in_dim_user:
        yield "users       a row of dim_user and of the warehouse"
    if not in_dim_user and not any(part.in_all for part in held.values()):
        yield "nothing of this user is in the lake"
    others = sum(part.mentions for part in held.values())
    if others:
        yield f"{others:,} record(s) of others have the same text in another field; these records stay"


def _sources(run: Run, user_id: str) -> Iterator[str]:
    """A line for each source that still has the user, and for each source that cannot be read."""
    yield from _in_orders(run, user_id)
    users = sources()[DIM_USER]
    try:
        if is_in_csv(users, user_id):
            yield f"{users.path}: still has the user; remove the row, or the next change of the file brings it back"
    except PipelineError as error:
        yield f"{error}; so it is not known whether this source still has the user"


def _in_orders(run: Run, user_id: str) -> Iterator[str]:
    url = config.orders_api().url
    try:
        source = open_source()
        records = source.all_records()
        if records is None:
            yield (
                f"{url}: not asked; remove the user from the shop first, or the next extraction of a date brings "
                "the records back"
            )
        elif count := in_records(records, user_id, source.shape.fields, run.open_engine):
            yield (
                f"{url}: still has {count:,} record(s) of the user; remove them from the dump, or they come back: "
                "with open dates, with --force, and undated records when the dump changes"
            )
    except PipelineError as error:
        yield f"{error}; so it is not known whether this source still has the user"
