"""Laws 1, 2, 3, 4 and 6 over random histories of shop changes, time, runs of all kinds, and lost files."""

import datetime as dt
import json
import os
import re
import shutil
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import feeds
import pyarrow as pa
import pyarrow.parquet as pq
import reference as ref
from depth import by_depth
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from lake import DATA_FILE, MANIFEST, UNDATED, LakeUnderTest

from pipeline import FetchOrders, NormalizeOrders, WriteFactOrder, WriteOrderItems
from pipeline.errors import RunFailed

START = dt.datetime(2025, 1, 15, 12, 34, 56)  # no order has this second: a run a second later judges them alike
DATES = [dt.date(2025, 1, day) for day in (14, 15, 16, 17)]
MAX_VANISHED_SHARE = 0.4
DAY = dt.timedelta(days=1)

ids = st.sampled_from([f"o_{n}" for n in range(5)])
times = st.builds("2025-01-{}T{}Z".format, st.sampled_from([14, 15, 16, 17]), st.sampled_from(["00:00", "23:59:59.5"]))
fields = {"created_at": times, "updated_at": st.none() | times, "amount": feeds.money_texts()}
# what excludes an order, in the lakes whose luigi.cfg says so
fields |= {"status": st.sampled_from([None, "paid", "cancelled"]), "test": st.sampled_from([..., ..., 0, False, True])}
plain = st.builds(feeds.order, ids, **fields)
lines = plain | plain | feeds.lines(feeds.records(order_ids=ids, created_at=times)) | feeds.lines()
minutes = st.sampled_from([1, 90, 600, 1440, 3000])
flags = st.sampled_from([{}, {}, {"force": True}, {"reprocess": True}, {"allow_shrink": True}])
both_flags = st.sampled_from([{}, {"allow_shrink": True}]).flatmap(lambda more: flags.map(lambda one: one | more))
workers = st.sampled_from([1] * 24 + [2])
instants = st.none() | st.builds(dt.datetime, st.just(2025), st.just(1), st.integers(13, 18), st.sampled_from([0, 12]))


class Expected(ref.Lake):
    """The reference, which also knows that files were lost."""

    def __init__(self) -> None:
        super().__init__()
        self.lost_raw: set[dt.date] = set()
        # of lost raw, the order_ids that were made from it
        self.made_ids: dict[dt.date, set[str]] = {}
        self.lost_normalized: set[dt.date] = set()
        self.lost_curated: set[dt.date] = set()

    def run_dates(self, dates, dump_lines, as_of, through, **options) -> set[dt.date]:
        """One task of several dates: luigi goes on to the next stage only when all of one are there."""
        written_at = options.pop("written_at", None)
        chosen = ref.Options(max_vanished_share=MAX_VANISHED_SHARE, **options)
        failed = {date for date in dates if not self._fetch(date, dump_lines, as_of, chosen, written_at)}
        if through != "raw" and not failed:
            for date in dates:
                self._normalize(date)
        self._curate()
        return failed

    def lose_raw(self, date: dt.date, still_there: list[bytes]) -> None:
        """It must be landed again, whatever its age; what is still there counts for the shrink guard."""
        self.raw[date] = ref.Raw(still_there, ref.FIRST, ref.FIRST)
        self.lost_raw.add(date)

    def is_whole(self, date: dt.date) -> bool:
        return super().is_whole(date) and date not in self.lost_raw

    def landed_ids(self, date: dt.date) -> set[str]:
        return super().landed_ids(date) | self.made_ids.get(date, set())

    def drop(self, dates: set[dt.date], as_of: dt.datetime) -> None:
        self.lost_raw -= dates
        super().drop(dates, as_of)

    def restore(self, dates: set[dt.date]) -> None:
        """They must be landed again, and nothing of them is there."""
        for date in dates & self.dropped:
            self.dropped.discard(date)
            self.lose_raw(date, [])

    def _fetch(self, date, dump_lines, as_of, chosen, written_at=None) -> bool:
        fetched = super()._fetch(date, dump_lines, as_of, chosen, written_at)
        self.lost_raw -= {date} if fetched else set()
        return fetched

    def _normalize(self, date: dt.date) -> None:
        super()._normalize(date)
        self.lost_normalized.discard(date)


class LakeMachine(RuleBasedStateMachine):
    """The lake and what the reference expects of it, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="lake-"))
        self.lake = LakeUnderTest(self.folder / "one", max_vanished_share=MAX_VANISHED_SHARE)
        self.expected = Expected()
        self.shop: list[bytes] = []
        self.as_of = START
        # by name: what is left of a lost key file, which is made again with its date only
        self.lost_keys: dict[str, bytes | None] = {}
        self.is_curated = True  # whether all that is normalized has been curated since
        self.lag: dt.timedelta | None = None  # how old a dump is when it is read; None: written then

    # The shop

    @initialize(new=st.lists(plain, max_size=8), days=st.sampled_from([0, 5]), excludes=st.booleans())
    def a_lake_is_built(self, new, days, excludes):
        self.shop, ref.EXCLUDES = new, excludes
        if excludes:
            self.lake.settings["orders_fields"] = {"exclude": ref.EXCLUDE}
        self.as_of += dt.timedelta(days=days)
        self.run_all(None, None, {}, dates_per_task=9)

    @rule(new=st.lists(lines, min_size=1, max_size=6))
    def orders_are_created(self, new):
        self.shop += new

    @rule(line=plain, keep=st.booleans())
    def an_order_changes_or_moves(self, line, keep):
        known = ref.order_ids([line])
        self.shop = [other for other in self.shop if keep or known != ref.order_ids([other])] + [line]

    @rule(gone=st.sets(ids, min_size=1, max_size=2))
    def orders_vanish(self, gone):
        self.shop = [line for line in self.shop if not gone & ref.order_ids([line])]

    @rule()
    def lines_without_a_date_vanish(self):
        self.shop = [line for date, lines in ref.land(self.shop, ref.END - DAY).items() if date for line in lines]

    @rule(hours=st.sampled_from([None, None, 1, 20, 60]))
    def dumps_are_old_when_they_are_read(self, hours):
        self.lag = None if hours is None else dt.timedelta(hours=hours)

    # Runs

    @rule(
        since=instants,
        until=instants,
        minutes=minutes,
        flags=both_flags,
        cut=st.sampled_from([0, 2, 9]),
        workers=workers,
    )
    def all_is_run(self, since, until, minutes, flags, cut, workers):
        self.as_of += dt.timedelta(minutes=minutes)
        if (since or ref.FIRST) < (until or self.as_of):
            self.run_all(since, until, flags, workers=workers, dates_per_task=cut)

    @rule(
        task=st.sampled_from([FetchOrders, NormalizeOrders, WriteFactOrder, WriteOrderItems]),
        dates=st.sets(st.sampled_from(DATES), min_size=1, max_size=3),
        minutes=minutes,
        flags=both_flags,
    )
    def dates_are_run(self, task, dates, minutes, flags):
        self.as_of += dt.timedelta(minutes=minutes)
        before = dict(self.expected.normalized)
        written_at = self.offer()
        succeeded = self.lake.run_date(task, sorted(dates), None, self.as_of, **flags)
        through = {FetchOrders: "raw", NormalizeOrders: "normalized"}.get(task, "curated")
        failed = self.expected.run_dates(
            sorted(dates), self.dump(), self.as_of, through, written_at=written_at, **flags
        )
        # a date that shares orders with one that is not whole is not curated
        assert succeeded == (not failed) or (not failed and self.expected.lost_normalized), self.lake.errors
        if succeeded and through == "curated":
            self.check_one_place()
        self.is_curated = self.is_curated and self.expected.normalized == before
        self.note_curated()
        self.check()
        if succeeded and through == "curated":
            table = "fact_order" if task is WriteFactOrder else "order_items"
            self.check_curated(dates if not self.is_curated else None, table)

    @rule(dates=st.sets(st.sampled_from(DATES), min_size=1, max_size=2), minutes=minutes)
    def dates_are_dropped(self, dates, minutes):
        self.as_of += dt.timedelta(minutes=minutes)
        dates = {date for date in dates if date <= self.as_of.date()}
        others_are_lost = bool(self.expected.lost_normalized - dates)
        try:
            if dates:
                self.lake.drop(",".join(map(str, sorted(dates))), self.as_of)
        except RunFailed:
            assert others_are_lost  # and the dates that share orders with them are not curated
            self.is_curated = False
        else:
            self.note_curated()
        self.expected.drop(dates, self.as_of)
        self.check()
        self.check_curated(dates if not self.is_curated else None, "fact_order", "order_items")

    @rule(dates=st.sets(st.sampled_from(DATES), min_size=1, max_size=4))
    def dates_are_restored(self, dates):
        self.lake.restore(",".join(map(str, sorted(dates))), self.as_of + dt.timedelta(days=5))
        self.expected.restore(dates)

    @rule(pick=st.integers(0, 10**6), how=st.sampled_from(["lost", "cut", "interrupted"]))
    def a_file_is_lost_or_cut(self, pick, how):
        names = [*self.lake.names(DATA_FILE), *self.lake.names(MANIFEST)]
        names = [name for name in names if "/date=2" in name or name == "raw/_inventory.json"]
        if names:
            self.lose(names[pick % len(names)], how)

    @rule(pick=st.integers(0, 10**6), how=st.sampled_from(["lost", "interrupted"]))
    def normalizing_is_interrupted(self, pick, how):
        names = [name for name in self.lake.names(MANIFEST) if name.startswith("normalized/")]
        if names:
            self.lose(names[pick % len(names)], how)

    @rule(pick=st.integers(0, 10**6), date=st.sampled_from(DATES), minutes=minutes)
    def a_file_rots_and_another_date_is_run(self, pick, date, minutes):
        """Its size stays, so it is found by whoever reads it: then it is made anew, and until then stops nobody."""
        expected = self.expected
        if expected.lost_raw or expected.lost_normalized or expected.lost_curated or not self.is_curated:
            return
        names = [name for name in self.lake.names(DATA_FILE) if "/date=2" in name and not name.startswith("raw")]
        names = [name for name in names if str(date) not in name and "quarantine" not in name]
        if not names:
            return
        path = self.lake.root / names[pick % len(names)]
        path.write_bytes(bytes(path.stat().st_size))
        note(f"rotten: {path}")
        self.as_of += dt.timedelta(minutes=minutes)
        self.lake.run_date(WriteFactOrder, date, None, self.as_of, reprocess=True)
        self.check_one_place()
        for _ in range(2):
            self.as_of += dt.timedelta(minutes=1)
            last = self.lake.run(None, self.as_of, until=self.as_of + 3 * DAY, reprocess=True, dates_per_task=9)
        assert last, self.lake.errors
        assert self.expected.run([], self.as_of, until=self.as_of + 3 * DAY, reprocess=True) == set()
        self.check()
        self.check_curated(None, "fact_order", "order_items")

    # Steps

    def offer(self) -> dt.datetime | None:
        """Write the dump; when that was, None for as late as it is read."""
        for date in self.expected.lost_raw:
            self.expected.made_ids[date] = self.made_ids(date)
        if self.lag is None:
            self.lake.offer(self.dump())
            os.utime(self.lake.dump)
            return None
        written_at = self.as_of - self.lag
        self.lake.write_dump(self.dump(), written_at)
        return written_at

    def made_ids(self, date: dt.date) -> set[str]:
        """The order_ids that the lake has of a date whose raw file is gone or has another size."""
        raw = self.lake.root / f"raw/date={date}"
        if (raw / "orders_raw.json").exists():
            manifest: dict[str, Any] = {}
            # it may be lost or cut as well, and then commits to nothing
            with suppress(OSError, ValueError):
                manifest = json.loads((raw / "_raw.json").read_text())
            size = (raw / "orders_raw.json").stat().st_size
            if manifest.get("id") is None or size in manifest["files"].values():
                return set()
        names = (f"normalized/date={date}/orders.parquet", f"curated/date={date}/fact_order.parquet")
        found: set[str] = set()
        for name in names:
            with suppress(OSError, pa.ArrowException):
                found.update(pq.read_table(self.lake.root / name, partitioning=None)["order_id"].to_pylist())
        return found

    def check_one_place(self) -> None:
        """Law 2, as readers see it: no order_id is in two files of fact_order that can be read."""
        places: dict[str, set[str]] = {}
        for path in self.lake.root.glob("curated/date=*/fact_order.parquet"):
            with suppress(OSError, pa.ArrowException):
                for order_id in pq.read_table(path, partitioning=None)["order_id"].to_pylist():
                    places.setdefault(order_id, set()).add(path.parent.name)
        assert {order_id: found for order_id, found in places.items() if len(found) > 1} == {}

    def dump(self) -> list[bytes]:
        """The shop's lines; the first one is an order, since a first line of `[` would make an array of it all."""
        return [feeds.order("anchor", created_at="2025-01-14T08:00:00Z"), *self.shop] if self.shop else []

    def run_all(self, since, until, flags, **how) -> None:
        before, written = dict(self.expected.normalized), self.lake.written()
        rested = self.is_curated and not (self.expected.lost_raw or self.expected.lost_normalized or flags)
        written_at = self.offer()
        succeeded = self.lake.run(None, self.as_of, since, until, **flags, **how)
        known = [] if flags.get("reprocess") else self.dump()  # then the source is not asked
        options = flags | {"max_vanished_share": MAX_VANISHED_SHARE}
        failed = self.expected.run(known, self.as_of, since, until, written_at, **options)
        note(f"as of {self.as_of}: failed {failed}")
        if not succeeded and not failed and self.expected.lost_normalized:
            return  # dates of the run share orders with one that is not whole, and in this run is not to be
        assert succeeded == (not failed), self.lake.errors
        if succeeded:
            self.check_one_place()
        self.is_curated = True
        self.note_curated()
        self.check()
        self.check_curated(None, "fact_order", "order_items")
        self.check_summary(failed, written_at, differ=not flags.get("reprocess"))
        # what is not whole may hold orders that have moved, so the mark of that waits for it
        assert set(self.lake.litter()) <= ({"curated/_stale.json"} if self.expected.lost_normalized else set())
        if rested and self.expected.normalized == before and not self.expected.lost_curated:
            unchanged = {
                name: self.lake.written()[name] for name in written if "curated/date" in name or "normal" in name
            }
            assert unchanged.items() <= written.items(), "law 6: rebuilt without need"

    def lose(self, name: str, how: str) -> None:
        """Delete a file, cut it in half, or leave a manifest as a kill leaves it."""
        path = self.lake.root / name
        if how == "cut":
            os.truncate(path, path.stat().st_size // 2)
        elif how == "interrupted" and MANIFEST.fullmatch(name) and "/date=" in name:
            path.write_text(re.sub(r'"id": "[0-9a-f-]+"', '"id": null', path.read_text()))
        else:
            path.unlink()
        if name.endswith(".keys"):
            self.lost_keys[name] = path.read_bytes() if path.exists() else None
        note(f"{how}: {name}")
        if "/date=" in name:
            layer, date = name.split("/")[0], dt.date.fromisoformat(name.split("date=")[1][:10])
            if name.endswith("/_raw.json") and how != "interrupted":
                self.expected.dropped.discard(date)  # the tombstone is in it
            if layer == "raw":
                self.expected.lose_raw(date, self.lake.raw().get(str(date), []))
            elif layer == "curated":
                self.expected.lost_curated.add(date)
            else:
                self.expected.lost_normalized.add(date)

    def note_curated(self) -> None:
        """Whoever curates anything curates all that is stale."""
        stamp = self.as_of.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        names = [name for name in self.lake.names(MANIFEST) if name.endswith(("_fact_order.json", "_order_items.json"))]
        if any(f'"as_of": "{stamp}"' in (self.lake.root / name).read_text() for name in names):
            self.is_curated = True
            self.expected.lost_curated.clear()

    # Laws

    def check(self) -> None:
        """Raw, normalized and quarantine are the reference's, and the counts of law 1 add up."""
        expected = self.expected
        raw = {date: raw.lines for date, raw in expected.raw.items() if date not in expected.lost_raw}
        found = self.lake.raw()
        assert {date: found[str(date)] for date in raw} == raw
        assert found.get(UNDATED, []) == [record.line for record in expected.undated]
        rows = {date: rows for date, rows in expected.normalized.items() if date not in expected.lost_normalized}
        orders, items = self.lake.normalized("orders", rows), self.lake.normalized("items", rows)
        quarantine = self.lake.quarantine(rows)
        for date, normalized in rows.items():
            metadata = [(*row[:6], ref.canonical_text(row[6]), *row[7:]) for row in orders[date]]
            assert metadata == normalized.orders
            assert items[date] == normalized.items
            assert quarantine.get(str(date), []) == normalized.discards
            check_counts(self.lake.manifest("normalized", date)["counts"], normalized.counts)
        undated = [(ref.judge(record.line, record.came).reason, record.line) for record in expected.undated]
        assert quarantine.get(UNDATED, []) == undated

    def check_curated(self, dates: set[dt.date] | None, *tables: str) -> None:
        """Law 2: the rows are those of the latest versions; dates: of these at least, None: of the whole lake."""
        if self.expected.lost_normalized:
            return  # what is lost is not normalized until its date is run again
        wanted = {d: c for d, c in self.expected.curated.items() if d not in self.expected.lost_curated}
        wanted = {date: rows for date, rows in wanted.items() if dates is None or date in dates}
        for table in ("fact_order", "order_items") if dates is None else tables:
            found = self.lake.curated(table, wanted)
            for date, curated in wanted.items():
                assert found[date] == getattr(curated, table), f"law 2: {table} of {date}"
                counts = self.lake.manifest(table, date)["counts"]
                assert counts["kept"] == curated.kept
                assert counts["superseded_elsewhere"] == curated.superseded_elsewhere
                assert counts.get("excluded", 0) == curated.excluded

    def check_summary(self, failed: set[dt.date], written_at: dt.datetime | None, *, differ: bool) -> None:
        summary = self.lake.summary(self.as_of)
        assert summary["failed"].keys() == {str(date) for date in failed}
        answer = ref.spoken_for(self.dump(), self.as_of, written_at)
        now = ref.land(self.dump(), answer)
        for text, counts in summary["dates"].items():
            date = dt.date.fromisoformat(text)
            if date not in failed | self.expected.lost_normalized:
                check_counts(counts, self.expected.normalized[date].counts)
            raw = self.expected.raw[date]
            is_final = raw.answers_as_of >= ref.midnight(date) + DAY + ref.Options().settle
            same = ref.same_content(raw.lines, raw.answers_as_of, now.get(date, []), answer)
            other = is_final and not same and date not in self.expected.dropped
            if differ and date not in failed:
                assert (text in summary["settled_dates_that_differ"]) == other

    def teardown(self) -> None:
        try:
            if self.expected.raw:
                self.check_end()
        finally:
            ref.EXCLUDES = False
            shutil.rmtree(self.folder)

    def check_end(self) -> None:
        """A run over all heals everything, a second one does nothing, and another history has the same bytes."""
        self.as_of += dt.timedelta(hours=1)
        self.lag = None
        until = self.as_of + dt.timedelta(days=3)
        self.run_all(None, until, {"allow_shrink": True}, dates_per_task=9)
        files, written = self.lake.files(), self.lake.written()
        self.as_of += dt.timedelta(seconds=1)
        self.run_all(None, until, {}, dates_per_task=9)
        assert (self.lake.files(), self.lake.written()) == (files, written), "law 6: a second identical run"
        fresh = LakeUnderTest(self.folder / "fresh")
        shutil.copytree(self.lake.root / "raw", fresh.root / "raw")
        assert fresh.run(self.dump(), self.as_of, until=until, reprocess=True, dates_per_task=2), fresh.errors
        layers = ("curated/date=", "normalized/", "quarantine/date=2")
        lost = {name for name, left in self.lost_keys.items() if files.get(name) == left}
        assert of(fresh.files(), layers, lost) == of(files, layers, lost), "law 3: another history, other bytes"


def of(files: dict[str, bytes], layers: tuple[str, ...], but: set[str]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name.startswith(layers) and name not in but}


def check_counts(found: dict, expected: dict) -> None:
    """Law 1, of a date; what was nulled, too."""
    for name in ("extracted", "normalized", "superseded_here"):
        assert found[name] == expected[name]
    assert found["discarded"] == expected["discarded"]
    assert found["extracted"] == found["normalized"] + found["superseded_here"] + sum(found["discarded"].values())
    fields = found.get("fields", {})
    nulled = {f"{name} {kind}": of.get(kind, 0) for name, of in fields.items() for kind in ("absent", "unreadable")}
    assert +Counter(nulled, items_dropped=found.get("dropped_items", 0)) == Counter(expected["nulled"])


TestAnyHistory = LakeMachine.TestCase
TestAnyHistory.settings = settings(
    settings.default,
    max_examples=by_depth(few=2, all=30, night=750),
    stateful_step_count=15,
)
