"""The lake's folder: publishing whole files and manifests, listing partitions, and the one lock."""

import json
import os
import threading
from pathlib import Path

import pytest

from pipeline.errors import LakeBusy, StorageUnusable
from pipeline.lake.files import Lake, Publication, partition

FILE = partition("raw", "2025-01-15", "orders_raw.json")
MANIFEST = partition("raw", "2025-01-15", "_raw.json")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", lock_timeout_seconds=0.05, fsync=True)


def publication(lake: Lake, content: bytes, name: str = FILE, manifest: str = MANIFEST) -> Publication:
    Path(lake.stage(name)).write_bytes(content)
    return Publication(manifest, {"id": content.decode()}, {name: lake.stage(name)})


def publish(lake: Lake, *contents: bytes) -> None:
    for content in contents:
        with lake.locked():
            assert lake.publish([publication(lake, content)]) == {}


def test_a_published_file_is_there_with_a_manifest_that_lists_its_size(lake):
    publish(lake, b"one", b"three")
    assert Path(lake.path(FILE)).read_bytes() == b"three"
    assert lake.read(MANIFEST) == {"id": "three", "files": {FILE: 5}}
    assert lake.whole(lake.read(MANIFEST))
    assert sorted(os.listdir(lake.root)) == [".lock", "raw"]


@pytest.mark.parametrize("damage", [b"", b"on", b"ones"])
def test_a_partition_is_not_whole_when_its_file_has_another_size(lake, damage):
    publish(lake, b"one")
    Path(lake.path(FILE)).write_bytes(damage)
    assert not lake.whole(lake.read(MANIFEST))


def test_a_partition_is_not_whole_without_its_file_or_manifest_or_with_a_null_id(lake):
    assert not lake.whole(lake.read(MANIFEST))
    publish(lake, b"one")
    manifest = lake.read(MANIFEST)
    assert not lake.whole(manifest | {"id": None})
    os.remove(lake.path(FILE))
    assert not lake.whole(manifest)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"7", b"\xff", b'{"id": 1}trailing'])
def test_a_manifest_that_is_no_json_object_counts_as_absent(lake, content):
    publish(lake, b"one")
    Path(lake.path(MANIFEST)).write_bytes(content)
    assert lake.read(MANIFEST) is None


def test_a_manifest_that_was_replaced_is_read_again(lake):
    publish(lake, b"one")
    assert lake.read(MANIFEST)["id"] == "one"
    publish(lake, b"two")
    assert lake.read(MANIFEST)["id"] == "two"
    os.remove(lake.path(MANIFEST))
    assert lake.read(MANIFEST) is None


def test_one_partition_that_cannot_be_published_does_not_stop_the_others(lake):
    other = partition("raw", "2025-01-16", "orders_raw.json")
    Path(lake.path("raw")).mkdir(parents=True)
    Path(lake.path("raw/date=2025-01-15")).write_text("a file where a folder should be")
    with lake.locked():
        good = publication(lake, b"two", other, partition("raw", "2025-01-16", "_raw.json"))
        failed = lake.publish([publication(lake, b"one"), good])
    assert list(failed) == [MANIFEST]
    assert Path(lake.path(other)).read_bytes() == b"two"


def test_a_staged_file_that_is_gone_fails_its_partition_and_leaves_the_old_one_whole(lake):
    publish(lake, b"one")
    with lake.locked():
        lost = publication(lake, b"two")
        os.remove(lake.stage(FILE))
        assert list(lake.publish([lost])) == [MANIFEST]
    assert Path(lake.path(FILE)).read_bytes() == b"one"


def test_a_publication_can_delete_a_file(lake):
    publish(lake, b"one")
    with lake.locked():
        assert lake.publish([Publication(MANIFEST, {"id": "none"}, {FILE: None})]) == {}
    assert not os.path.exists(lake.path(FILE))
    assert lake.read(MANIFEST) == {"id": "none", "files": {}}


def test_partitions_are_the_dates_present_in_a_layer(lake):
    assert lake.partitions("raw") == []
    for name in ("date=2025-01-16", "date=2025-01-15", "date=__HIVE_DEFAULT_PARTITION__", "other"):
        Path(lake.path(f"raw/{name}")).mkdir(parents=True)
    assert lake.partitions("raw") == ["2025-01-15", "2025-01-16", "__HIVE_DEFAULT_PARTITION__"]


def test_what_a_killed_run_left_in_staging_is_gone_after_the_next_lock(lake):
    Path(lake.path(".staging/litter")).mkdir(parents=True)
    with lake.locked():
        assert os.listdir(lake.path(".staging")) == []
    assert not os.path.exists(lake.path(".staging"))


def test_a_second_run_waits_for_the_lock_says_so_and_goes_on_when_it_is_free(lake, caplog):
    patient, entered, leave = Lake(lake.root, lock_timeout_seconds=30), threading.Event(), threading.Event()

    def hold() -> None:
        with lake.locked():
            entered.set()
            leave.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert entered.wait(30)
    releaser = threading.Thread(target=lambda: (_until(lambda: "lock_waiting" in caplog.text), leave.set()))
    releaser.start()
    with patient.locked():
        assert leave.is_set()
    holder.join()
    releaser.join()
    assert caplog.text.count("event=lock_waiting") == 1


def _until(condition) -> None:
    for _ in range(3000):
        if condition() or threading.Event().wait(0.01):
            return


def test_a_lock_that_is_held_too_long_is_one_error_that_names_the_setting(lake):
    with (
        lake.locked(),
        pytest.raises(LakeBusy, match=r"another run held .* over 0.05 s \(\[storage\] lock_timeout_sec"),
        Lake(lake.root, lock_timeout_seconds=0.05).locked(),
    ):
        pass


@pytest.mark.parametrize("where", ["file/lake", "file"])
def test_a_root_that_cannot_be_a_folder_is_one_error_that_names_the_setting(tmp_path, where):
    (tmp_path / "file").write_text("no folder")
    with (
        pytest.raises(StorageUnusable, match=r"\[storage\] root = .*expected a folder that this user can write"),
        Lake(tmp_path / where).locked(),
    ):
        pass


def test_the_lock_is_free_again_after_an_error(lake):
    with pytest.raises(ValueError, match="boom"), lake.locked():
        raise ValueError("boom")
    with lake.locked():
        pass


def test_manifests_are_ascii_json_with_sorted_keys(lake):
    with lake.locked():
        lake.write("runs/x.json", {"b": "é", "a": 1})
    assert Path(lake.path("runs/x.json")).read_bytes() == b'{"a": 1, "b": "\\u00e9"}'
    assert json.loads(Path(lake.path("runs/x.json")).read_bytes()) == lake.read("runs/x.json")
