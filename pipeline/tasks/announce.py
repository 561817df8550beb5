"""What a run tells of itself: its start; at its end its metrics, a message of what is wrong, or a heartbeat."""

import logging
import os
from datetime import datetime, timedelta

from pipeline import config
from pipeline.events import emit, one_line
from pipeline.lake import Intent, Lake, Run, forget_failed_try
from pipeline.observe import history
from pipeline.observe.alerts import Message, Rules, alert, alert_of_failure
from pipeline.observe.channels import ping, send
from pipeline.observe.settings import unknown
from pipeline.settings.environment import given

ALERT_URLS = "ORDERS_ALERT_URLS"
HEARTBEAT_URL = "ORDERS_HEARTBEAT_URL"


def announce_start(run: Run, since: str | None, changed_since: str | None) -> None:
    """Tell of a RunAll that begins and what it was asked for, and make room for it where it was tried before."""
    tried = history.summary(run.lake, history.summary_name(run.intent.as_of))
    if tried is not None and tried.errors:
        forget_failed_try(run.lake, run.intent)
    # a later error may be about a value that no file has
    variables = ",".join(given()) or None
    emit("run_start", as_of=run.intent.stamp, since=since, changed_since=changed_since, environment=variables)
    for setting in unknown():
        emit("unknown_setting", level=logging.WARNING, reason=setting.found, advice=setting.mend)


def announce(run: Run, error: BaseException | None = None) -> None:
    """Tell of a RunAll: by its summary, if it came so far; the report first."""
    lake, intent = run.lake, run.intent
    name = history.summary_name(intent.as_of)
    summary = history.summary(lake, name)
    if summary is not None and report_to_come(lake) is not None:
        _write_report(run)
    _write_metrics(lake, summary, intent.as_of)
    if summary is not None:
        _tell(lake, intent, alert(summary, lake.files.fetch(name), _rules()))
    elif error is not None:
        announce_failure(lake, intent, "RunAll", error)
    if error is None and os.environ.get(HEARTBEAT_URL):
        ping(os.environ[HEARTBEAT_URL])


def report_to_come(lake: Lake) -> str | None:
    """The path of the report that a RunAll writes after its summary; None when it writes none."""
    if not config.report().after_each_run:
        return None
    # a run without a report does not wait for this to be loaded
    from pipeline.report import REPORT, installed

    return lake.files.fetch(REPORT) if installed() else None


def announce_failure(lake: Lake, intent: Intent, task: str, error: BaseException) -> None:
    """Tell of a task that failed where no summary will."""
    _tell(lake, intent, alert_of_failure(task, one_line(error), intent.stamp))


def _tell(lake: Lake, intent: Intent, message: Message | None) -> None:
    """One message a run, whichever of its processes comes first."""
    urls = os.environ.get(ALERT_URLS)
    if not urls or message is None:
        return
    try:
        lake.files.create(intent.alerted)
    except FileExistsError:
        return
    except OSError:
        # a lake that cannot be written is the first thing to tell
        pass
    send(urls, message)


def _write_metrics(lake: Lake, summary: history.Summary | None, as_of: datetime) -> None:
    path = config.metrics().textfile
    if not path:
        return
    # a run that needs neither this nor the report does not wait for them to be loaded
    from pipeline.observe.metrics import write_metrics

    try:
        write_metrics(path, summary, as_of=as_of, last_success=history.last_success(lake))
    except OSError as error:
        emit("metrics_failed", level=logging.WARNING, reason=f"[metrics] textfile = {path}: {error.strerror}")


def _write_report(run: Run) -> None:
    from pipeline.report import write_report

    try:
        write_report(run)
    # whatever a page about the lake meets in it, the run has ended well or badly by itself
    except Exception as error:  # noqa: BLE001
        emit("report_failed", level=logging.WARNING, reason=one_line(error))


def _rules() -> Rules:
    settings = config.alerts()
    return Rules(
        no_data_after=timedelta(hours=settings.no_data_after_hours),
        max_discard_share=settings.max_discard_share,
        min_discarded=settings.min_discarded,
        settle=timedelta(hours=config.orders_api().settle_hours),
    )
