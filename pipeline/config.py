"""The settings: one luigi.Config class per section of luigi.cfg. They are read once, at the edge. Keys hold units."""

import configparser
import re
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any, get_args
from urllib.parse import parse_qsl, urlsplit

import luigi
from msgspec import UNSET, convert

from pipeline.errors import BadSetting
from pipeline.fields import AS_THE_CONTRACT, EXCLUDE, FIELDS, FORMS, FieldMap, parse_exclude, parse_path, parse_place
from pipeline.settings import environment
from pipeline.settings.setting import Instant, LocalPath, Setting
from pipeline.settings.shop import Auth, Pagination, ShopSettings


def _number(kind: Callable[[str], Any], low: float, high: float) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        value = kind(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return read


def _flag(text: str) -> bool:
    flags = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if text.strip().lower() not in flags:
        raise ValueError(text)
    return flags[text.strip().lower()]


# DuckDB refuses more, and the sample needs less
MEMORY_BYTES = 16 * 1000**2, 1000 * 1000**4
# each unit is a thousand, or 1024, of the one before; the first is a byte
UNITS = " KMGT"


def _memory(text: str) -> str:
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT])(i?)B", text.strip())
    if found is None:
        raise ValueError(text)
    size = float(found[1]) * (1024 if found[3] else 1000) ** UNITS.index(found[2])
    if not MEMORY_BYTES[0] <= size <= MEMORY_BYTES[1]:
        raise ValueError(text)
    return text.strip()


def _cluster(text: str) -> str:
    found = text.strip()
    host, parameters = r"://[^\s/,:]+", r"(/(;[^\s;=]+=[^\s;]*)*)?"
    known = rf"spark{host}:\d+|sc{host}(:\d+)?{parameters}|local(\[([1-9]\d*|\*)\])?"
    if found and not re.fullmatch(known, found):
        raise ValueError(text)
    # raises ValueError for a port that is none
    _ = urlsplit(found).port
    return found


def _query(text: str) -> dict[str, str]:
    return dict(parse_qsl(text.strip(), keep_blank_values=True, strict_parsing=bool(text.strip())))


def _total(text: str) -> Any:
    """A path into the body, or the name of a header; None for an empty text."""
    header = text.strip().removeprefix("header:")
    return header if header != text.strip() else _path(text)


def _path(text: str) -> Any:
    return parse_path(text) if text.strip() else None


def _of_preset(read: Callable[[str], Any], expected: str) -> Setting:
    """A setting whose default is the preset's value. UNSET: absent in luigi.cfg. None: set to an empty path."""
    return Setting(read, expected, default=UNSET)


def _one_of(*names: str, default: Any = UNSET) -> Setting:
    def read(text: str) -> str:
        if text.strip() not in names:
            raise ValueError(text)
        return text.strip()

    return Setting(read, f"one of {', '.join(names)}", default=default)


def _time_format(text: str) -> str:
    if text not in ("iso", "epoch_seconds", "epoch_millis") and "%" not in text:
        raise ValueError(text)
    return text


def _text(default: str, expected: str) -> Setting:
    return Setting(str, expected, default=default)


def _amount(kind: Callable[[str], Any], low: float, high: float, unit: str, default: Any = UNSET) -> Setting:
    return Setting(_number(kind, low, high), f"{unit} from {low} to {high}", default=default)


A_PATH = "a path into the JSON such as $.orders or $.page.next, or nothing"
PRESETS = ("plain", "shopify", "woocommerce", "stripe", "magento", "bigcommerce")


class orders_api(luigi.Config):
    """Where orders come from."""

    url = _text("data/api_orders.json", "the path of a file, or an http(s) URL")
    settle_hours = _amount(float, 0, 10_000, "hours", 6.0)
    max_vanished_share = _amount(float, 0, 1, "a share", 0.2)
    start_date = Instant(default=None)
    preset = _one_of(*PRESETS, default="plain")
    params = _of_preset(_query, "parameters as in a URL, such as status=any&order=asc")
    since_param = _of_preset(str.strip, "the name of a parameter")
    until_param = _of_preset(str.strip, "the name of a parameter")
    updated_since_param = _of_preset(str.strip, "the name of a parameter")
    time_format = _of_preset(_time_format, "iso, epoch_seconds, epoch_millis or a pattern of strftime")
    since_offset_seconds = _amount(float, -86_400, 86_400, "seconds")
    until_offset_seconds = _amount(float, -86_400, 86_400, "seconds")
    limit_param = _of_preset(str.strip, "the name of a parameter")
    page_size = _amount(int, 1, 100_000, "orders")
    pagination = _one_of(*get_args(Pagination))
    page_param = _of_preset(str.strip, "the name of a parameter")
    offset_param = _of_preset(str.strip, "the name of a parameter")
    cursor_param = _of_preset(str.strip, "the name of a parameter")
    next_cursor = _of_preset(_path, A_PATH)
    cursor_of_last = _of_preset(_path, A_PATH)
    has_more = _of_preset(_path, A_PATH)
    total = _of_preset(_total, f"{A_PATH}, or header: and a header's name")
    records = _of_preset(parse_path, "a path into the JSON such as $.orders or $")
    error = _of_preset(_path, A_PATH)
    auth = _one_of(*get_args(Auth))
    auth_header = _of_preset(str.strip, "a header's name")
    token_env = _of_preset(str.strip, "the name of an environment variable")
    user_env = _of_preset(str.strip, "the name of an environment variable")
    password_env = _of_preset(str.strip, "the name of an environment variable")
    allow_insecure = _of_preset(_flag, "true or false")
    parallel_windows = _amount(int, 1, 64, "windows")
    max_requests_per_second = _amount(float, 0.01, 10_000, "requests a second")
    attempts = _amount(int, 1, 100, "attempts")
    backoff_seconds = _amount(float, 0, 3_600, "seconds")
    max_backoff_seconds = _amount(float, 0, 86_400, "seconds")
    connect_timeout_seconds = _amount(float, 0.01, 3_600, "seconds")
    read_timeout_seconds = _amount(float, 0.01, 86_400, "seconds")
    page_budget_seconds = _amount(float, 0.01, 86_400, "seconds")
    max_page_bytes = _amount(int, 1, 1 << 32, "bytes")
    max_window_bytes = _amount(int, 1, 1 << 40, "bytes")
    spool_max_age_minutes = _amount(float, 0, 100_000, "minutes")
    overlap_minutes = _amount(float, 0, 100_000, "minutes")


def _place(name: str) -> Setting:
    expected = "a path such as $.id or $.customer.id"
    if name in FORMS:
        expected += f", with nothing or a form behind it: {', '.join(FORMS[name])}"
    return Setting(lambda text: parse_place(name, text) and text, expected, key=name, default=None)


A_CONDITION = "paths such as $.test, or with texts such as $.status in failed,cancelled, with commas between them"
FIELD_ATTRIBUTES = {name: name.replace(".", "_") for name in (*FIELDS, EXCLUDE)}
# made with type(), because keys such as items.sku are not valid attribute names
orders_fields = type(
    "orders_fields",
    (luigi.Config,),
    {"__doc__": "The path of each field of an order in the shop's JSON.", "__module__": __name__}
    | {attribute: _place(name) for name, attribute in FIELD_ATTRIBUTES.items() if name != EXCLUDE}
    | {EXCLUDE: Setting(lambda text: (parse_exclude(text), text)[1], A_CONDITION, default=None)},
)


@cache
def _preset(name: str) -> configparser.ConfigParser:
    """The settings of a preset; a setting that it lacks comes from the preset `plain`."""
    parser = configparser.ConfigParser(interpolation=None)
    for layer in dict.fromkeys(("plain", name)):
        parser.read_string(resources.files("pipeline").joinpath("presets", f"{layer}.cfg").read_text(encoding="utf-8"))
    return parser


def api(section: orders_api) -> ShopSettings:
    """The settings of [orders_api]; luigi.cfg overrides the preset."""
    parameters = dict(orders_api.get_params())
    said = {name: parameters[name].parse(text) for name, text in _preset(section.preset)["orders_api"].items()}
    given = {name: value for name in parameters if (value := getattr(section, name)) is not UNSET}
    return convert(said | given, ShopSettings)


def field_map(name: str) -> FieldMap | None:
    """The map of [orders_fields], which overrides the preset's map. None if it is the contract's own map."""
    preset = _preset(name)
    said = dict(preset["orders_fields"]) if preset.has_section("orders_fields") else {}
    section: Any = orders_fields()
    given = {name: getattr(section, attribute) for name, attribute in FIELD_ATTRIBUTES.items()}
    places = said | {name: text for name, text in given.items() if text is not None}
    own = [name for name, text in given.items() if text is not None]
    fields = FieldMap(places, own)
    return fields if fields != AS_THE_CONTRACT else None


class storage(luigi.Config):
    """Where the lake lies."""

    root = LocalPath("a folder on this machine, such as output or /srv/lake", default="output")
    lock_timeout_seconds = _amount(float, 0, 86_400, "seconds", 600.0)
    fsync = Setting(_flag, "true or false", default=True)
    undated_days = _amount(float, 0, 100_000, "days", 90.0)


# the default files; if a default file is absent, its dimension is empty
USERS_CSV, PRODUCTS_CSV = "data/users.csv", "data/products.csv"


class warehouse(luigi.Config):
    """The embedded warehouse and the dimensions' sources."""

    path = LocalPath("a file on this machine, such as duckdb_db/warehouse.db", default="duckdb_db/warehouse.db")
    users_csv = _text(USERS_CSV, "the path of a CSV file")
    products_csv = _text(PRODUCTS_CSV, "the path of a CSV file")


class engine(luigi.Config):
    """What DuckDB may use."""

    memory_limit = Setting(_memory, "a size from 16MB to 1000TB with its unit, such as 512MB or 2GiB", default="512MB")
    threads = Setting(_number(int, 0, 1024), "a whole number from 0 to 1024; 0: all cores", default=0)


class cluster(luigi.Config):
    """Where dates are built."""

    address = Setting(_cluster, "spark://host:port, sc://host, local[N] or nothing", default="")


class run(luigi.Config):
    """How many dates a task gets, and the moment of the run."""

    dates_per_task = Setting(_number(int, 0, 100_000), "a whole number from 0 to 100000; 0: automatic", default=0)
    as_of = Instant(default=None)


class health(luigi.Config):
    """The shares of absent and unreadable values above which a field is reported."""

    max_unreadable_share = _amount(float, 0, 1, "a share", 0.05)
    max_absent_share = _amount(float, 0, 1, "a share", 0.5)
    min_records = Setting(_number(int, 1, 1 << 62), "a whole number from 1 on", default=20)


class alerts(luigi.Config):
    """The limits above which a run without an error sends a message."""

    no_data_after_hours = _amount(float, 0, 10_000, "hours", 24.0)
    max_discard_share = _amount(float, 0, 1, "a share", 0.05)
    min_discarded = Setting(_number(int, 1, 1 << 62), "a whole number from 1 on", default=10)


class metrics(luigi.Config):
    """Where the figures of a run go."""

    textfile = _text("", "the path of a file, or nothing")


class report(luigi.Config):
    """The page about the lake and its runs."""

    after_each_run = Setting(_flag, "true or false", default=True)


# each luigi.Config above
SECTIONS = tuple(
    value for value in list(globals().values()) if isinstance(value, type) and issubclass(value, luigi.Config)
)


def keys(section: type[luigi.Config]) -> list[str]:
    """The keys of a section, as they are written in luigi.cfg."""
    return [getattr(parameter, "key", None) or name for name, parameter in section.get_params()]


def unknown_variables() -> list[str]:
    """A message for each environment variable that has the prefix of settings but names no setting."""
    known = [environment.variable(section.__name__, key) for section in SECTIONS for key in keys(section)]
    return list(environment.unknown(known))


def validate() -> None:
    """Read every setting. Raises BadSetting for the first unusable one."""
    for text in unknown_variables():
        raise BadSetting(text)
    for section in SECTIONS:
        section()
