"""The files for containers and the script that cron runs, tested without a container engine."""

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from depth import deep
from processes import BIN, DEADLINE_SECONDS, REPOSITORY, Shop

COMPOSE = REPOSITORY / "docker-compose.yml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
# the variables whose value stands in docker-compose.yml
FIXED = {"LUIGI_CONFIG_PATH", "ORDERS_LAKE_CLUSTER_ADDRESS", "SPARK_WORKER_DIR"}
EXAMPLE = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
ORDERS = """
    order_id | amount | created_at
    o_1      | 10     | 2025-01-15T10:00:00Z
    o_2      | 20     | 2025-01-16T10:00:00Z
"""


def compose() -> list[str] | None:
    """The command that reads docker-compose.yml; None where there is none."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True).returncode == 0:
            return command
    return None


def test_docker_compose_accepts_the_file():
    command = compose()
    if command is None:
        pytest.skip("needs docker compose or docker-compose")
    done = subprocess.run([*command, "-f", COMPOSE, "config"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_right_that_it_does_not_use(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    # cron alone starts as root, to become another user
    rights = (service.get("user"), service.get("cap_add"))
    assert rights == (("root", ["SETUID", "SETGID"]) if name == "cron" else (None, None))


def test_services_start_again_and_a_run_by_hand_does_not():
    assert {name: service["restart"] for name, service in SERVICES.items()} == {
        "luigid": "unless-stopped",
        "mock-shop": "unless-stopped",
        "cron": "unless-stopped",
        "app": "no",
        "spark-master": "unless-stopped",
        "spark-worker": "unless-stopped",
        "on-cluster": "no",
    }


def test_no_profile_starts_a_run_by_hand_with_other_services():
    by_hand = {name for name, service in SERVICES.items() if service["restart"] == "no"}
    alone = {profile for name in by_hand for profile in SERVICES[name]["profiles"]}
    assert alone == {"run", "on-cluster"}
    assert "cluster" in SERVICES["spark-master"]["profiles"]


def test_every_service_has_a_health_check_of_its_own_or_the_image_s():
    assert {name for name, service in SERVICES.items() if "healthcheck" not in service} == {"app", "on-cluster"}
    assert "\nHEALTHCHECK " in (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")


def test_ports_are_open_to_this_machine_only():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose_holds_no_value_that_could_be_a_secret():
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert value is None or name in {*FIXED, "ORDERS_SCHEDULE", "ORDERS_SINCE"}, name


def test_env_example_names_every_variable_that_compose_hands_over_and_no_other():
    handed_over = {name for service in SERVICES.values() for name in service.get("environment", {})}
    named = set(re.findall(r"^(?:# )?([A-Z_]+)=", EXAMPLE, re.M))
    assert named == handed_over - FIXED


def test_env_example_shows_the_defaults_of_compose():
    shown = dict(re.findall(r'^([A-Z_]+)="(.*)"$', EXAMPLE, re.M))
    written = re.findall(r"\$\{([A-Z_]+):?-(.*?)\}", COMPOSE.read_text(encoding="utf-8"))
    assert shown == dict(written)


def scheduled_run(shop: Shop, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """deploy/scheduled-run for this shop, its lock beside the lake."""
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "ORDERS_LOCK": str(shop.folder / "lock")}
    return subprocess.run(
        [REPOSITORY / "deploy" / "scheduled-run", "--local-scheduler", *shop.options(), *options],
        cwd="/",
        env=environment | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    shop.feed(ORDERS)
    return shop


def test_a_scheduled_run_builds_the_dates_since_the_first_one_asked_for(shop):
    done = scheduled_run(shop, ORDERS_SINCE="2025-01-15 + 1 day")
    assert done.returncode == 0, done.stdout
    assert [path.name for path in shop.root.glob("curated/date=*")] == ["date=2025-01-16"]
    assert (shop.folder / "lock").read_text() == "0\n"


def test_a_scheduled_run_is_refused_while_the_last_one_is_going_on(shop):
    with (shop.folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = scheduled_run(shop)
    assert done.returncode == 75
    assert re.fullmatch(
        r"\S+ \S+ WARNING event=run_refused reason=\"the last scheduled run is still going\" lock=\S+/lock\n",
        done.stdout,
    )
    assert not shop.root.exists()
    assert (shop.folder / "lock").read_text() == ""


@deep("scheduled runs")
def test_the_exit_code_of_a_scheduled_run_is_that_of_the_run_and_is_kept_for_the_health_check(shop):
    shop.dump.write_text("[{")
    done = scheduled_run(shop)
    assert done.returncode >= 20, done.stdout
    assert (shop.folder / "lock").read_text() == f"{done.returncode}\n"


def test_a_first_date_that_is_none_fails_before_anything_runs(shop):
    done = scheduled_run(shop, ORDERS_SINCE="a while ago, I think")
    assert done.returncode == 1
    assert done.stdout.count("\n") == 1
    assert "invalid date" in done.stdout
    assert not shop.root.exists()
    assert (shop.folder / "lock").read_text() == "1\n"
