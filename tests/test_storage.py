"""The lake's folder: publishing whole files and manifests, listing partitions, and the lock."""

import json
import os
import threading
from pathlib import Path

import pytest

from pipeline.contract import RAW_STAGE, raw_name
from pipeline.errors import LakeBusy, StorageUnusable
from pipeline.lake.lake import Lake, Publication
from pipeline.lake.manifests import Manifest

FILE, MANIFEST = raw_name("2025-01-15"), RAW_STAGE.manifest_at("2025-01-15")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", lock_timeout_seconds=0.05, fsync=True)


def publication(lake: Lake, content: bytes, name: str = FILE, manifest: str = MANIFEST) -> Publication[Manifest]:
    Path(lake.files.stage(name)).write_bytes(content)
    return Publication(manifest, Manifest(id=content.decode()), {name: lake.files.stage(name)})


def publish(lake: Lake, *contents: bytes) -> None:
    for content in contents:
        with lake.work.locked():
            assert lake.publish([publication(lake, content)]) == {}


def published(lake: Lake) -> Manifest | None:
    content = lake.files.read(MANIFEST)
    return None if content is None else Manifest(id=content["id"], files=content["files"])


def test_a_published_file_is_there_with_a_manifest_that_lists_its_size(lake):
    publish(lake, b"one", b"three")
    assert Path(lake.files.fetch(FILE)).read_bytes() == b"three"
    assert lake.files.read(MANIFEST) == {"id": "three", "files": {FILE: 5}}
    assert lake.whole(published(lake))
    assert sorted(os.listdir(lake.root)) == [".lock", "raw"]


@pytest.mark.parametrize("damage", [b"", b"on", b"ones"])
def test_a_partition_is_not_whole_when_its_file_has_another_size(lake, damage):
    publish(lake, b"one")
    Path(lake.files.fetch(FILE)).write_bytes(damage)
    assert not lake.whole(published(lake))


def test_a_partition_is_not_whole_without_its_file_or_manifest_or_with_a_null_id(lake):
    assert not lake.whole(published(lake))
    publish(lake, b"one")
    manifest = published(lake)
    assert manifest is not None
    assert not lake.whole(Manifest(id=None, files=manifest.files))
    os.remove(lake.files.fetch(FILE))
    assert not lake.whole(manifest)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"7", b"\xff", b'{"id": 1}trailing'])
def test_a_manifest_that_is_no_json_object_counts_as_absent(lake, content):
    publish(lake, b"one")
    Path(lake.files.fetch(MANIFEST)).write_bytes(content)
    assert lake.files.read(MANIFEST) is None


def test_a_manifest_that_was_replaced_is_read_again(lake):
    publish(lake, b"one")
    assert lake.files.read(MANIFEST)["id"] == "one"
    publish(lake, b"two")
    assert lake.files.read(MANIFEST)["id"] == "two"
    os.remove(lake.files.fetch(MANIFEST))
    assert lake.files.read(MANIFEST) is None


def test_one_partition_that_cannot_be_published_does_not_stop_the_others(lake):
    other = raw_name("2025-01-16")
    Path(lake.files.fetch("raw")).mkdir(parents=True)
    Path(lake.files.fetch("raw/date=2025-01-15")).write_text("a file where a folder should be")
    with lake.work.locked():
        good = publication(lake, b"two", other, RAW_STAGE.manifest_at("2025-01-16"))
        failed = lake.publish([publication(lake, b"one"), good])
    assert list(failed) == [MANIFEST]
    assert Path(lake.files.fetch(other)).read_bytes() == b"two"


def test_a_staged_file_that_is_gone_fails_its_partition_and_leaves_the_old_one_whole(lake):
    publish(lake, b"one")
    with lake.work.locked():
        lost = publication(lake, b"two")
        os.remove(lake.files.stage(FILE))
        assert list(lake.publish([lost])) == [MANIFEST]
    assert Path(lake.files.fetch(FILE)).read_bytes() == b"one"


def test_a_publication_can_delete_a_file(lake):
    publish(lake, b"one")
    with lake.work.locked():
        assert lake.publish([Publication(MANIFEST, Manifest(id="none"), {FILE: None})]) == {}
    assert not os.path.exists(lake.files.fetch(FILE))
    assert lake.files.read(MANIFEST) == {"id": "none", "files": {}}


def test_each_folder_above_a_file_is_durable_before_a_manifest_promises_the_file(lake, monkeypatch):
    synced: dict[str, bool] = {}
    monkeypatch.setattr(
        "pipeline.lake.files.sync_path", lambda path: synced.setdefault(path.rstrip("/"), published(lake) is None)
    )
    name = "quarantine/date=2025-01-15/orders.parquet"
    with lake.work.locked():
        assert lake.publish([publication(lake, b"one", name)]) == {}
    above = [lake.root, lake.root / "quarantine", lake.root / "quarantine/date=2025-01-15"]
    assert [str(folder) for folder in above if not synced.get(str(folder))] == []


def test_partitions_are_the_dates_present_in_a_layer(lake):
    assert lake.partitions("raw") == []
    for name in ("date=2025-01-16", "date=2025-01-15", "date=__HIVE_DEFAULT_PARTITION__", "other"):
        Path(lake.files.fetch(f"raw/{name}")).mkdir(parents=True)
    assert lake.partitions("raw") == ["2025-01-15", "2025-01-16", "__HIVE_DEFAULT_PARTITION__"]


def test_what_a_killed_run_left_in_staging_is_gone_after_the_next_lock(lake):
    Path(lake.files.fetch(".staging/litter")).mkdir(parents=True)
    with lake.work.locked():
        assert os.listdir(lake.files.fetch(".staging")) == []
    assert not os.path.exists(lake.files.fetch(".staging"))


def test_a_second_run_waits_for_the_lock_says_so_and_goes_on_when_it_is_free(lake, caplog):
    patient, entered, leave = Lake(lake.root, lock_timeout_seconds=30), threading.Event(), threading.Event()

    def hold() -> None:
        with lake.work.locked():
            entered.set()
            leave.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert entered.wait(30)
    releaser = threading.Thread(target=lambda: (_until(lambda: "lock_waiting" in caplog.text), leave.set()))
    releaser.start()
    with patient.work.locked():
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
        lake.work.locked(),
        pytest.raises(LakeBusy, match=r"another run held .* over 0.05 s \(\[storage\] lock_timeout_sec"),
        Lake(lake.root, lock_timeout_seconds=0.05).work.locked(),
    ):
        pass


@pytest.mark.parametrize("where", ["file/lake", "file"])
def test_a_root_that_cannot_be_a_folder_is_one_error_that_names_the_setting(tmp_path, where):
    (tmp_path / "file").write_text("no folder")
    with (
        pytest.raises(StorageUnusable, match=r"\[storage\] root = .*expected a folder that this user can write"),
        Lake(tmp_path / where).work.locked(),
    ):
        pass


def test_the_lock_is_free_again_after_an_error(lake):
    with pytest.raises(ValueError, match="boom"), lake.work.locked():
        raise ValueError("boom")
    with lake.work.locked():
        pass


def test_manifests_are_ascii_json_with_sorted_keys(lake):
    with lake.work.locked():
        lake.files.write("runs/x.json", {"b": "é", "a": 1})
    assert Path(lake.files.fetch("runs/x.json")).read_bytes() == b'{"a": 1, "b": "\\u00e9"}'
    assert json.loads(Path(lake.files.fetch("runs/x.json")).read_bytes()) == lake.files.read("runs/x.json")


def test_a_manifest_in_which_an_older_version_wrote_null_is_read(lake):
    stamp = "2025-01-16T00:00:00.000000Z"
    known = {"id": "abc", "as_of": stamp, "because": "not landed", "counts": {"extracted": 1}, "files": {}}
    absent = dict.fromkeys(("asked_at", "answers_as_of", "fields", "api", "plain_by", "dropped", "segments"))
    with lake.work.locked():
        lake.files.write(MANIFEST, known | absent | {"extracted_at": stamp})
    manifest = lake.raw("2025-01-15")
    assert (manifest.asked_at, manifest.answers_as_of, manifest.counts.extracted) == (stamp, stamp, 1)
