"""The luigid that a run needs, unless it has a scheduler of its own."""

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


def address() -> str:
    """Where runs look for a luigid, without a slash at the end."""
    settings = core()
    url: str = settings.scheduler_url or f"http://{settings.scheduler_host}:{settings.scheduler_port}"
    return url.rstrip("/")


def speaks_http(url: str) -> bool:
    """Whether a luigid at this address can be asked; luigi knows sockets of Unix, too."""
    return url.startswith(("http://", "https://"))


def fault(url: str) -> str | None:
    """What is wrong with a luigid; None when it answers. It is only asked for what runs, once, for TIMEOUT_SECONDS."""
    asked = quote(json.dumps({"status": "RUNNING", "upstream_status": ""}))
    try:
        with urllib.request.urlopen(f"{url}/api/task_list?data={asked}", timeout=TIMEOUT_SECONDS) as answer:
            return None if "response" in json.load(answer) else "what answers is no luigid"
    except urllib.error.HTTPError as error:
        return f"what answers is no luigid (status {error.code})"
    except ValueError:
        return "what answers is no luigid"
    except TimeoutError:
        return SLOW
    except OSError as error:
        return f"no answer ({getattr(error, 'reason', error)})"


@cache
def require_luigid() -> None:
    """Raises NoScheduler if luigi's command line leads to a luigid that is not there; luigi itself tries for minutes.

    A luigid that is there but slow is left to luigi. What a program builds with luigi.build is none of ours.
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
