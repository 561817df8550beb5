"""Laws 1, 2, 3, 5 and 7 over random histories of a shop behind a REST API.

Its orders change between two pages, runs are cut off or killed in the middle of a window, updates come late, files of
the lake are damaged, files of other people lie in it, and the clock goes back.
"""

import datetime as dt
import json
import os
import random
import re
import shutil
import signal
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from api import QUICK
from api_laws import Landings, check_made, check_one_place, check_shop_is_in, refuse_other_errors
from changing_shop import ChangingShop, served
from depth import by_depth
from harm import WAYS, Harm
from hypothesis import Phase, note, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from lake import DATA_FILE, MANIFEST, LakeUnderTest
from tally import Tally
from warm import Started, started

from pipeline import FetchOrders, NormalizeOrders, WriteFactOrder, WriteOrderItems
from pipeline.errors import BadSetting

FIRST = dt.datetime(2025, 1, 14)
START = dt.datetime(2025, 1, 15, 12, 34, 56)
DAY, SECOND = dt.timedelta(days=1), dt.timedelta(seconds=1)
PAGINATIONS = ("cursor", "link_header", "page_number", "offset")
SHARES = by_depth(few=1, all=1, prove=6, night=8)
HISTORIES = by_depth(few=1, all=2, prove=60, night=1000)
STEPS = by_depth(few=6, all=12, night=12)

picks = st.integers(0, 10**6)
minutes = st.sampled_from([1, 90, 600, 1440])
hours_back = st.sampled_from([0, 1, 13, 30])
kinds = st.sampled_from(
    [{}, {}, {"changed_since": "auto"}, {"changed_since": "auto"}, {"force": True}, {"reprocess": True}]
)
changes = st.sampled_from(["comes", "changes", "moves", "vanishes"])
# after how many answers something happens in a run, and what
happenings = st.tuples(
    st.integers(1, 5), st.sampled_from(["vanishes", "moves", "vanishes", "comes", "changes", "closes"])
)
events = st.one_of(st.none(), happenings, happenings, happenings)
FOREIGN = (
    *("raw/notes.txt", "raw/date=2025-01-15/orders_raw.json.bak", "normalized/date=2025-01-15/.orders.parquet.swp"),
    *("curated/date=2025-01-15.bak/fact_order.parquet", "curated/date=2025-01-15/copy.parquet"),
    *("curated/date=/fact_order.parquet", "quarantine/date=2025-01-16/notes.txt", "curated/_mine.json"),
)


class ShopMachine(RuleBasedStateMachine):
    """A shop and the lake that is fed from it. `now` is the shop's time; each change of an order takes a second."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="history-"))
        self.lake = LakeUnderTest(self.folder / "one", max_vanished_share=0.5)
        self.orders: dict[str, dict[str, Any]] = {}
        self.now = START
        self.harm = Harm(self.lake.root)
        self.foreign: dict[str, bytes] = {}
        self.times_back = 0
        self.was_harmed = False  # since a run over all dates has succeeded

    @initialize(count=st.sampled_from([3, 9, 15]), pagination=st.sampled_from(PAGINATIONS), pick=picks)
    def a_shop_opens(self, count, pagination, pick):
        self.shop = ChangingShop(self.folder / "feed.ndjson", pagination)
        self.landings = Landings(self.lake, self.shop)
        self.serving = served(self.shop)
        self.serving.__enter__()
        one_by_one = {"page_size": 2, "parallel_windows": 1, "attempts": 2, "start_date": FIRST.isoformat() + "Z"}
        self.lake.settings["orders_api"] |= QUICK | one_by_one | {"url": self.shop.url, "pagination": pagination}
        for number in range(count):
            self.change("comes", pick + number * 7)

    # The shop

    @rule(what=changes, pick=picks)
    def an_order_of_the_shop(self, what, pick):
        self.change(what, pick)

    @rule(pick=picks)
    def orders_come(self, pick):
        for number in range(5):
            self.change("comes", pick + number * 11)

    def change(self, what: str, pick: int, among: Collection[str] = ()) -> None:
        """An order comes, perhaps late; or one, of these if there are any, changes, moves in time or vanishes."""
        self.now += SECOND
        draw = random.Random(pick)
        known = sorted(self.orders.keys() & set(among) or self.orders)
        order_id = known[pick % len(known)] if known and what != "comes" else f"o_{len(self.shop.states)}_{pick % 97}"
        if what == "vanishes":
            self.orders.pop(order_id, None)
        else:
            order = self.orders.setdefault(order_id, {"order_id": order_id if pick % 9 else None, "user_id": "u_1"})
            if what != "changes" or "created_at" not in order:
                hours = draw.choice([0, 1, 2, 3, 20, 40])
                order["created_at"] = stamp(max(FIRST, self.now - dt.timedelta(hours=hours, seconds=pick % 3600)))
            order |= {"amount": draw.randrange(1, 9999) / 100, "updated_at": stamp(self.now)}
            order["items"] = [{"sku": f"s_{n}", "qty": n + 1, "price": 2.5} for n in range(pick % 3)]
        self.shop.offer([json.dumps(order).encode() for order in self.orders.values()])

    # Runs

    @rule(kind=kinds, event=events, minutes=minutes, pick=picks, since=st.none() | st.integers(0, 3))
    def all_is_run(self, kind, event, minutes, pick, since):
        self.now += dt.timedelta(minutes=minutes)
        first = None if since is None else min(FIRST + since * DAY, self.now - SECOND)
        self.run_all(self.now, kind, event, pick, first)

    @rule(kind=kinds, hours=hours_back)
    def the_clock_has_gone_back(self, kind, hours):
        self.now += dt.timedelta(minutes=1)
        self.times_back += 1  # no two runs have the same as_of, which would make them one run
        as_of = max(START, self.now - dt.timedelta(hours=hours)) + dt.timedelta(milliseconds=self.times_back)
        self.run_all(as_of, kind, None, 0)

    @rule(kind=kinds, answers=st.integers(0, 12), minutes=minutes)
    def a_run_is_killed(self, kind, answers, minutes):
        """When the shop is asked for the page after so many answers."""
        self.now += dt.timedelta(minutes=minutes)
        words = [f"--{name.replace('_', '-')}{'' if value is True else f'={value}'}" for name, value in kind.items()]
        options = [*self.lake.options(), "--run-as-of", stamp(self.now), "--run-dates-per-task", "9"]
        note(f"as of {self.now}, {kind}, killed after {answers} answers")
        run: list[Started] = []
        self.shop.after(answers, lambda: os.killpg(run[0].pid, signal.SIGKILL))
        run.append(started("pipeline", "run", *words, *options, out=self.folder / "said"))
        code, output = run[0].end()
        self.shop.happens = None
        assert "Traceback" not in output, output
        assert code != -signal.SIGKILL or self.shop.answers_left < 0, "it hung"
        self.check()

    @rule(
        task=st.sampled_from([FetchOrders, NormalizeOrders, WriteFactOrder, WriteOrderItems]),
        day=st.integers(0, 3),
        flags=st.sampled_from([{}, {"force": True}, {"reprocess": True}]),
        minutes=minutes,
    )
    def a_date_is_run(self, task, day, flags, minutes):
        self.now += dt.timedelta(minutes=minutes)
        date = (FIRST + day * DAY).date()
        if date <= self.now.date():
            self.lake.run_date(task, date, None, self.now, **flags)
            refuse_other_errors(self.lake)
            self.check()

    # The disk

    @rule(pick=picks, how=st.sampled_from(WAYS))
    def a_file_is_harmed(self, pick, how):
        names = [*self.lake.names(DATA_FILE), *self.lake.names(MANIFEST), *self.lake.names(re.compile(r"\.windows/.*"))]
        if names:
            name = names[pick % len(names)]
            others = [other for other in names if Path(other).name == Path(name).name]
            self.harm.do(name, how, random.Random(pick), others[pick % len(others)])
            self.was_harmed = True
            note(f"{how}: {name}")

    @rule(name=st.sampled_from(FOREIGN), pick=picks)
    def somebody_leaves_a_file(self, name, pick):
        facts = [known for known in self.lake.names(DATA_FILE) if known.endswith("fact_order.parquet")]
        content = (self.lake.root / facts[pick % len(facts)]).read_bytes() if facts else b"x"
        path = self.lake.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.foreign[name] = content

    # Steps

    def run_all(self, as_of: dt.datetime, kind: dict[str, Any], event: Any, pick: int, since: Any = None) -> bool:
        """RunAll, in which something may happen; whether it succeeds. It has no other errors than it may have."""
        if event is not None:
            self.shop.after(event[0], lambda: self.happens(event[1], pick))
        harmed_before = bool(self.harm.still()) or self.was_harmed
        try:
            succeeded = self.lake.run(None, as_of, since, dates_per_task=9, **kind)
            refuse_other_errors(self.lake)
            errors = self.lake.errors
        except BadSetting as error:  # before luigi runs anything
            succeeded, errors = False, [str(error)]
        closed, self.shop.is_down, self.shop.happens = self.shop.is_down, False, None
        note(f"as of {as_of}, {kind} since {since}: {errors or 'succeeded'}")
        if not succeeded and not closed and not harmed_before:
            assert all(map(self.may_fail, errors)), errors
        self.check()
        if succeeded and since is None:
            self.check_all(as_of, kind)
        return succeeded

    def happens(self, what: str, pick: int) -> None:
        note(f"{what} in the run, at state {len(self.shop.states)}")
        if what == "closes":
            self.shop.is_down = True
        else:
            # an order that was read already is what shifts the pages to come
            self.change(what, pick, self.shop.page)

    def may_fail(self, error: str) -> bool:
        """What a run may say although nothing is wrong with the lake and the shop answers."""
        back = "later than this run" in error or "was made by a run as of" in error
        # of a date that is only there because somebody has left a file in its folder
        back = back or "not landed; expected a landed date" in error
        return back or "landed order_ids are gone from" in error or "the records change while they are read" in error

    # Laws

    def check(self) -> None:
        self.landings.check(self.harm.still())
        check_made(self.lake, self.harm.still(), curated=False)
        assert {name: (self.lake.root / name).read_bytes() for name in self.foreign} == self.foreign

    def check_all(self, as_of: dt.datetime, kind: dict[str, Any]) -> None:
        """After a run over all dates that has succeeded. What is harmed and was not read may still be there."""
        check_one_place(self.lake, self.harm.still())
        # dates after a clock that has gone back are of no run yet
        if self.harm.still() or max(self.lake.raw(), default="") > str(as_of.date()):
            return
        self.was_harmed = False
        check_made(self.lake, {}, curated=True)
        assert set(self.lake.litter()) - set(self.foreign) - {str(Path(name).parent) for name in self.foreign} == set()
        if "changed_since" in kind or "force" in kind:
            check_shop_is_in(self.lake, self.orders.values(), as_of)

    def teardown(self) -> None:
        try:
            if self.lake.root.exists():
                self.check_end()
        finally:
            self.serving.__exit__(None, None, None)
            shutil.rmtree(self.folder)

    def check_end(self) -> None:
        """A few runs heal everything; then the lake is the shop, and a lake without a history has the same bytes."""
        succeeded = False
        for kind in ({}, {}, {"force": True}, {"force": True}):
            self.now += 2 * DAY if not kind and not succeeded else dt.timedelta(hours=1)
            succeeded = self.run_all(self.now, kind | {"allow_shrink": True}, None, 0)
        assert succeeded, self.lake.errors
        # a changed digit of a manifest may mean nothing, and doctor alone looks at dimensions of the right size
        assert [name for name in self.harm.still() if DATA_FILE.fullmatch(name) and "/date=" in name] == []
        files = self.lake.files()
        fresh = LakeUnderTest(self.folder / "fresh")
        fresh.settings["orders_api"] = self.lake.settings["orders_api"]
        for date in self.lake.raw():
            shutil.copytree(self.lake.root / f"raw/date={date}", fresh.root / f"raw/date={date}")
        assert fresh.run(None, self.now + SECOND, reprocess=True, dates_per_task=9), fresh.errors
        layers = ("curated/date=", "normalized/", "quarantine/date=2")
        made = [{n: c for n, c in each.items() if n.startswith(layers)} for each in (fresh.files(), files)]
        assert made[0] == made[1], "law 3: another history, other bytes"


def stamp(at: dt.datetime) -> str:
    return at.isoformat() + "Z"


@pytest.mark.parametrize("share", range(SHARES))
def test_whatever_happens_to_a_shop_and_its_lake_the_lake_is_true_after_the_next_runs(
    share: int, tally: Tally, seed: int, every: bool
) -> None:
    count = -(-(1000 if every else HISTORIES) // SHARES)
    machines: list[ShopMachine] = []

    @seeded(seed * 1000 + share)
    def machine() -> ShopMachine:
        machines.append(ShopMachine())
        return machines[-1]

    lost = 1
    try:
        how = settings(settings.default, max_examples=count, stateful_step_count=STEPS, phases=[Phase.generate])
        run_state_machine_as_test(machine, settings=how)
        lost = 0
    finally:
        tally("histories", len(machines), lost=lost)
