"""How many decimals a currency has where money is written in its minor units: by ISO 4217, or by a vendor's table."""

import re
from collections.abc import Mapping

# a change of a table changes rows that are landed already: LOGIC_VERSION of contract.py goes up with it
OTHERS = 2
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
# https://docs.stripe.com/currencies: MGA has none, unlike in ISO 4217; ISK and UGX have two, as they had once
STRIPE = _by_code(
    {
        0: "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF",
        3: "BHD JOD KWD OMR TND",
    }
)


def decimals_of(currency: str | None, table: Mapping[str, int]) -> int | None:
    """The decimals of a currency, whatever the case of its code: two unless the table knows better; None of no code."""
    return table.get(currency.upper(), OTHERS) if currency is not None and _CODE.fullmatch(currency) else None
