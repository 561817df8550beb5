"""Examines whether a scheduler answers at the address that runs use."""

from luigi.configuration import get_config
from luigi.interface import core

from pipeline.observe.diagnosis import ERROR, OK, Diagnosis
from pipeline.tasks.scheduler import address, fault, speaks_http

LUIGIS_OWN = ("localhost", 8082)
# luigi accepts two names for each key
ADDRESS_KEYS = tuple(
    name
    for key in ("scheduler_host", "scheduler_port", "scheduler_url")
    for name in (key, f"default-{key.replace('_', '-')}")
)


def scheduler() -> list[Diagnosis]:
    """Examine whether a luigid answers at the address that runs without --local-scheduler use."""
    settings = core()
    url = address()
    answer = fault(url) if speaks_http(url) else "not asked, because it is not an http address"
    if answer is None:
        return [Diagnosis(OK, "scheduler", f"luigid at {url}")]
    if settings.local_scheduler:
        return [Diagnosis(OK, "scheduler", f"inside each run, as [core] local_scheduler says; at {url}: {answer}")]
    if not _is_configured(settings):
        text = f"{url}: {answer}, and none is configured; only luigi without --local-scheduler needs one"
        return [Diagnosis(OK, "scheduler", text)]
    own = f"luigid --port {settings.scheduler_port}"
    start = "correct [core] default-scheduler-url" if settings.scheduler_url else own
    return [Diagnosis(ERROR, "scheduler", f"{url}: {answer}", f"mend: {start}, or run with --local-scheduler")]


def _is_configured(settings: core) -> bool:
    """Whether a setting gives the address of the luigid."""
    given = settings.scheduler_url or (settings.scheduler_host, settings.scheduler_port) != LUIGIS_OWN
    return bool(given) or any(get_config().has_option("core", key) for key in ADDRESS_KEYS)
