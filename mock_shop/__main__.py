"""python -m mock_shop: reads and checks the options, then imports aiohttp and serves."""

import argparse
import os
import sys

DEFAULT_PORT = 8484


class BadSetting(Exception):
    """An option whose value cannot be used."""


def parser() -> argparse.ArgumentParser:
    """The command line of python -m mock_shop."""
    options = argparse.ArgumentParser(
        prog="python -m mock_shop",
        description="Serves the orders of a dump as a shop's API would, with faults on request.",
        allow_abbrev=False,
    )
    options.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="port to listen on; 0: any free port (default: 8484)"
    )
    options.add_argument("--address", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    options.add_argument(
        "--data",
        default="data/api_orders.json",
        help="JSON dump of the orders, not compressed (default: data/api_orders.json)",
    )
    options.add_argument("--latency-ms", type=float, default=0, help="milliseconds before each answer (default: 0)")
    options.add_argument(
        "--fault-rate", type=float, default=0, help="share of requests that go wrong, from 0 to 1 (default: 0)"
    )
    options.add_argument(
        "--seed", type=int, default=0, help="the same seed makes the same requests go wrong (default: 0)"
    )
    options.add_argument(
        "--style",
        default="plain",
        choices=("plain", "shopify", "woocommerce", "stripe", "magento", "bigcommerce"),
        help="preset whose API it imitates (default: plain)",
    )
    options.add_argument(
        "--shape", default="contract", choices=("contract", "own"),
        help="shape of the orders in --data: that of the contract or the style's own (default: contract)",
    )  # fmt: skip
    options.add_argument(
        "--pagination", default="cursor", choices=("cursor", "link_header", "page_number", "offset", "none"),
        help="how style plain cuts pages (default: cursor)",
    )  # fmt: skip
    options.add_argument(
        "--stall-seconds", type=float, default=5, help="seconds that a stalled answer takes (default: 5)"
    )
    options.add_argument("--token-env", help="environment variable with the secret that each request must have")
    return options


def main(argv: list[str]) -> None:
    """Serve until the process gets a signal to end. An option that cannot be used: one line on stderr, exit code 1."""
    options = parser().parse_args(argv)
    try:
        _refuse_unusable(options)
        _serve(options)
    except BadSetting as error:
        sys.exit(f"BadSetting: {error}")


def _refuse_unusable(options: argparse.Namespace) -> None:
    if not 0 <= options.fault_rate <= 1:
        raise BadSetting(f"--fault-rate {options.fault_rate:g}: expected a share from 0 to 1")
    if not 0 <= options.port <= 65_535:
        raise BadSetting(f"--port {options.port}: expected a port from 0 to 65535")
    if options.latency_ms < 0 or options.stall_seconds < 0:
        raise BadSetting("--latency-ms and --stall-seconds: expected 0 or more")
    if not os.path.isfile(options.data):
        raise BadSetting(f"--data {options.data}: no such file; expected a JSON dump of orders")
    if options.token_env and not os.environ.get(options.token_env):
        raise BadSetting(f"--token-env {options.token_env}: empty or not set; expected a variable with the secret")


def _serve(options: argparse.Namespace) -> None:
    try:
        from mock_shop.server import Settings, serve
    except ImportError:
        raise BadSetting(
            "mock_shop needs aiohttp; expected: pip install aiohttp, or '.[mock]' in the checkout"
        ) from None
    given = {name: value for name, value in vars(options).items() if name != "token_env"}
    secret = os.environ.get(options.token_env) if options.token_env else None
    try:
        serve(Settings(**given, secret=secret))
    except OSError as error:
        where = f"--address {options.address} --port {options.port}"
        raise BadSetting(f"{where}: {error.strerror}; expected an address of this machine and a free port") from None


if __name__ == "__main__":
    main(sys.argv[1:])
