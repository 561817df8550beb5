"""Decimals of currencies, for amounts in minor units such as cents: by ISO 4217, or by a vendor's table."""

import re
from collections.abc import Mapping

# raise LOGIC_VERSION in contract.py with each change below: normalized rows depend on these tables
DEFAULT_DECIMALS = 2
_CODE = re.compile(r"[A-Za-z]{3}")


def _by_code(codes: Mapping[int, str]) -> dict[str, int]:
    return {code: decimals for decimals, listed in codes.items() for code in listed.split()}


ISO_4217 = _by_code(
    {
        0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
        3: "BHD IQD JOD KWD LYD OMR TND",
        4: "CLF UYW",
    }
)
# https://docs.stripe.com/currencies. Unlike in ISO 4217, MGA has no decimals here, and ISK and UGX have two
STRIPE = _by_code(
    {
        0: "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF",
        3: "BHD JOD KWD OMR TND",
    }
)


def decimals_of(currency: str | None, table: Mapping[str, int]) -> int | None:
    """The decimals of a currency by its code in any case; 2 if it is not in the table. None if the text is no code."""
    return table.get(currency.upper(), DEFAULT_DECIMALS) if currency is not None and _CODE.fullmatch(currency) else None
