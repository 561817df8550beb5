"""What SECURITY.md says of whoever controls a source, the settings or the folder, and that its tests exist."""

import datetime as dt
import os
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from api import QUICK
from depth import some
from feeds import EXTRACTED_AT, order
from hostile import AS_OF, PAGE, SINCE, UNTIL
from lake import LakeUnderTest
from processes import REPOSITORY

from pipeline.engine import Engine

PAGE_OF_CLAIMS = REPOSITORY / "SECURITY.md"
CANNOT = re.compile(r"^\*\*cannot\*\*:\n\n(.*?)(?=^\*\*|^#|\Z)", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
URLS = ["file:///etc/passwd", "ftp://shop.example/orders", "s3://shop/orders"]
OUTSIDE = "../../../outside"
SQL = 'x\'); DROP TABLE "users"; --'


def claims() -> list[str]:
    """The points of all lists of what somebody cannot do."""
    lists = CANNOT.findall(PAGE_OF_CLAIMS.read_text(encoding="utf-8"))
    return [point for found in lists for point in re.split(r"^- ", found, flags=re.MULTILINE)[1:]]


def test_each_claim_names_a_test_that_exists() -> None:
    assert len(claims()) > 20
    for claim in claims():
        tests = NAMED.findall(claim)
        assert tests, claim
        for file, name in tests:
            assert f"\ndef {name}(" in (REPOSITORY / "tests" / file).read_text(encoding="utf-8"), f"{file}::{name}"


def names(folder: Path) -> set[str]:
    """The paths of all files in a folder, but for those of the lake and the warehouse."""
    paths = (path.relative_to(folder) for path in folder.rglob("*"))
    return {str(path) for path in paths if path.parts[0] != "lake" and not path.name.startswith("warehouse.db")}


def test_text_that_is_a_path_in_any_field_writes_nothing_outside_the_lake(lake: LakeUnderTest, tmp_path: Path) -> None:
    """OUTSIDE is a path to a file beside the lake from a partition's folder."""
    fields = {"user_id": OUTSIDE, "currency": OUTSIDE, "items": [{"sku": OUTSIDE, "qty": 1, "price": 1}]}
    dates = ["2025-01-15/../../../outside", "/etc", OUTSIDE]
    records = [order(OUTSIDE, metadata={"a": OUTSIDE}, **fields), order("/etc/x", date=OUTSIDE)]
    records += [order(f"o_{number}", created_at=date) for number, date in enumerate(dates)]
    lake.offer(records)
    before = names(tmp_path)
    assert lake.run(None, EXTRACTED_AT), lake.errors
    assert names(tmp_path) == before
    assert lake.litter() == []
    assert {row[0] for row in lake.curated("fact_order")[dt.date(2025, 1, 15)]} == {OUTSIDE, "/etc/x"}


def test_sql_in_a_record_or_in_a_field_map_is_text(lake: LakeUnderTest) -> None:
    lake.settings["orders_fields"] = {"currency": f'$."{SQL.replace(chr(34), "")}"'}
    record = order(SQL, user_id=SQL, **{SQL.replace('"', ""): "EUR"})
    assert lake.run([record], EXTRACTED_AT), lake.errors
    (row,) = lake.normalized("orders")[dt.date(2025, 1, 15)]
    assert (row[0], row[1], row[3]) == (SQL, SQL, "EUR")


@pytest.mark.parametrize("url", some(URLS, URLS[:1], "URLs"))
def test_a_url_of_another_scheme_is_a_path_and_no_such_file_is_there(lake: LakeUnderTest, url: str) -> None:
    lake.settings["orders_api"]["url"] = url
    assert not lake.run(None, EXTRACTED_AT)
    assert url in str(lake.errors)


def test_the_engine_installs_and_loads_no_extension_by_itself(tmp_path: Path) -> None:
    with Engine(memory_limit="1GB", threads=1, temp_directory=str(tmp_path)) as engine:
        found = engine._connection.execute(
            "SELECT current_setting('autoinstall_known_extensions'), current_setting('autoload_known_extensions')"
        ).fetchone()
    assert found == (False, False)


def test_all_files_have_the_permissions_that_the_umask_leaves(lake: LakeUnderTest) -> None:
    before = os.umask(0o077)
    try:
        assert lake.run([order("o_1"), b"no json"], EXTRACTED_AT), lake.errors
    finally:
        os.umask(before)
    written = [*lake.root.rglob("*"), lake.root, lake.warehouse]
    assert len(written) > 10
    assert [path for path in written if path.stat().st_mode & 0o077] == []


@pytest.mark.parametrize("name", some([".staging", ".windows", ".spool"], [".staging"], "links"))
def test_a_link_in_the_place_of_a_work_folder_is_not_followed_when_the_folder_is_emptied(
    lake: LakeUnderTest, tmp_path: Path, name: str
) -> None:
    kept = tmp_path / "others" / "kept"
    kept.parent.mkdir()
    kept.write_text("of somebody else")
    lake.root.mkdir()
    (lake.root / name).symlink_to(kept.parent)
    lake.run([order("o_1")], EXTRACTED_AT)
    assert kept.read_text() == "of somebody else"
    assert name != ".staging" or os.listdir(kept.parent) == ["kept"]


@contextmanager
def over_tls(folder: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a shop whose certificate nobody else has signed, and the certificate."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(PAGE)))
            self.end_headers()
            self.wfile.write(PAGE)

        def log_message(self, *_: object) -> None:
            """Silent."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.handle_error = lambda *_: None  # a client that refuses the certificate
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_address[1]}/orders", certificate
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_certificate_that_nobody_has_signed_is_refused_until_it_is_named(
    lake: LakeUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with over_tls(tmp_path) as (url, certificate):
        lake.settings["orders_api"] |= QUICK | {"url": url}
        assert not lake.run(None, AS_OF, SINCE, UNTIL)
        assert "certificate cannot be verified" in str(lake.errors)
        assert lake.raw() == {}
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert lake.run(None, AS_OF.replace(hour=1), SINCE, UNTIL), lake.errors
