"""Checks that luigid answers, for a run that needs it. A run with a local scheduler needs none."""

import json
import urllib.error
import urllib.request
from functools import cache
from urllib.parse import quote

from luigi.cmdline_parser import CmdlineParser
from luigi.interface import core

from pipeline.errors import NoScheduler

TIMEOUT_SECONDS = 5
SLOW = f"no answer within {TIMEOUT_SECONDS} s"
NO_LUIGID = "another program than luigid answers"


def address() -> str:
    """The address of luigid by luigi's settings, without a slash at the end."""
    settings = core()
    url: str = settings.scheduler_url or f"http://{settings.scheduler_host}:{settings.scheduler_port}"
    return url.rstrip("/")


def speaks_http(url: str) -> bool:
    """Whether the address is one of HTTP. Luigi accepts Unix sockets, too, which this module does not check."""
    return url.startswith(("http://", "https://"))


def fault(url: str) -> str | None:
    """What is wrong with the luigid at `url`; None when it answers. Sends one request: the list of running tasks.

    Call it only if speaks_http(url).
    """
    asked = quote(json.dumps({"status": "RUNNING", "upstream_status": ""}))
    tasks = f"{url}/api/task_list?data={asked}"
    try:
        with urllib.request.urlopen(tasks, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  callers check the scheme
            return None if "response" in json.load(answer) else NO_LUIGID
    except urllib.error.HTTPError as error:
        return f"{NO_LUIGID} (status {error.code})"
    except ValueError:
        return NO_LUIGID
    except TimeoutError:
        return SLOW
    except OSError as error:
        return f"no answer ({getattr(error, 'reason', error)})"


@cache
def require_luigid() -> None:
    """Raises NoScheduler if luigi's command line needs a luigid that does not answer. Luigi itself tries for minutes.

    A luigid that answers too slowly is no error here: luigi goes on trying. Tasks of luigi.build are not checked.
    """
    if CmdlineParser.get_instance() is None or core().local_scheduler:
        return
    url = address()
    found = fault(url) if speaks_http(url) else None
    if found not in (None, SLOW):
        raise NoScheduler(
            f"{url}: {found}; expected a luigid; start `luigid`, set [core] scheduler_host and scheduler_port, "
            "or run with --local-scheduler"
        )
