"""Generates an NDJSON dump of orders for the benchmarks. The same options give the same bytes."""

import argparse
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

CHUNK_RECORDS = 50_000
RESENT_SHARE = 0.02  # sent again on their date, with a later updated_at
MOVED_SHARE = 0.002  # sent again with a created_at on a neighbouring date, and a later updated_at
UPDATED_SHARE = 0.3  # of the first versions
DAY_SECONDS = 86_400
# local offsets in minutes; most shops write Z
OFFSETS = {0: "Z", 60: "+01:00", 120: "+02:00", -300: "-05:00", 330: "+05:30"}
OFFSET_SHARES = [0.85, 0.05, 0.04, 0.03, 0.03]
CURRENCIES = ["EUR"] * 8 + ["USD", "GBP"]
CHANNELS = ["web", "ios", "android", "store"]
TEXT = (
    "please leave the parcel with a neighbour gift wrapped fragile ring twice before noon café façade "
    "blue box second floor call when close no bell invoice by mail size large Straße returned once 5€ voucher"
)


@dataclass(frozen=True)
class Records:
    """The drawn values of the whole dump: one element per record, in the order of the dump."""

    order: np.ndarray  # number of the order
    user: np.ndarray
    created: np.ndarray  # seconds since 1970, UTC
    updated: np.ndarray  # likewise; 0 for none


def draw_records(rng: np.random.Generator, orders: int, dates: int, start: date) -> Records:
    """`orders` first versions in random order of their dates, and later versions of some orders after them."""
    first_day = np.datetime64(start).astype("datetime64[D]").astype(np.int64)
    day = rng.integers(0, dates, orders)
    created = (first_day + day) * DAY_SECONDS + rng.integers(0, DAY_SECONDS, orders)
    updated = created + rng.integers(60, 3 * DAY_SECONDS, orders)
    updated[rng.random(orders) >= UPDATED_SHARE] = 0
    user = rng.integers(0, max(orders // 10, 1), orders)

    moved_count = int(orders * MOVED_SHARE) if dates > 1 else 0
    again = rng.choice(orders, int(orders * RESENT_SHARE) + moved_count, replace=False)
    created_again = created[again]
    step = np.where(day[again] == 0, 1, np.where(day[again] == dates - 1, -1, rng.choice([-1, 1], len(again))))
    created_again[:moved_count] += (step * DAY_SECONDS)[:moved_count]
    # later than both created_at and the first version's updated_at, so that no two versions tie
    updated_again = created[again] + rng.integers(4 * DAY_SECONDS, 10 * DAY_SECONDS, len(again))

    place = np.concatenate([np.arange(orders, dtype=float), again + rng.random(len(again)) * (orders - again)])
    turn = np.argsort(place, kind="stable")
    number = np.concatenate([np.arange(orders), again])[turn]
    return Records(
        order=number,
        user=user[number],
        created=np.concatenate([created, created_again])[turn],
        updated=np.concatenate([updated, updated_again])[turn],
    )


def notes_pool(rng: np.random.Generator, size: int = 4096) -> list[str]:
    """Texts of 40 to 140 characters as JSON strings, some with quotes and letters outside ASCII."""
    pool, words = [], TEXT.split()
    for length in rng.integers(40, 140, size):
        text = " ".join(rng.choice(words, 40))[:length].strip()
        pool.append(json.dumps(f'"{text}"' if length % 16 == 0 else text, ensure_ascii=False))
    return pool


def timestamps(rng: np.random.Generator, seconds: np.ndarray) -> list[str]:
    """ISO 8601 texts of these instants, most with Z, some in local time with an offset."""
    minutes = rng.choice(list(OFFSETS), len(seconds), p=OFFSET_SHARES)
    local = np.datetime_as_string((seconds + minutes * 60).astype("datetime64[s]"), unit="s")
    return [text + OFFSETS[offset] for text, offset in zip(local.tolist(), minutes.tolist(), strict=True)]


def draw_items(rng: np.random.Generator, records: int) -> list[tuple[str, str]]:
    """The amount and the items of each record, as JSON. A record has 1 to 5 items; their sum is the amount."""
    lines = rng.integers(1, 6, records)
    total = int(lines.sum())
    sku = rng.integers(0, 5_000, total).tolist()
    qty = rng.integers(1, 5, total)
    cents = rng.integers(99, 20_000, total)
    worth = np.add.reduceat(qty * cents, np.concatenate([[0], lines.cumsum()[:-1]])).tolist()
    texts = [
        f'{{"sku": "sku_{s:05d}", "qty": {q}, "price": {c // 100}.{c % 100:02d}}}'
        for s, q, c in zip(sku, qty.tolist(), cents.tolist(), strict=True)
    ]
    drawn, end = [], 0
    for count, value in zip(lines.tolist(), worth, strict=True):
        drawn.append((f"{value // 100}.{value % 100:02d}", ", ".join(texts[end : end + count])))
        end += count
    return drawn


def order_id(number: int, prefix: str, *, is_uuid: bool) -> str:
    """The id of the order of this number. UUIDs are in no order, as those of many shops."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{prefix}{number}")) if is_uuid else f"{prefix}{number:08d}"


def record_lines(
    rng: np.random.Generator, chunk: Records, notes: list[str], id_prefix: str, *, is_uuid: bool
) -> Iterator[str]:
    """The chunk's records as lines of JSON."""
    count = len(chunk.order)
    created = timestamps(rng, chunk.created)
    updated = timestamps(rng, chunk.updated)
    picks = rng.integers(0, 1 << 30, count).tolist()
    columns = (chunk.order.tolist(), chunk.user.tolist(), chunk.updated.tolist(), picks, created, updated)
    for (order, user, has_update, pick, made, changed), (amount, items) in zip(
        zip(*columns, strict=True), draw_items(rng, count), strict=True
    ):
        id_ = order_id(order, id_prefix, is_uuid=is_uuid)
        update = f'"updated_at": "{changed}", ' if has_update else ""
        yield (
            f'{{"order_id": "{id_}", "user_id": "u_{user:07d}", "amount": {amount}, '
            f'"currency": "{CURRENCIES[pick % 10]}", "created_at": "{made}", {update}"items": [{items}], '
            f'"metadata": {{"channel": "{CHANNELS[pick % 4]}", "gift": {"true" if pick % 9 == 0 else "false"}, '
            f'"campaign": {{"id": {pick % 1000}, "name": "winter sale {pick % 97}", "rate": 0.{pick % 9 + 1}}}, '
            f'"tags": ["t{pick % 31}", "t{pick % 37}"], "notes": {notes[pick % len(notes)]}}}}}\n'
        )


def write_dump(
    out: Path,
    *,
    orders: int,
    dates: int,
    start: date = date(2023, 1, 1),
    seed: int = 7,
    id_prefix: str = "o_",
    is_uuid: bool = False,
) -> None:
    """Write `orders` orders over `dates` dates to `out`, plus later versions of 2.2 % of them. About 540 bytes each."""
    rng = np.random.default_rng(seed)
    records = draw_records(rng, orders, dates, start)
    notes = notes_pool(rng)
    with out.open("w", encoding="utf-8", newline="\n") as file:
        for begin in range(0, len(records.order), CHUNK_RECORDS):
            part = slice(begin, begin + CHUNK_RECORDS)
            chunk = Records(records.order[part], records.user[part], records.created[part], records.updated[part])
            file.writelines(record_lines(rng, chunk, notes, id_prefix, is_uuid=is_uuid))


def main() -> None:
    """Read the command line and write the dump."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, required=True)
    parser.add_argument("--dates", type=int, required=True, help="days from --start on")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=date.fromisoformat, default=date(2023, 1, 1))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--id-prefix", default="o_", help="keeps the order ids of two dumps apart")
    parser.add_argument("--uuids", action="store_true", help="order ids are UUIDs, which are in no order")
    options = parser.parse_args()
    write_dump(
        options.out,
        orders=options.orders,
        dates=options.dates,
        start=options.start,
        seed=options.seed,
        id_prefix=options.id_prefix,
        is_uuid=options.uuids,
    )


if __name__ == "__main__":
    main()
