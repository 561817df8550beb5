"""Writes the figures of the last run as a Prometheus textfile, for node_exporter's textfile collector."""

from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from pipeline.observe.health import field_counts
from pipeline.observe.history import Summary, made

PREFIX = "orders_lake"
RESULTS = ("extracted", "kept", "superseded_here", "superseded_elsewhere", "excluded")


def write_metrics(path: str, summary: Summary | None, *, as_of: datetime, last_success: datetime | None) -> None:
    """Replace the textfile atomically. `summary` is None if the run failed before it had one. Times are naive UTC.

    The figures are those of the partitions that the run built; Prometheus keeps the history. Raises OSError.
    """
    registry = CollectorRegistry()
    gauge = _Gauges(registry)
    failed = summary is None or bool(summary.errors)
    gauge("last_run_timestamp_seconds", "when the last run began", _epoch(as_of))
    gauge("last_run_failed", "1 if the last run ended with an error", int(failed))
    if last_success is not None:
        gauge("last_success_timestamp_seconds", "when the last run without an error began", _epoch(last_success))
    if summary is not None:
        _of_run(gauge, summary, as_of)
    write_to_textfile(path, registry)


class _Gauges:
    """Makes gauges in one registry. A dict of values makes a gauge with a label."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def __call__(self, name: str, description: str, value: float | dict[str, int], label: str = "") -> None:
        made = Gauge(f"{PREFIX}_{name}", description, [label] if label else [], registry=self._registry)
        if isinstance(value, dict):
            for key, number in value.items():
                made.labels(key).set(number)
        else:
            made.set(value)


def _of_run(gauge: _Gauges, summary: Summary, as_of: datetime) -> None:
    if summary.seconds is not None:
        gauge("run_duration_seconds", "how long the last run took", summary.seconds)
    gauge("run_partitions", "dates of the last run by their outcome", summary.results, "result")
    built = summary.built
    orders = {name: getattr(built, name) for name in RESULTS}
    gauge("run_orders", "records in the partitions that the last run built", orders, "result")
    gauge("run_discarded_orders", "discarded records of the last run by reason", built.reasons, "reason")
    fields = field_counts(made(summary.dates, summary.undated).values())
    absent, unreadable = (
        {name: getattr(found, kind) for name, found in fields.items()} for kind in ("absent", "unreadable")
    )
    gauge("run_absent_values", "absent values in the orders that the last run built", absent, "field")
    gauge("run_unreadable_values", "unreadable values in the orders that the last run built", unreadable, "field")
    gauge("run_api_retries", "requests that the last run had to repeat", summary.api.retries or {}, "kind")
    newest = summary.newest_settled_date
    if newest is not None:
        end = datetime.fromisoformat(newest) + timedelta(days=1)
        gauge("newest_settled_date_end_timestamp_seconds", "end of the newest date that is settled", _epoch(end))
        gauge("freshness_seconds", "from the newest settled date's end to the last run", (as_of - end).total_seconds())


def _epoch(instant: datetime) -> float:
    return instant.replace(tzinfo=UTC).timestamp()
