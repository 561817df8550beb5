"""Each published file, damaged in each way: a run over another date, a run over its own date, and doctor.

No run is green over wrong data that it has read, and no run copies it. What is wrong is healed, or one line says what
to do.
"""

import datetime as dt
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from api_laws import refuse_other_errors
from commands import pipeline, shell
from depth import by_depth
from feeds import order
from harm import WAYS, Harm
from lake import LakeUnderTest
from tally import Tally

DATE, NEIGHBOUR, STRANGER, TWIN = "2025-01-15", "2025-01-16", "2025-01-17", "2025-01-14"
BUILT = dt.datetime(2025, 2, 1)
HOUR = dt.timedelta(hours=1)
UNDATED = "__HIVE_DEFAULT_PARTITION__"

OF_A_DATE = (
    *("raw/date={}/orders_raw.json", "raw/date={}/_raw.json"),
    *("normalized/date={}/orders.parquet", "normalized/date={}/items.parquet", "normalized/date={}/_normalized.json"),
    *("normalized/date={}/_orders.keys", "curated/date={}/_fact_order.keys"),
    "quarantine/date={}/orders.parquet",
    *("curated/date={}/fact_order.parquet", "curated/date={}/_fact_order.json"),
    *("curated/date={}/order_items.parquet", "curated/date={}/_order_items.json"),
)
# a file of the lake, and the file whose content it may have by mistake
OTHERS = {
    "raw/_inventory.json": "curated/_dims.json",
    f"raw/date={UNDATED}/orders_raw.json": f"raw/date={DATE}/orders_raw.json",
    f"raw/date={UNDATED}/_raw.json": f"raw/date={DATE}/_raw.json",
    f"quarantine/date={UNDATED}/orders.parquet": f"quarantine/date={DATE}/orders.parquet",
    "curated/dim_user.parquet": "curated/dim_product.parquet",
    "curated/_dims.json": "raw/_inventory.json",
    "curated/_warehouse.json": "curated/_dims.json",
    "../warehouse.db": "curated/dim_user.parquet",
}
FILES = {name.format(DATE): name.format(TWIN) for name in OF_A_DATE} | OTHERS
# nothing of the lake is made from these, and a run that finds them otherwise makes them anew
HARMLESS = ("raw/_inventory.json", "curated/_warehouse.json")
OWN = (dt.datetime(2025, 1, 15), dt.datetime(2025, 1, 16))
ADVICE = re.compile(r"; mend[^:]*: (.*?)(?: \(|, or |, which |$)")
CELLS = [(name, how) for name in FILES for how in WAYS]


def on(day: int, order_id: str | None, amount: int = 30, updated: int = 18) -> bytes:
    return order(
        order_id, created_at=f"2025-01-{day}T10:00:00Z", updated_at=f"2025-01-{updated}T00:00:00Z", amount=amount
    )


def sent(changed: str = "") -> list[bytes]:
    """Four dates of equal size; o_5 has moved from the 15th to the 16th; an order of `changed` has another amount.

    A record of each date is discarded, and one has no date.
    """
    amount = {date: 40 if date == changed else 30 for date in (NEIGHBOUR, STRANGER)}
    return [
        *(on(14, "o_0"), on(14, "o_1"), on(14, None)),
        *(on(15, "o_2"), on(15, "o_5"), on(15, None)),
        *(on(16, "o_3", amount[NEIGHBOUR]), on(16, "o_5", updated=19), on(16, None)),
        *(on(17, "o_4", amount[STRANGER]), on(17, "o_6"), on(17, None)),
        b'{"order_id": "o_7"}',
    ]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[LakeUnderTest, Path]:
    folder = tmp_path_factory.mktemp("sound")
    lake = LakeUnderTest(folder / "shop")
    lake.users_csv.write_text(lake.users_csv.read_text() + ",nobody,,\n")
    assert lake.run(sent(), BUILT, dates_per_task=9), lake.errors
    shutil.copytree(folder / "shop", folder / "copy")
    return lake, folder / "copy"


@pytest.fixture(scope="module")
def right(kept: tuple[LakeUnderTest, Path]) -> Callable[..., dict[str, bytes]]:
    """The files of that lake without damage, after a forced run over a date whose order has another amount."""
    known: dict[str, dict[str, bytes]] = {}

    def after(date: str) -> dict[str, bytes]:
        if date not in known:
            lake = restored(kept)
            assert force(lake, date, BUILT + HOUR), lake.errors
            known[date] = lake.files()
        return known[date]

    return after


def restored(kept: tuple[LakeUnderTest, Path]) -> LakeUnderTest:
    """The lake as it was; at the same path, since the views name it."""
    lake, copy = kept
    shutil.rmtree(lake.root.parent)
    shutil.copytree(copy, lake.root.parent)
    return lake


def force(lake: LakeUnderTest, date: str, as_of: dt.datetime) -> bool:
    since = dt.datetime.fromisoformat(date)
    return lake.run(sent(date), as_of, since, since + dt.timedelta(days=1), force=True, dates_per_task=9)


def chosen(seed: int, *, every: bool) -> Iterator[tuple[str, str]]:
    """A stride of the cells."""
    stride = 1 if every else by_depth(few=len(CELLS), all=27, prove=4, night=1)
    return iter(CELLS[seed % stride :: stride])


def one_line_each(lake: LakeUnderTest) -> list[str]:
    refuse_other_errors(lake)
    return lake.errors


def copied(lake: LakeUnderTest, name: str, right: dict[str, bytes], sound: dict[str, bytes]) -> list[str]:
    """The data files that are neither as they were nor as they should be, but for the damaged one itself."""
    return [
        file for file, content in lake.files().items() if file != name and content not in (right[file], sound[file])
    ]


def heal(lake: LakeUnderTest, name: str, changed: str, right: dict[str, bytes]) -> list[str]:
    """Run as people would. Returns what is wrong afterwards, and each green run over wrong data that it has read."""
    found = []
    steps: list[dict[str, Any]] = [{}, {}, {"reprocess": True}, {"reprocess": True}, {"force": True}, {"force": True}]
    for number, flags in enumerate(steps):
        green = lake.run(sent(changed), BUILT + (2 + number) * HOUR, dates_per_task=9, **flags)
        one_line_each(lake)
        wrong = [file for file, content in right.items() if lake.files().get(file) != content]
        wrong = [file for file in wrong if UNDATED not in file]
        reads = "force" in flags or ("reprocess" in flags and not name.startswith("raw"))
        if green and reads and wrong:
            found.append(f"green with {flags} over {wrong}")
        if green and not wrong:
            break
    # doctor alone looks at undated records of the right size, and says what to delete
    files = {file: content for file, content in right.items() if UNDATED not in file}
    return [*found, *(f"not healed: {file}" for file in files if lake.files().get(file) != files[file])]


@pytest.mark.parametrize("date", [NEIGHBOUR, STRANGER])
def test_a_run_over_another_date_is_right_there_copies_no_rot_and_later_runs_heal_it(
    kept: Any, right: Any, date: str, tally: Tally, seed: int, every: bool
) -> None:
    wrong = {}
    after = right(date)
    for cell in chosen(seed, every=every):
        lake, draw = restored(kept), random.Random(f"{seed} {cell}")
        sound = lake.files()
        Harm(lake.root).do(*cell, draw, FILES[cell[0]])
        green = force(lake, date, BUILT + HOUR)
        found = [error for error in one_line_each(lake) if not names(error, cell[0])]
        found += [f"rot in {file}" for file in copied(lake, cell[0], after, sound)]
        of_date = [file for file in after if date in file and lake.files().get(file) != after[file]]
        if of_date and (green or date == STRANGER):
            found.append(f"{'green' if green else lake.errors} without {of_date}")
        found += heal(lake, cell[0], date, after)
        if found:
            wrong[cell] = found
    tally("rotten files", len(list(chosen(seed, every=every))), lost=len(wrong))
    assert wrong == {}


def names(error: str, name: str) -> bool:
    """Whether an error names the damaged file or its partition."""
    partition = re.search(r"date=[\w-]+", name)
    return (partition[0] if partition else Path(name).name) in error


def test_a_run_over_its_own_date_heals_a_file_or_says_in_one_line_what_to_do(
    kept: Any, tally: Tally, seed: int, every: bool
) -> None:
    wrong = {}
    for cell in chosen(seed, every=every):
        name, how = cell
        lake = restored(kept)
        sound = lake.files()
        Harm(lake.root).do(name, how, random.Random(f"{seed} {cell}"), FILES[name])
        has_other_size = how in ("lost", "cut")
        found = []
        for number, flags in enumerate(({}, {"reprocess": True}, {"force": True})):
            green = lake.run(sent(), BUILT + (1 + number) * HOUR, *OWN, dates_per_task=9, **flags)
            found += [error for error in one_line_each(lake) if not names(error, name) or "run" not in error]
            bad = [file for file, content in sound.items() if DATE in file and lake.files().get(file) != content]
            # a plain run goes by sizes, and a run from raw fails if raw is not what was landed
            if bad and (has_other_size if not flags else "force" in flags or green):
                found.append(f"{'green' if green else 'red'} with {flags} over {bad}")
        if found:
            wrong[cell] = found
    tally("rotten files", len(list(chosen(seed, every=every))), lost=len(wrong))
    assert wrong == {}


def test_doctor_names_the_file_or_its_partition_and_a_command_that_heals_it(
    kept: Any, tally: Tally, seed: int, every: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {}
    cells = [cell for cell in chosen(seed, every=every) if cell[0] not in HARMLESS]
    for name, how in cells:
        lake = restored(kept)
        sound = lake.files()
        Harm(lake.root).do(name, how, random.Random(f"{seed} {name} {how}"), FILES[name])
        said = pipeline(capsys, "doctor", *lake.options())
        told = [line for line in said.out.splitlines() if line.startswith(("error", "warning"))]
        # a changed digit in a manifest, or a byte of the warehouse that nobody uses, may mean nothing
        is_harmless = not name.endswith(".parquet") and lake.run(None, BUILT + HOUR) if not told else False
        found = [] if told or is_harmless else ["not found"]
        for line in told:
            try:
                if (advice := ADVICE.search(line)) is not None:
                    shell(capsys, advice[1])
            except AssertionError as error:
                found.append(f"the advice fails: {line}: {error}"[:2000])
        left = [file for file, content in sound.items() if lake.files().get(file) != content]
        if found or left:
            wrong[name, how] = [*found, *left]
    tally("rotten files", len(cells), lost=len(wrong))
    assert wrong == {}
