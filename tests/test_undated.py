"""The undated partition keeps the undated records of all dumps, each with its own reason and moment."""

import datetime as dt
import json
from pathlib import Path

import pytest
from depth import deep, some
from feeds import order
from lake import UNDATED, LakeUnderTest

from pipeline.commands.drop import drop_undated
from pipeline.errors import BadSetting
from pipeline.tasks.run_all import RunAll

FIRST = dt.datetime(2025, 2, 1)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
GOOD = order("o_1", created_at="2025-01-15T10:00:00Z")
SOON, NEVER = order("o_2", created_at="soon"), order("o_3", created_at=None)
BROKEN = b'{"order_id":'


def undated(lake: LakeUnderTest) -> list[tuple[str, bytes]]:
    return lake.quarantine().get(UNDATED, [])


def changes(lake: LakeUnderTest, as_of: dt.datetime) -> dict:
    said = lake.summary(as_of)["undated"]
    return {name: said[name] for name in ("built", "extracted", "added", "dated", "expired") if name in said}


def test_rejects_of_an_earlier_dump_stay_when_the_next_one_has_none(lake: LakeUnderTest) -> None:
    assert lake.run([GOOD, SOON, BROKEN], FIRST)
    assert lake.run([GOOD], FIRST + HOUR)
    assert undated(lake) == [("invalid_created_at", SOON), ("malformed_json", BROKEN)]
    assert lake.raw()[UNDATED] == [SOON, BROKEN]


def test_each_dump_adds_what_was_not_there_and_a_message_counts_only_that(lake: LakeUnderTest) -> None:
    assert lake.run([GOOD, SOON], FIRST)
    assert changes(lake, FIRST)["added"] == {"invalid_created_at": 1}
    assert lake.run([GOOD, SOON, NEVER], FIRST + HOUR)
    assert undated(lake) == [("invalid_created_at", SOON), ("missing_created_at", NEVER)]
    assert changes(lake, FIRST + HOUR) == {
        "built": True,
        "extracted": 2,
        "added": {"missing_created_at": 1},
        "dated": 0,
        "expired": 0,
    }


def test_a_record_of_the_future_leaves_for_its_date_once_a_dump_is_of_that_day(lake: LakeUnderTest) -> None:
    ahead = order("o_4", created_at="2025-02-04T10:00:00Z")
    lake.write_dump([GOOD, ahead, SOON], FIRST)
    assert lake.run(None, FIRST)
    assert undated(lake) == [("future_created_at", ahead), ("invalid_created_at", SOON)]
    lake.write_dump([GOOD, ahead], FIRST + 4 * DAY)
    assert lake.run(None, FIRST + 4 * DAY)
    assert undated(lake) == [("invalid_created_at", SOON)]
    assert changes(lake, FIRST + 4 * DAY)["dated"] == 1
    assert [row[0] for row in lake.normalized("orders")[dt.date(2025, 2, 4)]] == ["o_4"]


def test_a_record_of_the_future_that_no_dump_has_any_more_keeps_its_reason(lake: LakeUnderTest) -> None:
    ahead = order("o_4", created_at="2025-02-04T10:00:00Z")
    lake.write_dump([GOOD, ahead], FIRST)
    assert lake.run(None, FIRST)
    lake.write_dump([GOOD, SOON], FIRST + 9 * DAY)
    assert lake.run(None, FIRST + 9 * DAY)
    assert undated(lake) == [("future_created_at", ahead), ("invalid_created_at", SOON)]


def test_a_record_leaves_after_undated_days_unless_the_dump_still_has_it(lake: LakeUnderTest) -> None:
    lake.write_dump([GOOD, SOON, BROKEN], FIRST)
    assert lake.run(None, FIRST)
    late = FIRST + 91 * DAY
    lake.write_dump([GOOD, SOON], late)
    assert lake.run(None, late)
    assert undated(lake) == [("invalid_created_at", SOON)]
    assert changes(lake, late)["expired"] == 1


def test_two_records_of_equal_bytes_in_one_dump_are_two(lake: LakeUnderTest) -> None:
    assert lake.run([GOOD, BROKEN, BROKEN], FIRST)
    assert lake.run([BROKEN, GOOD, BROKEN, SOON], FIRST + HOUR)
    assert undated(lake) == [("malformed_json", BROKEN)] * 2 + [("invalid_created_at", SOON)]


@deep("undated records")
def test_dropped_undated_records_come_back_only_with_force(lake: LakeUnderTest) -> None:
    assert lake.run([GOOD, SOON], FIRST)
    with lake.configured():
        assert drop_undated("tests", RunAll(stamp=FIRST + HOUR).this_run) == ["undated: 1 record(s) dropped"]
    assert (undated(lake), lake.raw()[UNDATED]) == ([], [])
    assert lake.run(None, FIRST + 2 * HOUR)
    assert undated(lake) == []
    assert lake.run([SOON, GOOD], FIRST + 3 * HOUR)
    assert undated(lake) == []
    assert lake.run(None, FIRST + 4 * HOUR, force=True)
    assert undated(lake) == [("invalid_created_at", SOON)]


def test_undated_records_have_no_tombstone_to_take_back(lake: LakeUnderTest) -> None:
    with lake.configured(), pytest.raises(BadSetting, match="--date undated --restore: expected a date"):
        drop_undated(None, RunAll(stamp=FIRST).this_run)


@pytest.mark.parametrize("lost", ["raw", "quarantine"])
@pytest.mark.parametrize("how", some(["gone", "cut", "other bytes"], ["cut"], "shapes of a file"))
def test_a_damaged_undated_file_is_made_anew_from_the_other_one(lake: LakeUnderTest, lost: str, how: str) -> None:
    ahead = order("o_4", created_at="2025-02-04T10:00:00Z")
    lake.write_dump([GOOD, SOON, ahead], FIRST)
    assert lake.run(None, FIRST)
    before = {name: content for name, content in lake.files().items() if UNDATED in name}
    (path,) = (lake.root / name for name in before if name.startswith(lost))
    damage = {"gone": None, "cut": path.read_bytes()[:-5], "other bytes": b"x" * path.stat().st_size}[how]
    path.unlink() if damage is None else path.write_bytes(damage)
    lake.write_dump([GOOD, NEVER], FIRST + 9 * DAY)
    assert lake.run(None, FIRST + 9 * DAY), lake.errors
    wanted = [("invalid_created_at", SOON), ("future_created_at", ahead), ("missing_created_at", NEVER)]
    assert undated(lake) == wanted
    assert lake.raw()[UNDATED] == [SOON, ahead, NEVER]


def test_undated_records_that_are_nowhere_whole_are_one_error(lake: LakeUnderTest) -> None:
    assert lake.run([GOOD, SOON], FIRST)
    for name in lake.files():
        if UNDATED in name:
            path = lake.root / name
            path.write_bytes(b"x" * path.stat().st_size)
    assert not lake.run([GOOD, NEVER], FIRST + HOUR)
    assert "its bytes are not those that were landed" in lake.errors[0]


def interrupted(lake: LakeUnderTest, *, replaced: bool) -> None:
    """As a run leaves it that is killed before, or after, it replaces the undated raw file by one with NEVER in it."""
    other = LakeUnderTest(lake.root.parent / "other")
    other.write_dump([GOOD, SOON], FIRST)
    assert other.run(None, FIRST)
    other.write_dump([GOOD, NEVER], FIRST + 9 * DAY)
    assert other.run(None, FIRST + 9 * DAY)
    name = f"raw/date={UNDATED}"
    ours, theirs = (json.loads((root / name / "_raw.json").read_text()) for root in (lake.root, other.root))
    mark = ours | {"id": None, "segments": ours["segments"] | theirs["segments"]}
    Path(lake.root / name / "_raw.json").write_text(json.dumps(mark))
    if replaced:
        Path(lake.root / name / "orders_raw.json").write_bytes(Path(other.root / name / "orders_raw.json").read_bytes())


@pytest.mark.parametrize("replaced", some([False, True], [True], "moments of death"))
def test_a_run_killed_while_it_publishes_undated_records_loses_none(lake: LakeUnderTest, replaced: bool) -> None:
    lake.write_dump([GOOD, SOON], FIRST)
    assert lake.run(None, FIRST)
    interrupted(lake, replaced=replaced)
    lake.write_dump([GOOD, NEVER], FIRST + 9 * DAY)
    assert lake.run(None, FIRST + 10 * DAY), lake.errors
    assert undated(lake) == [("invalid_created_at", SOON), ("missing_created_at", NEVER)]


def test_records_that_could_not_be_published_are_an_error(lake: LakeUnderTest, monkeypatch) -> None:
    from pipeline.lake.lake import Lake

    good = Lake._replace

    def full(self, publication) -> None:
        if UNDATED in publication.name:
            raise OSError(28, "No space left on device")
        good(self, publication)

    monkeypatch.setattr(Lake, "_replace", full)
    assert not lake.run([GOOD, SOON], FIRST)
    assert "No space left on device" in lake.errors[0]
    monkeypatch.undo()
    assert lake.run(None, FIRST + HOUR)
    assert undated(lake) == [("invalid_created_at", SOON)]


def test_a_lake_of_before_keeps_its_undated_records(lake: LakeUnderTest) -> None:
    assert lake.run([GOOD, SOON], FIRST)
    path = lake.root / f"raw/date={UNDATED}/_raw.json"
    manifest = json.loads(path.read_text())
    for name in ("segments", "taken_in", "changes", "answers_as_of"):
        del manifest[name]
    path.write_text(json.dumps(manifest | {"extracted_at": manifest.pop("asked_at")}))
    written = lake.written()
    assert lake.run(None, FIRST + HOUR)
    assert lake.written() == written
    assert lake.run([GOOD, NEVER], FIRST + 2 * HOUR)
    assert undated(lake) == [("invalid_created_at", SOON), ("missing_created_at", NEVER)]


UNDATED_FILES = (f"raw/date={UNDATED}/orders_raw.json", f"quarantine/date={UNDATED}/orders.parquet")


def damage(path: Path) -> None:
    path.write_bytes(b"x" * path.stat().st_size)


@pytest.mark.parametrize("content", some([None, '{"id": 5}', "{"], [None], "shapes of a file"))
def test_undated_records_stay_when_their_manifest_is_lost(lake: LakeUnderTest, content: str | None) -> None:
    ahead = order("o_4", created_at="2025-02-04T10:00:00Z")
    lake.write_dump([GOOD, SOON, ahead], FIRST)
    assert lake.run(None, FIRST)
    manifest = lake.root / f"raw/date={UNDATED}/_raw.json"
    manifest.unlink() if content is None else manifest.write_text(content)
    lake.write_dump([GOOD], FIRST + 9 * DAY)
    assert lake.run(None, FIRST + 9 * DAY), lake.errors
    assert undated(lake) == [("invalid_created_at", SOON), ("future_created_at", ahead)]


def test_undated_records_are_not_dropped_in_silence_when_one_file_is_damaged_and_the_other_gone(
    lake: LakeUnderTest,
) -> None:
    assert lake.run([GOOD, SOON], FIRST)
    raw, quarantine = (lake.root / name for name in UNDATED_FILES)
    damage(raw)
    quarantine.unlink()
    assert not lake.run([GOOD, NEVER], FIRST + HOUR)
    assert "delete both and run again" in lake.errors[0]
    raw.unlink()
    assert lake.run(None, FIRST + 2 * HOUR), lake.errors
    assert undated(lake) == [("missing_created_at", NEVER)]


@pytest.mark.parametrize("lost", UNDATED_FILES)
def test_dropped_undated_records_do_not_come_back_because_a_file_is_lost(lake: LakeUnderTest, lost: str) -> None:
    assert lake.run([GOOD, SOON], FIRST)
    with lake.configured():
        drop_undated("tests", RunAll(stamp=FIRST + HOUR).this_run)
    (lake.root / lost).unlink(missing_ok=True)
    assert lake.run(None, FIRST + 2 * HOUR), lake.errors
    assert undated(lake) == []


def test_a_damaged_undated_file_of_the_right_size_is_made_anew_by_force(lake: LakeUnderTest) -> None:
    assert lake.run([GOOD, SOON], FIRST)
    before = lake.files()
    damage(lake.root / UNDATED_FILES[0])
    assert lake.run(None, FIRST + HOUR, force=True), lake.errors
    assert lake.files() == before


def test_undated_records_that_cannot_be_taken_in_stop_no_date(lake: LakeUnderTest) -> None:
    assert lake.run([GOOD, SOON], FIRST)
    for name in UNDATED_FILES:
        damage(lake.root / name)
    more = order("o_9", created_at="2025-01-16T10:00:00Z")
    assert not lake.run([GOOD, more, NEVER], FIRST + HOUR)
    assert sorted(map(str, lake.curated("fact_order"))) == ["2025-01-15", "2025-01-16"]
    assert any("its bytes are not those that were landed" in error for error in lake.summary(FIRST + HOUR)["errors"])


def test_a_record_keeps_the_reason_of_the_map_that_it_came_with(lake: LakeUnderTest) -> None:
    placed = b'{"order_id":"o_3","placed":"soon","amount":1,"items":[]}'
    lake.settings["orders_fields"] = {"created_at": "$.placed"}
    lake.write_dump([GOOD, placed], FIRST)
    assert lake.run(None, FIRST)
    assert undated(lake) == [("missing_created_at", GOOD), ("invalid_created_at", placed)]
    # GOOD has a date by this map, and what is no more in the dump stays as it came
    lake.settings["orders_fields"] = {"created_at": "$.created_at"}
    lake.write_dump([GOOD], FIRST + HOUR)
    assert lake.run(None, FIRST + HOUR)
    assert undated(lake) == [("invalid_created_at", placed)]
