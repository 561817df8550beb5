"""Whether a scheduler answers where runs look for one."""

import json
import urllib.error
import urllib.request
from urllib.parse import quote

from luigi.configuration import get_config
from luigi.interface import core

from pipeline.observe.diagnosis import ERROR, OK, Diagnosis

SCHEDULER_TIMEOUT_SECONDS = 5
LUIGIS_OWN = ("localhost", 8082)
# luigi knows each of them by two names
ADDRESS_KEYS = tuple(
    name
    for key in ("scheduler_host", "scheduler_port", "scheduler_url")
    for name in (key, f"default-{key.replace('_', '-')}")
)


def scheduler() -> list[Diagnosis]:
    """Whether a luigid answers where runs without --local-scheduler look for one."""
    settings = core()
    url = (settings.scheduler_url or f"http://{settings.scheduler_host}:{settings.scheduler_port}").rstrip("/")
    answer = _luigid(url)
    if answer is None:
        return [Diagnosis(OK, "scheduler", f"luigid at {url}")]
    if settings.local_scheduler:
        return [Diagnosis(OK, "scheduler", f"inside each run, as [core] local_scheduler says; at {url}: {answer}")]
    if not _is_configured(settings):
        text = f"{url}: {answer}, and none is configured; only luigi without --local-scheduler needs one"
        return [Diagnosis(OK, "scheduler", text)]
    start = "[core] default-scheduler-url" if settings.scheduler_url else f"luigid --port {settings.scheduler_port}"
    return [Diagnosis(ERROR, "scheduler", f"{url}: {answer}", f"mend: {start}, or run with --local-scheduler")]


def _is_configured(settings: core) -> bool:
    """Whether somebody has said where the luigid is."""
    given = settings.scheduler_url or (settings.scheduler_host, settings.scheduler_port) != LUIGIS_OWN
    return bool(given) or any(get_config().has_option("core", key) for key in ADDRESS_KEYS)


def _luigid(url: str) -> str | None:
    """What is wrong with a luigid; None when it answers. It is only asked for what runs."""
    if not url.startswith(("http://", "https://")):
        return "not asked, as it is no http address"
    asked = quote(json.dumps({"status": "RUNNING", "upstream_status": ""}))
    try:
        with urllib.request.urlopen(f"{url}/api/task_list?data={asked}", timeout=SCHEDULER_TIMEOUT_SECONDS) as answer:
            return None if "response" in json.load(answer) else "what answers is no luigid"
    except urllib.error.HTTPError as error:
        return f"what answers is no luigid (status {error.code})"
    except ValueError:
        return "what answers is no luigid"
    except OSError as error:
        return f"no answer ({getattr(error, 'reason', error)})"
