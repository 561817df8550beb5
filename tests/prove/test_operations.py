"""Runs that are killed, lose power or meet a bad disk at an operation on a file: the next run heals the lake."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from depth import by_depth
from forks import Forker
from operations import (
    CUTS,
    ERROR,
    FULL,
    KILL,
    KILL_HALFWAY,
    NEEDS_NO_ROOM,
    Operation,
    compiled,
    cut_power,
    points,
    strided,
)
from scenes import BY_NAME
from stage import FAILED, Findings, Stage
from tally import Tally

EACH = list(BY_NAME)
# which scenes, and at how many operations of each
KILLED = by_depth(
    few=["forced run", "drop", "erase"], all=["first run", "forced run", "drop", "erase"], prove=EACH, night=EACH
)
OTHERS = by_depth(few=["forced run"], all=["forced run", "run over REST"], prove=EACH, night=EACH)
KILLS = by_depth(few=1, all=2, prove=30, night=30)
CUTS_OF_POWER = by_depth(few=1, all=1, prove=30, night=30)
FAULTS = by_depth(few=1, all=1, prove=20, night=20)
OF_SLOW = 4
Open = Callable[[str], Stage]


@pytest.fixture(scope="module")
def shim_forker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forker]:
    """A Forker whose runs can be disturbed at an operation."""
    folder = tmp_path_factory.mktemp("operations")
    with Forker(folder / "log", compiled(folder)) as forker:
        yield forker


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, shim_forker: Forker) -> Iterator[Open]:
    """Sets a scene, once for all tests of this process."""
    known: dict[str, Stage] = {}
    with ExitStack() as stack:

        def opened(name: str) -> Stage:
            if name not in known:
                folder = tmp_path_factory.mktemp("stage")
                known[name] = Stage(BY_NAME[name], folder, shim_forker, stack, storage_fsync="true")
            return known[name]

        yield opened


def moments(stage: Stage, most: int | None, draw: random.Random) -> Iterator[Operation]:
    """Points at which the command is to be disturbed; before each the lake is put back as the command finds it."""
    if most is not None and stage.scene.is_slow:
        most = min(most, OF_SLOW)
    for operation in strided(points(stage.operations), most, draw):
        stage.before.restore()
        yield operation


@pytest.mark.parametrize("scene", KILLED)
def test_a_command_killed_at_any_operation_is_finished_by_the_next_run(
    scene: str, stage: Open, seed: int, every: bool, tally: Tally
) -> None:
    opened, draw, found, killed = stage(scene), random.Random(f"{seed} kill {scene}"), Findings(), 0
    for operation in moments(opened, None if every else KILLS, draw):
        action = draw.choice((KILL, KILL_HALFWAY))
        ended = opened.play(action, operation.number)
        where = opened.moment("killed", operation)
        killed += ended["status"] == -9
        opened.look(found, where)
        opened.other_date(found, where, draw)
        opened.heal(found, where, is_done=ended["status"] == 0)
    tally("points killed", killed, **found.counts)
    found.raise_any()
    assert killed


@pytest.mark.parametrize("scene", OTHERS)
def test_a_power_cut_after_a_kill_takes_nothing_that_the_next_run_does_not_bring_back(
    scene: str, stage: Open, seed: int, every: bool, tally: Tally
) -> None:
    opened, draw, found, killed = stage(scene), random.Random(f"{seed} power {scene}"), Findings(), 0
    for operation in moments(opened, None if every else CUTS_OF_POWER, draw):
        cut = draw.choice(CUTS)
        ended = opened.play(KILL, operation.number)
        if ended["status"] == -9:
            cut_power(opened.log, opened.graves, opened.trial.shop.folder, cut, draw)
            killed += 1
        where = opened.moment(f"power cut ({cut} lost)", operation)
        opened.look_at_partitions(found, where)
        opened.other_date(found, where, draw)
        opened.heal(found, where, is_done=ended["status"] == 0)
    tally("power cuts", killed, **found.counts)
    found.raise_any()
    assert killed


@pytest.mark.parametrize("scene", OTHERS)
@pytest.mark.parametrize("fault", ["full", "error"])
def test_a_disk_that_refuses_an_operation_fails_the_command_in_plain_words_and_the_next_run_heals(
    scene: str, fault: str, stage: Open, seed: int, every: bool, tally: Tally
) -> None:
    opened, draw, found, tried = stage(scene), random.Random(f"{seed} {fault} {scene}"), Findings(), 0
    for operation in moments(opened, None if every else FAULTS, draw):
        if fault == "full" and operation.kind in NEEDS_NO_ROOM:
            continue
        ended = opened.play({"full": FULL, "error": ERROR}[fault], operation.number)
        where, tried = opened.moment(fault, operation), tried + 1
        opened.look(found, where)
        opened.judge_end(found, where, ended, FAILED[fault])
        opened.heal(found, where, is_done=ended["status"] == 0)
    tally("disk faults", tried, **found.counts)
    found.raise_any()
    assert tried
