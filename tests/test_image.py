"""Builds the real Dockerfile with buildah and runs the services of docker-compose.yml from it; for the deep run.

The test asks no registry. A Debian from debootstrap takes the place and the name of Docker's Python image, so Python
is 3.11 here. During the build, pip finds the packages that this machine's pip has downloaded before.
"""

import configparser
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from central import until
from depth import deep
from processes import DEADLINE_SECONDS, REPOSITORY
from services import Project, lacking, network, stop

WHY_NOT = lacking("buildah", "debootstrap")
pytestmark = [deep("tests of the image"), pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))]

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
BASE_PYTHON = "3.11"
USER = 1000
SECRET = "s3cret-that-nobody-may-see"
NOT_PART = shutil.ignore_patterns(".git", ".venv*", ".*_cache", "output", "duckdb_db", "*.egg-info", "build")


class Image:
    """The built image: its files, and what it says of itself."""

    def __init__(self, buildah: Callable[..., str]) -> None:
        self.buildah, self.container = buildah, buildah("from", "--pull-never", "orders-lake").strip()
        self.files = Path(buildah("mount", self.container).strip())
        self.config: dict[str, Any] = json.loads(buildah("inspect", self.container))["Docker"]["config"]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    folder = tmp_path_factory.mktemp("image")
    store = ["--storage-driver", "vfs", "--root", str(folder / "store"), "--runroot", str(folder / "run")]

    def buildah(*words: str) -> str:
        return said("buildah", *store, *words)

    try:
        make_base(folder / "base", buildah)
        download_packages(folder / "packages")
        build(folder, buildah)
        yield Image(buildah)
    finally:
        shutil.rmtree(folder)


def said(*command: str) -> str:
    """What a command writes to stdout. Raises AssertionError, with all that it wrote, when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def make_base(folder: Path, buildah: Callable[..., str]) -> None:
    """A Debian with Python, tagged as the Dockerfile's base."""
    (base,) = set(re.findall(r"^FROM (python:\S+)", DOCKERFILE, re.M))
    said("debootstrap", "--variant=minbase", "--include=python3,python3-venv", "bookworm", str(folder))
    (folder / "usr/bin/python").symlink_to("python3")
    container = buildah("from", "scratch").strip()
    buildah("add", "--quiet", container, str(folder), "/")
    buildah("commit", "--quiet", "--rm", container, f"docker.io/library/{base}")


def download_packages(folder: Path) -> None:
    """What the image will install, as wheels, from wherever this machine's pip gets its packages."""
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    (extras,) = re.findall(r"^ARG EXTRAS=(\S+)$", DOCKERFILE, re.M)
    wanted = ["setuptools", *setup["options"]["install_requires"].split("\n")]
    for extra in extras.split(","):
        wanted += setup["options.extras_require"][extra].split("\n")
    packages = [name for name in wanted if name and not name.startswith("#")]
    target = ["--only-binary=:all:", f"--python-version={BASE_PYTHON}", f"--dest={folder}"]
    constraints = f"--constraint={REPOSITORY / 'constraints.txt'}"
    said(sys.executable, "-m", "pip", "download", "--quiet", constraints, *target, *packages)


def build(folder: Path, buildah: Callable[..., str]) -> None:
    """The real Dockerfile, from a checkout in which secrets lie about."""
    checkout = folder / "checkout"
    shutil.copytree(REPOSITORY, checkout, ignore=NOT_PART)
    (checkout / ".env").write_text(f"ORDERS_API_TOKEN={SECRET}\n")
    (checkout / "output").mkdir()
    (checkout / "output" / "orders.json").write_text(SECRET)
    (folder / "pip.conf").write_text("[global]\nno-index = true\nfind-links = /packages\n")
    mounts = [f"--volume={folder}/packages:/packages:ro", f"--volume={folder}/pip.conf:/etc/pip.conf:ro"]
    way = ["--isolation=chroot", "--pull-never", "--format=docker"]
    buildah("bud", *way, *mounts, "--tag=orders-lake", str(checkout))


@pytest.fixture
def project(tmp_path: Path, image: Image) -> Iterator[Project]:
    tmp_path.chmod(0o755)
    with network() as net:
        yield Project(tmp_path, image.files, image.config, net)


@pytest.fixture
def start(project: Project) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Services that are ended with the test."""
    running = []

    def start(name: str, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        running.append(project.start(name, *arguments, log=project.folder / f"{name}.log", **variables))
        return running[-1]

    yield start
    for process in running:
        stop(process)


def log_of(project: Project, name: str) -> str:
    return (project.folder / f"{name}.log").read_text()


def wait_until_healthy(project: Project, name: str, process: subprocess.Popen[bytes]) -> None:
    def healthy() -> bool:
        assert process.poll() is None, log_of(project, name)
        return project.is_healthy(name, process)

    until(healthy)


def owners(folder: Path) -> set[int]:
    return {path.stat().st_uid for path in folder.rglob("*")}


def test_a_run_in_the_image_writes_the_lake_as_the_user_without_rights(image):
    image.buildah("run", "--isolation=chroot", image.container, "--", *image.config["Entrypoint"], *image.config["Cmd"])
    lake = image.files / "app/output"
    assert len(list(lake.glob("curated/date=*/fact_order.parquet"))) == 4
    assert owners(lake) == owners(image.files / "app/duckdb_db") == {USER}


def test_app_writes_its_volumes_under_luigid_with_a_read_only_root_and_no_capability(project, start):
    luigid = start("luigid")
    wait_until_healthy(project, "luigid", luigid)
    app = start("app", "RunAll", "--since", "2025-01-15T00:00:00Z")
    assert app.wait(DEADLINE_SECONDS) == 0, log_of(project, "app")
    assert len(list(project.volume("output").glob("curated/date=*/fact_order.parquet"))) == 4
    assert (project.volume("duckdb_db") / "warehouse.db").is_file()
    assert owners(project.volume("output")) == {USER}


def test_a_run_can_write_nothing_but_its_volumes_and_has_no_capability(project, start):
    project.services["app"]["entrypoint"] = [
        "sh",
        "-c",
        "touch output/ok /tmp/ok; touch here; grep Cap /proc/self/status",
    ]
    assert start("app").wait(DEADLINE_SECONDS) == 0
    assert "touch: cannot touch 'here': Read-only file system" in log_of(project, "app")
    assert set(re.findall(r"Cap\w+:\t(\w+)", log_of(project, "app"))) == {"0" * 16}
    assert (project.volume("output") / "ok").stat().st_uid == USER


def test_cron_runs_the_job_as_app_with_the_environment_of_the_container(project, start):
    luigi_cfg = project.folder / "luigi.cfg"
    api = "url = http://mock-shop:8484/orders\nauth = bearer\nallow_insecure = true\nstart_date = 2025-01-15\n"
    luigi_cfg.write_text(luigi_cfg.read_text().replace("url = data/api_orders.json\n", api))
    secret = 'it\'s a $ecret with "quotes" and a \\'
    project.services["mock-shop"]["environment"] = {"MOCK_TOKEN": secret}
    mock_shop = start("mock-shop", "--token-env", "MOCK_TOKEN")
    for name, process in (("luigid", start("luigid")), ("mock-shop", mock_shop)):
        wait_until_healthy(project, name, process)
    cron = start("cron", ORDERS_SCHEDULE="* * * * *", ORDERS_SINCE="2025-01-15", ORDERS_API_TOKEN=secret)

    def run_ended() -> bool:
        assert cron.poll() is None, log_of(project, "cron")
        return "event=run_end" in log_of(project, "cron")

    until(run_ended)
    assert "failed=0" in log_of(project, "cron")
    assert secret not in log_of(project, "cron")
    assert len(list(project.volume("output").glob("curated/date=2025-01-1[5-8]/fact_order.parquet"))) == 4
    assert owners(project.volume("output")) == {USER}
    assert project.is_healthy("cron", cron)


def test_a_schedule_that_cron_would_ignore_stops_the_service(project, start):
    cron = start("cron", ORDERS_SCHEDULE="every day")
    assert cron.wait(DEADLINE_SECONDS) == 1
    assert log_of(project, "cron") == (
        "ORDERS_SCHEDULE 'every day': expected the five time fields of a crontab, such as 15 3 * * *\n"
    )


def test_nothing_in_the_image_is_secret_or_for_others_to_change(image):
    found = subprocess.run(["grep", "--recursive", "--files-with-matches", SECRET, image.files], capture_output=True)
    assert (found.returncode, found.stdout) == (1, b"")
    assert SECRET not in json.dumps(image.config)
    others_may_write = ["-type", "d,f", "-perm", "-o+w", "-not", "-perm", "-1000"]
    assert said("find", str(image.files), *others_may_write, "-printf", "%P\n") == ""
    of_the_user = said("find", str(image.files), "-maxdepth", "2", "-uid", str(USER), "-printf", "%P\n").split()
    assert sorted(of_the_user) == ["app/duckdb_db", "app/luigid", "app/output", "home/app"]


def test_the_image_runs_as_a_user_without_rights_and_has_a_health_check(image):
    assert image.config["User"] == f"{USER}:{USER}"
    assert image.config["Healthcheck"]["Test"][0] == "CMD"
