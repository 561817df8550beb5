"""The settings of [orders_api] for the REST source, typed. config.py checks which values are allowed."""

from datetime import datetime
from typing import Literal

import msgspec

from pipeline.fields import Path

Pagination = Literal["cursor", "link_header", "page_number", "offset", "none"]
Auth = Literal["none", "bearer", "header", "basic"]


class RequestSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that decide what an API returns. If one of them changes, spooled windows are thrown away."""

    url: str
    params: dict[str, str]
    since_param: str
    until_param: str
    updated_since_param: str
    time_format: str
    since_offset_seconds: float
    until_offset_seconds: float
    limit_param: str
    page_size: int
    pagination: Pagination
    page_param: str
    offset_param: str
    cursor_param: str
    next_cursor: Path | None
    cursor_of_last: Path | None
    has_more: Path | None
    records: Path


class ShopSettings(RequestSettings, frozen=True, kw_only=True):
    """All settings of the REST source. `total` is a path, or the name of a header."""

    start_date: datetime | None
    total: Path | str | None
    error: Path | None
    auth: Auth
    auth_header: str
    token_env: str
    user_env: str
    password_env: str
    allow_insecure: bool
    parallel_windows: int
    max_requests_per_second: float
    attempts: int
    backoff_seconds: float
    max_backoff_seconds: float
    connect_timeout_seconds: float
    read_timeout_seconds: float
    page_budget_seconds: float
    max_page_bytes: int
    max_window_bytes: int
    spool_max_age_minutes: float
    overlap_minutes: float
