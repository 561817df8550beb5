"""What a run reports: an event at its start; at its end the HTML report, the metrics, an alert and the heartbeat."""

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
    """Log the start of a RunAll and its options.

    If a run with the same as_of failed before, its failure notes are deleted, so that this run tries its dates again.
    """
    tried = history.summary(run.lake, history.summary_name(run.intent.as_of))
    if tried is not None and tried.errors:
        forget_failed_try(run.lake, run.intent)
    # a later error may be about a value that comes from an environment variable and is in no file
    variables = ",".join(given()) or None
    emit("run_start", as_of=run.intent.stamp, since=since, changed_since=changed_since, environment=variables)
    for setting in unknown():
        emit("unknown_setting", level=logging.WARNING, reason=setting.found, advice=setting.mend)


def announce(run: Run, error: BaseException | None = None) -> None:
    """Write the report and the metrics of a RunAll, send an alert if something is wrong, and send the heartbeat.

    Report and alert are made from the run's summary. A run that failed before its summary has no report, and its alert
    is made from `error`. The heartbeat is sent only if there is no `error`.
    """
    lake, intent = run.lake, run.intent
    name = history.summary_name(intent.as_of)
    summary = history.summary(lake, name)
    if summary is not None and report_to_come(lake) is not None:
        _write_report(run)
    _write_metrics(lake, summary, intent.as_of)
    if summary is not None:
        _send_once(lake, intent, alert(summary, lake.files.fetch(name), _rules()))
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
    """Send an alert about a task that failed and has no summary."""
    _send_once(lake, intent, alert_of_failure(task, one_line(error), intent.stamp))


def _send_once(lake: Lake, intent: Intent, message: Message | None) -> None:
    """Send the message, unless a process of the same run has sent one already."""
    urls = os.environ.get(ALERT_URLS)
    if not urls or message is None:
        return
    try:
        lake.files.create(intent.alerted)
    except FileExistsError:
        return
    except OSError:
        # a lake that cannot be written is itself a reason for an alert
        pass
    send(urls, message)


def _write_metrics(lake: Lake, summary: history.Summary | None, as_of: datetime) -> None:
    path = config.metrics().textfile
    if not path:
        return
    # imported here, because importing takes time and most runs write no metrics; the report below likewise
    from pipeline.observe.metrics import write_metrics

    try:
        write_metrics(path, summary, as_of=as_of, last_success=history.last_success(lake))
    except OSError as error:
        emit("metrics_failed", level=logging.WARNING, reason=f"[metrics] textfile = {path}: {error.strerror}")


def _write_report(run: Run) -> None:
    from pipeline.report import write_report

    try:
        write_report(run)
    # no error of the report may change the result of the run
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
