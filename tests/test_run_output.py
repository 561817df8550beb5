"""What a run prints at its end: on terminals of 80 and of 120 columns, and where nobody sees colours."""

import datetime as dt
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from depth import deep
from feeds import order
from lake import LakeUnderTest
from msgspec import convert
from terminals import Terminal

from pipeline.observe.brief import Files, brief
from pipeline.observe.counts import DateSummary
from pipeline.observe.history import Summary
from pipeline.observe.problems import Problem
from pipeline.observe.table import rows

AS_OF, HOUR = dt.datetime(2025, 1, 20, 12), dt.timedelta(hours=1)
SENT = [
    order("o_1", amount=1200.5),
    order("o_1", amount=1100, updated_at="2025-01-15T09:00:00Z"),
    order("o_2", amount=7, currency="USD", created_at="2025-01-16"),
    order("o_3", amount="0.125", currency=None, created_at="2025-01-16"),
    order("o_4", created_at="2025-01-16", test=True),
    order("o_5", created_at="2025-01-16"),
    order("o_5", created_at="2025-01-17", updated_at="2025-01-18"),
    order("o_6", created_at="2025-01-17", amount="many"),
    order(..., created_at="2025-01-17"),
    order("o_7", created_at="soon"),
]
EIGHT_DATES = [order(f"o_{day}", created_at=f"2025-01-0{day}") for day in range(1, 9)]
RED, YELLOW, OFF = "\x1b[31m", "\x1b[33m", "\x1b[0m"


@pytest.fixture
def said(lake: LakeUnderTest, capsys: pytest.CaptureFixture[str]):
    """What a command has printed since, with … for the lake's folder."""
    lake.settings["orders_fields"] = {"exclude": "$.test"}
    return lambda: capsys.readouterr().out.replace(str(lake.root.parent), "…")


def text(shown: str) -> str:
    """A page of a test without its first line break and its indentation."""
    return "".join(line[4:] + "\n" for line in shown.split("\n")[1:-1])


# Not on a terminal


def test_a_run_ends_with_its_table_and_six_lines(lake, said):
    assert lake.run(SENT, AS_OF), lake.errors
    assert said() == text("""
    RunAll as of 2025-01-20T12:00:00.000000Z

                                           superseded  superseded
    date        extracted  kept  excluded        here   elsewhere  rows  discarded             what was done
    ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
    2025-01-15          2     1         0           1           0     2  0                     built (not landed)
    2025-01-16          4     2         1           0           1     4  0                     built (not landed)
    2025-01-17          3     2         0           0           0     4  1 missing_order_id    built (not landed)
    undated             1     0         0           0           0     0  1 invalid_created_at  quarantined

    late-arriving dimensions: 0 order(s) with an unknown user, 5 line(s) with an unknown sku; kept

    dates     3 built, 0 skipped, 0 failed
    orders    10 extracted, 5 kept, 1 superseded here, 1 superseded elsewhere
    left out  2 discarded (1 invalid_created_at, 1 missing_order_id), 1 excluded
    money     EUR 1,230.50, USD 7.00, no currency 0.125
    problems  amount: 1 of 6 orders has one that cannot be read at $.amount; the first is in order o_6 of 2025-01-17
    files     summary …/lake/runs/20250120T120000.000000Z.json
    """)


@deep("ends of runs")
def test_a_run_of_eight_dates_ends_without_a_table_unless_it_is_asked_for(lake, said):
    assert lake.run(EIGHT_DATES, AS_OF), lake.errors
    assert said() == text("""
    RunAll as of 2025-01-20T12:00:00.000000Z

    dates     8 built, 0 skipped, 0 failed
    orders    8 extracted, 8 kept, 0 superseded here, 0 superseded elsewhere
    left out  0 discarded, 0 excluded
    money     EUR 240.00
    problems  none
    files     summary …/lake/runs/20250120T120000.000000Z.json
    """)
    assert lake.run(None, AS_OF + HOUR, verbose=True), lake.errors
    long = said().splitlines()
    assert (
        long[5] == "2025-01-01          1     1           0           0     2  0          skipped (settled, complete)"
    )
    assert [line[:10] for line in long[5:13]] == [f"2025-01-0{day}" for day in range(1, 9)]
    assert long[13:15] == ["", "dates     0 built, 8 skipped, 0 failed"]


def test_of_more_than_31_dates_neighbours_with_which_the_same_was_done_share_a_row():
    skipped = DateSummary(built={}, error=None, skipped=True, extracted=2)
    dates = {f"2025-01-{day:02}": skipped for day in range(1, 32)} | {"2025-02-01": skipped, "2025-02-03": skipped}
    dates["2025-01-20"] = DateSummary(built={"raw": "open"}, error=None, extracted=3)
    found = rows(Summary(as_of="2025-02-04T00:00:00.000000Z", dates=dates, checks={}, failed={}))
    assert [(label, len(counted), done) for label, counted, done in found] == [
        ("2025-01-01..19 (19)", 19, "skipped (settled, complete)"),
        ("2025-01-20", 1, "asked again (open), unchanged"),
        ("2025-01-21..31 (11)", 11, "skipped (settled, complete)"),
        ("2025-02-01..03 (2)", 2, "skipped (settled, complete)"),
    ]


@deep("ends of runs")
def test_dates_that_fail_alike_are_one_problem_with_the_command_that_runs_them_again(lake, said):
    assert lake.run(SENT, AS_OF), lake.errors
    said()
    assert not lake.run([order("o_9")], AS_OF + HOUR, force=True)
    shown = said()
    assert "\ndates     0 built, 0 skipped, 3 failed\n" in shown
    assert [line.split()[-1] for line in shown.splitlines() if line.startswith("2025-01-1")] == ["failed"] * 3
    (problem,) = [line for line in shown.splitlines() if line.startswith("problems")]
    assert problem == (
        "problems  2025-01-15..2025-01-17 failed, the first of them with: raw date=2025-01-15: 1 of its 1 landed "
        "order_ids are gone from …/dump.json; expected at most a share of 0.2 ([orders_api] max_vanished_share); if "
        "they are meant to be gone, add --allow-shrink; run again: python -m pipeline --since 2025-01-15 --until "
        "2025-01-18 --force"
    )


@deep("ends of runs")
def test_settled_dates_that_differ_are_a_problem_with_the_command_that_extracts_them(lake, said):
    assert lake.run(SENT, AS_OF), lake.errors
    said()
    assert lake.run([order("o_9", created_at="2025-01-16"), *SENT], AS_OF + HOUR)
    assert (
        "problems  1 settled date(s) differ in the source and were skipped: 2025-01-16; extract them again: "
        "python -m pipeline --since 2025-01-16 --until 2025-01-17 --force\n"
    ) in said()


def test_records_without_a_date_are_a_problem_with_the_command_that_lists_them(lake, said):
    assert lake.run([order("o_1", created_at="soon"), order("o_2", created_at=None)], AS_OF), lake.errors
    assert "python -m pipeline quarantine --reason invalid_created_at,missing_created_at\n" in said()


@deep("ends of runs")
def test_of_many_problems_ten_are_shown(lake, said):
    assert lake.run(SENT, AS_OF), lake.errors
    lines = brief(
        convert(lake.summary(AS_OF), Summary),
        [Problem(f"problem {number}") for number in range(1, 13)],
        Files("runs/x.json"),
    )
    found = [(line.label, line.text) for line in lines if line.label in ("problems", "")]
    assert found[0] == ("problems", "problem 1")
    assert found[9:] == [("", "problem 10"), ("", "and 2 more: see the summary")]


@deep("ends of runs")
def test_dropped_and_erased_dates_end_the_same_way(lake, said):
    assert lake.run(SENT, AS_OF), lake.errors
    lake.drop("2025-01-16", AS_OF + HOUR)
    assert said().splitlines()[-7:] == [
        "",
        "dates     0 built, 0 skipped, 0 failed, 1 dropped",
        "orders    1 extracted, 0 kept, 0 superseded here, 0 superseded elsewhere",
        "left out  1 discarded (1 invalid_created_at), 0 excluded",
        "money     none",
        "problems  none",
        "files     summary …/lake/runs/20250120T130000.000000Z.json",
    ]
    lake.erase("u_1", AS_OF + 2 * HOUR)
    shown = said()
    assert "\nerase as of 2025-01-20T14:00:00.000000Z\n" in shown
    assert "\ndates     2 built, 0 skipped, 0 failed\n" in shown


# Money


@deep("ends of runs")
def test_money_is_not_known_of_dates_that_an_earlier_version_built(lake, said):
    assert lake.run(SENT, AS_OF), lake.errors
    for date, unknown in (("2025-01-15", 1), ("2025-01-16", 2), ("2025-01-17", 3)):
        path = lake.root / f"curated/date={date}/_fact_order.json"
        manifest = json.loads(path.read_text())
        del manifest["counts"]["amounts"]
        path.write_text(json.dumps(manifest))
        assert lake.run(None, AS_OF + unknown * HOUR), lake.errors
    shown = [line[10:] for line in said().splitlines() if line.startswith("money")]
    gap = "not known of {} date(s) that an earlier version built"
    assert shown == [
        "EUR 1,230.50, USD 7.00, no currency 0.125",
        f"EUR 30.00, USD 7.00, no currency 0.125; {gap.format(1)}",
        f"EUR 30.00; {gap.format(2)}",
        gap.format(3),
    ]


def test_the_sums_of_a_date_are_those_of_fact_order_by_the_currency_of_the_order(lake, said):
    assert lake.run([*SENT, order("o_8", currency="", amount=-0.5, items=[])], AS_OF), lake.errors
    with duckdb.connect(str(lake.warehouse), read_only=True) as warehouse:
        rows = warehouse.execute(
            "SELECT CAST(fact.date AS VARCHAR), coalesce(currency, ''), CAST(sum(fact.amount) AS VARCHAR) "
            "FROM fact_order AS fact JOIN orders USING (order_id) GROUP BY ALL HAVING sum(fact.amount) IS NOT NULL"
        ).fetchall()
    held: dict[str, dict[str, str]] = {}
    for date, currency, amount in rows:
        held.setdefault(date, {})[currency] = amount
    assert held == {
        "2025-01-15": {"EUR": "1200.5000", "": "-0.5000"},
        "2025-01-16": {"USD": "7.0000", "": "0.1250"},
        "2025-01-17": {"EUR": "30.0000"},
    }
    assert {date: found["amounts"] for date, found in lake.summary(AS_OF)["dates"].items()} == held


@deep("ends of runs")
def test_orders_that_leave_their_date_take_their_money_along(lake, said):
    assert lake.run([order("o_1", amount=5), order("o_2", amount=7)], AS_OF), lake.errors
    moved = order("o_1", amount=6, created_at="2025-01-16", updated_at="2025-01-18")
    cancelled = order("o_2", amount=7, updated_at="2025-01-18", test=True)
    assert lake.run([moved, cancelled], AS_OF + HOUR, force=True, allow_shrink=True), lake.errors
    sums = [lake.manifest("fact_order", dt.date(2025, 1, day))["counts"]["amounts"] for day in (15, 16)]
    assert sums == [{}, {"EUR": "6.0000"}]


# On a terminal


@pytest.fixture(scope="module")
def terminal() -> Iterator[Terminal]:
    # pytest's own folders have longer names, and so other line breaks
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="lake") as folder:
        lake = LakeUnderTest(Path(folder))
        assert lake.run(SENT, AS_OF), lake.errors
        yield Terminal(lake)


REPROCESS = ("--since", "2025-01-16", "--reprocess", "--run-as-of")


def test_on_80_columns_the_table_is_narrow_and_nothing_but_a_path_or_command_is_wider(terminal):
    assert terminal(80, *REPROCESS, "2025-01-20T13:00:00Z") == text(f"""
    RunAll as of 2025-01-20T13:00:00.000000Z

    date        extracted  kept  superseded  rows  discarded  what was done
    ──────────────────────────────────────────────────────────────────────────────
    2025-01-16          4     3           1     6          0  built (--reprocess)
    2025-01-17          3     2           0     4          1  built (--reprocess)
    undated             1     0           0     0          1  quarantined

    2025-01-17: discarded 1 missing_order_id
    undated: discarded 1 invalid_created_at
    late-arriving dimensions: 0 order(s) with an unknown user, 5 line(s) with an
      unknown sku; kept

    dates     2 built, 0 skipped, 0 failed
    orders    8 extracted, 5 kept, 0 superseded here, 1 superseded elsewhere
    left out  2 discarded (1 invalid_created_at, 1 missing_order_id), 0 excluded
    money     EUR 60.00, USD 7.00, no currency 0.125
    problems  {YELLOW}amount: 1 of 6 orders has one that cannot be read; the first is in{OFF}
    {YELLOW}            order o_6 of 2025-01-17{OFF}
    files     summary /srv/orders-lakes/lake/runs/20250120T130000.000000Z.json
    """)


@deep("ends of runs")
def test_on_120_columns_the_table_has_the_reasons_in_it(terminal):
    assert terminal(120, *REPROCESS, "2025-01-20T14:00:00Z") == text(f"""
    RunAll as of 2025-01-20T14:00:00.000000Z

                                 superseded  superseded
    date        extracted  kept        here   elsewhere  rows  discarded             what was done
    ─────────────────────────────────────────────────────────────────────────────────────────────────────
    2025-01-16          4     3           0           1     6  0                     built (--reprocess)
    2025-01-17          3     2           0           0     4  1 missing_order_id    built (--reprocess)
    undated             1     0           0           0     0  1 invalid_created_at  quarantined

    late-arriving dimensions: 0 order(s) with an unknown user, 5 line(s) with an unknown sku; kept

    dates     2 built, 0 skipped, 0 failed
    orders    8 extracted, 5 kept, 0 superseded here, 1 superseded elsewhere
    left out  2 discarded (1 invalid_created_at, 1 missing_order_id), 0 excluded
    money     EUR 60.00, USD 7.00, no currency 0.125
    problems  {YELLOW}amount: 1 of 6 orders has one that cannot be read; the first is in order o_6 of 2025-01-17{OFF}
    files     summary /srv/orders-lakes/lake/runs/20250120T140000.000000Z.json
    """)


def test_what_failed_is_red_and_without_colours_it_is_the_same_text(terminal):
    terminal.lake.offer([order("o_9")])
    failing = ("--since", "2025-01-15", "--until", "2025-01-16", "--force", "--run-as-of")
    shown = terminal(80, *failing, "2025-01-20T15:00:00Z")
    assert f"  1     2          0  {RED}failed{OFF}\n" in shown
    assert (
        text(f"""
    problems  {RED}raw date=2025-01-15: 1 of its 1 landed order_ids are gone from{OFF}
    {RED}            /srv/orders-lakes/dump.json; expected at most a share of 0.2{OFF}
    {RED}            ([orders_api] max_vanished_share); if they are meant to be gone, add{OFF}
    {RED}            --allow-shrink; run again:{OFF}
    {RED}            python -m pipeline --since 2025-01-15 --until 2025-01-16 --force{OFF}
    """)
        in shown
    )
    plain = terminal(80, *failing, "2025-01-20T16:00:00Z", NO_COLOR="1")
    assert "\x1b" not in plain
    assert plain.replace("T16", "T15") == shown.replace(RED, "").replace(OFF, "")
