"""The credentials for a shop's API. They come from environment variables and are kept out of all written text."""

import base64
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

from pipeline.errors import BadSetting
from pipeline.settings.shop import ShopSettings

HIDDEN = "***"
HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)


@dataclass(frozen=True)
class Credentials:
    """Headers with a secret, and the forms in which the secret may appear in a text."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def redacted(self, text: str) -> str:
        """The text with *** in place of each secret."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return text


def read_credentials(settings: ShopSettings) -> Credentials:
    """The credentials for the `auth` setting, from environment variables. Raises BadSetting."""
    if settings.auth == "none":
        return Credentials()
    if settings.auth == "basic":
        user, password = _variable(settings, "user_env"), _variable(settings, "password_env")
        both = base64.b64encode(f"{user}:{password}".encode()).decode()
        return Credentials({"Authorization": f"Basic {both}"}, _forms(both, password))
    token = _variable(settings, "token_env")
    if settings.auth == "bearer":
        return Credentials({"Authorization": f"Bearer {token}"}, _forms(token))
    name = settings.auth_header
    if not HEADER_NAME.fullmatch(name):
        raise BadSetting(f"[orders_api] auth_header = {name}: expected a header's name such as X-Api-Key")
    return Credentials({name: token}, _forms(token))


def _forms(*secrets: str) -> tuple[str, ...]:
    """The secrets as they are, and as JSON, PHP's JSON and URLs write them. The longest is first."""
    forms = set(secrets)
    for secret in secrets:
        escaped = json.dumps(secret)[1:-1]
        forms |= {escaped, escaped.replace("/", "\\/"), quote(secret), quote(secret, safe=""), quote_plus(secret)}
    return tuple(sorted(forms, key=len, reverse=True))


def _variable(settings: ShopSettings, key: str) -> str:
    name: str = getattr(settings, key)
    value = os.environ.get(name, "")
    if not value:
        raise BadSetting(
            f"[orders_api] auth = {settings.auth}: the environment variable {name} ({key}) is empty or not set; "
            "expected the secret there"
        )
    if not value.isprintable() or not value.isascii():
        raise BadSetting(f"environment variable {name}: expected printable ASCII, because it is sent in a header")
    return value
