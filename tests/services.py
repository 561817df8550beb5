"""Runs a service of docker-compose.yml in namespaces instead of a container engine; it needs root."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from processes import DEADLINE_SECONDS, REPOSITORY

COMPOSE = REPOSITORY / "docker-compose.yml"
# Docker's own for a tmpfs that says nothing else
TMPFS = "nosuid,nodev,noexec"
LOOPBACK = """
import fcntl, socket, struct, sys
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sH14x", b"lo", 1))
print("up", flush=True)
sys.stdin.read()
"""


def lacking(*programs: str) -> str | None:
    """Why namespaces and these programs cannot be used here; None where they can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [name for name in ("unshare", "nsenter", "setpriv", *programs) if shutil.which(name) is None]
    if missing:
        return f"needs {', '.join(missing)}"
    tried = subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "may not make namespaces"


@contextmanager
def network() -> Iterator[int]:
    """A network with nothing but a loopback in it; the process id that it is entered by."""
    command = ["unshare", "--net", sys.executable, "-c", LOOPBACK]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        yield holder.pid


class Project:
    """A folder with docker-compose.yml's luigi.cfg and data/, its volumes, and the image that its services run."""

    def __init__(self, folder: Path, image: Path, config: dict[str, Any], net: int) -> None:
        self.folder, self._image, self._config, self._net = folder, image, config, net
        self.services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
        shutil.copytree(REPOSITORY / "data", folder / "data")
        shutil.copy(REPOSITORY / "luigi.cfg", folder)
        (folder / "hosts").write_text(f"127.0.0.1 localhost {' '.join(self.services)}\n")

    def volume(self, name: str) -> Path:
        return self.folder / "volumes" / name

    def start(self, name: str, *arguments: str, log: Path, **variables: str) -> subprocess.Popen[bytes]:
        """The service with these arguments, and these variables in compose's environment."""
        service = self.services[name]
        command = [*service.get("entrypoint", self._config["Entrypoint"]), *arguments]
        script = "\n".join([*self._mounts(service), 'exec "$@"'])
        apart = ["nsenter", f"--net=/proc/{self._net}/ns/net", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
        with log.open("ab") as output:
            return subprocess.Popen(
                [*apart, "sh", "-euc", script, "sh", *self._inside(service, command, variables)],
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def is_healthy(self, name: str, running: subprocess.Popen[bytes]) -> bool:
        """What the health check says that the service, or else the image, has, where the service is running."""
        own = self.services[name].get("healthcheck", {"test": self._config["Healthcheck"]["Test"]})
        kind, *test = own["test"]
        command = test if kind == "CMD" else ["sh", "-c", *test]
        first = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        enter = ["nsenter", f"--target={''.join(first)}", "--mount", "--net", "--pid"]
        done = subprocess.run(
            [*enter, *self._inside(self.services[name], command, {})], capture_output=True, check=False, timeout=60
        )
        return done.returncode == 0

    def _inside(self, service: dict[str, Any], command: list[str], variables: dict[str, str]) -> list[str]:
        environment = [*self._config["Env"], *_environment(service, variables)]
        user = _rights(service, self._config)
        return ["chroot", str(self._image), *user, "env", "--chdir=/app", "-i", *environment, *command]

    def _mounts(self, service: dict[str, Any]) -> Iterator[str]:
        """The mounts of the service, made read-only where it says so; /tmp and the like over that."""
        image = self._image
        yield f"mount --bind {image} {image}"
        if service["read_only"]:
            yield f"mount -o remount,bind,ro {image}"
        yield f"mount -t proc proc {image}/proc"
        yield f"mount --rbind /dev {image}/dev"
        yield f"mount --bind {self.folder}/hosts {image}/etc/hosts"
        for entry in service["tmpfs"]:
            place, _, options = entry.partition(":")
            yield f"mkdir -p {image}{place}"
            yield f"mount -t tmpfs -o {TMPFS},{options or 'mode=1777'} tmpfs {image}{place}"
        for entry in service["volumes"]:
            source, place, *mode = entry.split(":")
            path = self.folder / source if source.startswith(".") else self._filled(source, place)
            yield f"mount --bind {path} {image}{place}"
            yield f"mount -o remount,bind,{''.join(mode) or 'rw'} {image}{place}"

    def _filled(self, name: str, place: str) -> Path:
        """A named volume; a new one takes its owner from the folder that it covers."""
        path, covered = self.volume(name), Path(f"{self._image}{place}").stat()
        if not path.exists():
            path.mkdir(parents=True)
            os.chown(path, covered.st_uid, covered.st_gid)
        return path


def _environment(service: dict[str, Any], variables: dict[str, str]) -> Iterator[str]:
    """What compose would hand over: values, ${NAME:-default}, and names that are set."""
    for name, value in service.get("environment", {}).items():
        default = re.fullmatch(r"\$\{\w+:?-(.*)\}", value or "")
        found = variables.get(name, default[1] if default else value)
        if found is not None:
            yield f"{name}={found}"


def _rights(service: dict[str, Any], config: dict[str, Any]) -> list[str]:
    """The user and the capabilities of the service."""
    user = "0:0" if service.get("user") == "root" else config["User"]
    uid, gid = user.split(":")
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    kept = "".join(f",+{name.lower()}" for name in service.get("cap_add", []))
    limits = ["--no-new-privs", "--inh-caps=-all", f"--bounding-set=-all{kept}"]
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", *limits]


def stop(process: subprocess.Popen[Any]) -> None:
    """End a process and all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(DEADLINE_SECONDS)
