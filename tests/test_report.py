"""The report in a real headless Chromium: what it shows, that it requests nothing, and what it costs to write."""

import datetime as dt
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from depth import deep
from feeds import order
from lake import LakeUnderTest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from pipeline.engine.connection import Engine
from pipeline.errors import ExtraMissing
from pipeline.lake.lake import Lake
from pipeline.lake.run import Intent, Run
from pipeline.report import drawing, write, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
IN_MEMORY = {"memory_limit": "512MB", "threads": 1, "temp_directory": ""}
AS_OF = dt.datetime(2025, 1, 20, 12)
LATER = AS_OF + dt.timedelta(hours=1)
HOSTILE = "</script><script>document.title = 'hacked'</script><img src=x onerror=\"document.title = 'hacked'\">"
FACETS = ["category", "country", "sku"]
EVERY_CHART = sorted(
    ["amount", "calendar", *FACETS, "discards", "fields", "late", "moved", "orders", "overview", "runs"]
)
TRADE = [
    # so long ago that there are dates to choose from
    order("o_0", amount=None, created_at="2024-12-01", currency=None, items=[]),
    order("o_1", amount=30),
    order("o_2", amount=12, currency="USD", user_id="u_9"),
    order("o_3", amount=500, created_at="2025-01-16", items=[{"sku": HOSTILE, "qty": 1, "price": 500}]),
    order("o_4", amount=None, created_at="2025-01-16", currency=None, items=[]),
    order("o_5", amount=7, created_at="2025-01-16T09:00:00Z", updated_at="2025-01-18T09:00:00Z"),
    order("o_6", amount=8, created_at="2025-01-16"),
    order("o_6", amount=9, created_at="2025-01-18", updated_at="2025-01-18T12:00:00Z"),
    order(None, created_at="2025-01-16"),
    b"broken {",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium found; apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def kept_charts(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The script and the charts that reports keep in their lakes: seconds of work, and the same for all."""
    lake = Lake(tmp_path_factory.mktemp("charts"), fsync=False)
    with lake.work.locked():
        drawing.drawing(lake)
    return Path(lake.files.fetch(drawing.CACHE)).read_bytes()


class Reporter:
    """Writes the report of a lake; `read` are the dates of which the last one has read orders."""

    def __init__(self, lake: LakeUnderTest, kept_charts: bytes) -> None:
        self.lake, self.kept_charts = lake, kept_charts
        self.read: set[str] = set()

    def __call__(self, as_of: dt.datetime = LATER) -> Path:
        kept = self.lake.root / drawing.CACHE
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(self.kept_charts)
        self.read = set()
        lake = Lake(self.lake.root, fsync=False)
        return Path(write_report(Run(lake, Intent(as_of), lambda: NotingEngine(self.read))))


@pytest.fixture
def report(lake: LakeUnderTest, kept_charts: bytes) -> Reporter:
    return Reporter(lake, kept_charts)


class NotingEngine(Engine):
    """An engine that notes of which dates it is given files."""

    def __init__(self, noted: set[str]) -> None:
        super().__init__(**IN_MEMORY)
        self.noted = noted
        self.registered: list[str] = []

    def register_files(self, table: Any, paths: Any, name: Any = None) -> None:
        self.registered = re.findall(r"date=([\d-]+)", str(paths))
        super().register_files(table, paths, name)

    def query(self, name: str, values: Any = None) -> Any:
        if name == "report/date_figures":
            self.noted |= set(self.registered)
        return super().query(name, values)


class Opened:
    """The report in a browser, and what the browser said and asked for meanwhile."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.set_default_timeout(10_000)
        page.on("console", lambda message: self.said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.context.route(
            re.compile(r"^(?!file:)"), lambda route: (self.asked.append(route.request.url), route.abort())
        )
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(path.as_uri())
        self.drawn()

    def drawn(self) -> list[str]:
        """The charts that are drawn."""
        self.page.wait_for_selector("html[data-drawn]", state="attached")
        return self.page.evaluate("document.documentElement.dataset.drawn").split()

    def marks(self, chart: str) -> int:
        """How many bars, squares or areas a chart shows."""
        return self.page.locator(f"#{chart} svg :is(.mark-rect, .mark-bar, .mark-area) path").count()

    def text(self, selector: str) -> str:
        return " ".join(self.page.locator(selector).first.inner_text().split())

    def table(self, name: str) -> list[list[str]]:
        cells = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        return self.page.locator(f"[aria-label='{name}'] tbody tr").evaluate_all(cells)

    def rows(self, chart: str) -> list[dict[str, Any]]:
        """The rows that the chart was given."""
        return self.page.evaluate(f"rows['{chart}']")


@pytest.fixture
def opened(browser: Browser):
    """Opens a report, at a width and in a colour scheme."""
    contexts = []

    def open_report(path: Path, width: int = 1280, scheme: Any = "light") -> Opened:
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        return Opened(contexts[-1].new_page(), path)

    yield open_report
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def trade_report(tmp_path_factory: pytest.TempPathFactory, kept_charts: bytes) -> Path:
    """The report on a lake of four dates with two currencies, and orders that moved, came late or did not pass."""
    lake = LakeUnderTest(tmp_path_factory.mktemp("trade"))
    assert lake.run(TRADE, AS_OF)
    add_to_summary(lake, seconds=2.5)
    return Reporter(lake, kept_charts)()


@pytest.fixture(scope="module")
def trade(browser: Browser, trade_report: Path) -> Iterator["Opened"]:
    """That report, opened once for the tests that only read it."""
    context = browser.new_context()
    yield Opened(context.new_page(), trade_report)
    context.close()


def add_to_summary(lake: LakeUnderTest, **found: Any) -> None:
    """Have the summary of the run of AS_OF say something else."""
    path = lake.root / f"runs/{AS_OF:%Y%m%dT%H%M%S.%fZ}.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | found))


ODD = deep("looks of the report")


@pytest.mark.parametrize(
    ("width", "scheme"),
    [(1280, "light"), *(pytest.param(*look, marks=ODD) for look in [(360, "dark"), (1280, "dark"), (360, "light")])],
)
def test_the_report_draws_its_charts_at_any_width_and_in_both_modes_and_asks_nobody(
    trade_report, opened, width, scheme
):
    page = opened(trade_report, width, scheme)
    assert page.drawn() == EVERY_CHART
    assert {chart: page.marks(chart) > 0 for chart in EVERY_CHART} == dict.fromkeys(EVERY_CHART, True)
    assert page.said == []
    assert page.asked == [trade_report.as_uri()]
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page.page).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found if rule["impact"] in ("serious", "critical")] == []


def test_the_charts_follow_the_colour_scheme(trade_report, opened):
    page = opened(trade_report)
    assert page.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(247, 247, 245)"
    bright = page.page.locator("#orders svg").inner_html()
    page.page.evaluate("delete document.documentElement.dataset.drawn")
    page.page.emulate_media(color_scheme="dark")
    assert page.drawn()
    assert page.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    assert page.page.locator("#orders svg").inner_html() != bright


def test_the_headline_counts_orders_dates_and_discards_and_says_how_fresh_the_lake_is(trade):
    told = trade.text(".headline")
    assert "Newest date 2025-01-18 1 order, settled" in told
    assert "Orders 7 on 4 dates" in told
    assert "Discarded 2 20.0% of 10 records" in told
    days = (dt.datetime.now(dt.UTC) - dt.datetime(2025, 1, 19, tzinfo=dt.UTC)).days
    assert f"Freshness {days:,} days since 2025-01-19 00:00" in told


def test_amounts_of_several_currencies_are_never_added_up(trade):
    page = trade
    assert page.table("Totals by currency") == [
        ["EUR", "4", "546.00"],
        ["USD", "1", "12.00"],
        ["no currency", "2", "–"],
    ]
    assert page.table("By month") == [
        ["2025-01", "EUR", "4", "546.00", "1", "1", "1"],
        ["", "USD", "1", "12.00", "", "", ""],
        ["", "no currency", "1", "–", "", "", ""],
        ["2024-12", "no currency", "1", "–", "0", "0", "0"],
    ]
    assert {(row["date"], row["series"], row["amount"]) for row in page.rows("orders")} == {
        ("2025-01-15", 0, 30), ("2025-01-15", 1, 12), ("2025-01-16", 0, 507), ("2025-01-16", 2, None),
        ("2025-01-18", 0, 9), ("2024-12-01", 2, None),
    }  # fmt: skip


def test_moved_late_and_discarded_records_are_counted_on_their_dates(trade):
    page = trade
    assert [(row["date"], row["records"]) for row in page.rows("moved")] == [("2025-01-16", 1)]
    assert [(row["date"], row["records"]) for row in page.rows("late")] == [("2025-01-16", 1)]
    assert [(row["date"], row["reason"]) for row in page.rows("discards")] == [("2025-01-16", "missing_order_id")]
    assert page.table("Discarded records") == [["malformed_json", "1", "1"], ["missing_order_id", "1", "0"]]


def test_countries_categories_and_skus_have_the_amounts_of_the_chosen_currency(trade_report, opened):
    page = opened(trade_report)

    def amounts(facet: str, currency: int) -> list[tuple[str, float]]:
        return [(row["name"], row["amount"]) for row in page.rows(facet) if row["series"] == currency]

    assert {facet: amounts(facet, 0) for facet in FACETS} == {
        "country": [("DE", 546)],
        "category": [("unknown", 530.6667), ("kitchen", 15.3333)],
        "sku": [(HOSTILE, 500), ("s_2", 30.6667), ("s_1", 15.3333)],
    }
    assert amounts("country", 1) == [("unknown", 12)]
    page.page.get_by_role("radio", name="USD").check()
    assert page.text("#sales ~ p").startswith("The newest 4 dates, in USD.")
    expect(page.page.locator("#country")).to_contain_text("12.00")


def test_text_from_orders_can_do_no_harm(trade):
    page = trade
    assert page.page.title() == "Orders lake"
    assert page.page.locator("img").count() == 0
    page.page.locator("#sku svg .mark-rect path, #sku svg .mark-bar path").first.hover()
    expect(page.page.locator("#vg-tooltip-element")).to_contain_text(HOSTILE)
    assert page.page.title() == "Orders lake"
    assert page.page.locator("img").count() == 0
    assert page.said == []


@deep("looks at the report")
def test_dragging_over_the_strip_chooses_the_dates_of_the_other_charts(lake, report, opened):
    assert lake.run([order(f"o_{n}", created_at=f"2024-{n:02}-15") for n in range(1, 13)], AS_OF)
    page = opened(report())
    assert page.text("#bars").startswith("2024-09-16 to 2024-12-15, one bar for each day")
    box = page.page.locator("#overview svg").bounding_box()
    page.page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 20)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 20, steps=4)
    page.page.mouse.up()
    expect(page.page.locator("#bars")).to_contain_text("one bar for each 7 days")
    assert page.page.locator("input[name=range]:checked").count() == 0


@deep("looks at the report")
def test_a_date_that_failed_stands_first_with_its_error_and_the_command_that_runs_it_again(lake, report, opened):
    assert lake.run([order("o_1"), order("o_2", created_at="2025-01-16")], AS_OF)
    landed = lake.root / "raw/date=2025-01-16/orders_raw.json"
    landed.write_bytes(b"x" * landed.stat().st_size)
    assert not lake.run(None, LATER, reprocess=True)
    page = opened(report(LATER))
    assert "Last run failed" in page.text(".headline")
    assert "The last run failed: raw/date=2025-01-16/orders_raw.json: its bytes are not those" in page.text(
        "#attention + ul"
    )
    assert "Failed in their last run: 2025-01-16 python -m pipeline --since 2025-01-16" in page.text("#attention + ul")
    assert states(page) == {"2025-01-15": "built", "2025-01-16": "failed"}


@deep("looks at the report")
def test_the_calendar_tells_what_was_built_when_and_which_dates_are_missing(lake, report, opened):
    assert lake.run([order("o_1", created_at="2025-01-12"), order("o_2")], AS_OF)
    assert lake.run([order("o_1", created_at="2025-01-12"), order("o_2"), order("o_3", created_at="2025-01-14")], LATER)
    page = opened(report())
    missing = {"2025-01-13": "absent"}
    assert states(page) == {"2025-01-12": "earlier", "2025-01-14": "built", "2025-01-15": "earlier"} | missing
    shutil.rmtree(lake.root / "runs")
    assert set(states(opened(report())).values()) == {"skipped", "absent"}


def states(page: Opened) -> dict[str, str]:
    return {row["date"]: row["state"] for row in page.rows("calendar") if row.get("state") not in ("outside", None)}


@deep("looks at the report")
def test_a_partition_that_cannot_be_read_is_named_and_the_others_are_shown(lake, report, opened):
    assert lake.run(TRADE, AS_OF)
    path = lake.root / "curated/date=2025-01-15/fact_order.parquet"
    path.write_bytes(b"x" * path.stat().st_size)
    (lake.root / "curated/date=2025-01-18/fact_order.parquet").unlink()
    page = opened(report())
    assert "Incomplete: 2025-01-15,2025-01-18" in page.text("#attention + ul")
    assert {row["date"] for row in page.rows("orders")} == {"2024-12-01", "2025-01-16"}


def test_an_empty_lake_has_a_report_that_says_so(lake, report, opened):
    page = opened(report())
    assert page.said == []
    assert page.drawn() == []
    assert "the lake is empty" in page.text(".headline")
    assert "Nothing needs attention." in page.text("main")


@deep("looks at the report")
def test_a_lake_of_one_date_without_dimensions_has_its_charts(lake, report, opened):
    assert lake.run([order("o_1")], AS_OF)
    for name in ("dim_user", "dim_product"):
        (lake.root / f"curated/{name}.parquet").unlink()
    page = opened(report())
    assert page.said == []
    assert [row["name"] for row in page.rows("country")] == ["unknown"]
    assert page.marks("orders") == 1
    assert page.text("#late") == "Nothing to draw."
    assert not page.page.locator("#overview, #range").first.is_visible()


@deep("looks at the report")
def test_runs_stand_with_their_duration_and_state(lake, report, opened):
    assert lake.run([order("o_1")], AS_OF)
    add_to_summary(lake, seconds=83.4, errors=["the disk is full"])
    page = opened(report())
    assert page.table("The newest runs") == [["2025-01-20 12:00", "failed", "1 min", "1", "0", "0"]]
    assert page.text("#attention + ul") == "The last run failed: the disk is full"


def test_a_file_among_the_summaries_that_is_none_is_left_out(lake, report):
    assert lake.run(TRADE, AS_OF)
    before = report().read_bytes()
    for minute, content in enumerate(["[]", "{}", "not JSON", '{"as_of": 1, "dates": [], "seconds": "long"}'], 1):
        (lake.root / f"runs/20250120T120{minute}00.000000Z.json").write_text(content)
    (lake.root / "runs/notes.json").write_text('{"errors": ["none of ours"]}')
    assert report().read_bytes() == before


# What writing it costs


@deep("looks at the report")
def test_only_dates_that_have_changed_are_read_again(lake, report):
    assert lake.run(TRADE, AS_OF)
    report()
    assert report.read == {"2024-12-01", "2025-01-15", "2025-01-16", "2025-01-18"}
    report()
    assert report.read == set()
    assert lake.run([*TRADE, order("o_7", created_at="2025-01-17")], LATER)
    report()
    assert report.read == {"2025-01-17"}
    lake.users_csv.write_text("user_id,email,created_at,country\nu_1,ada@example.org,,AT\n")
    assert lake.run(None, LATER + dt.timedelta(hours=1))
    assert '"AT"' in report().read_text()
    assert report.read == set()


@deep("looks at the report")
def test_a_report_of_changed_dates_equals_one_made_from_nothing(lake, report):
    assert lake.run(TRADE, AS_OF)
    report()
    assert lake.run([*TRADE, order("o_2", created_at="2025-01-17", amount=99, currency="USD")], LATER)
    after = report().read_bytes()
    (lake.root / write.CACHE).unlink()
    assert report().read_bytes() == after
    assert lake.litter() == []


@deep("looks at the report")
def test_the_size_of_the_report_grows_with_dates_and_not_with_orders(lake, report):
    assert lake.run([order("o_1", amount=1)], AS_OF)
    small = len(report().read_bytes())
    assert lake.run([order(f"o_{n}", amount=1) for n in range(2000)], LATER, force=True)
    assert len(report().read_bytes()) - small < 500


@pytest.mark.parametrize("wanted", [pytest.param(True, marks=ODD), False])
def test_a_run_ends_with_the_report_also_when_it_fails(lake, report, wanted):
    lake.settings["report"] = {"after_each_run": wanted}
    assert lake.run([order("o_1")], AS_OF)
    (lake.root / "report.html").unlink(missing_ok=True)
    lake.dump.write_text("[{")
    lake.products_csv.write_bytes(b"\xff\xfe")
    assert not lake.run(None, LATER, reprocess=True)
    assert (lake.root / "report.html").is_file() == wanted


@deep("looks at the report")
def test_a_report_that_cannot_be_written_fails_no_run(lake, caplog):
    lake.settings["report"] = {"after_each_run": True}
    (lake.root / "report.html").mkdir(parents=True)
    assert lake.run([order("o_1")], AS_OF), lake.errors
    assert "event=report_failed" in caplog.text


def test_what_makes_the_page_is_loaded_only_for_a_report():
    loaded = "import sys, pipeline.__main__; print([m for m in ('altair', 'jinja2', 'vl_convert') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_without_the_extra_the_error_names_what_to_install(report, monkeypatch):
    assert drawing.installed()
    monkeypatch.setattr(drawing, "PACKAGES", ("altair", "no-such-package"))
    assert not drawing.installed()
    with pytest.raises(ExtraMissing, match=r"no-such-package is not installed; run pip install"):
        report()
