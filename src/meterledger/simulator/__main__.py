"""`python -m meterledger.simulator`: the simulator as a program of its own."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from meterledger.simulator.options import DEFAULT_HOST, DEFAULT_PORT, Options, StartError
from meterledger.simulator.runner import run

EXIT_CANNOT_START = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulator until it is told to stop, and return the exit code."""
    options = Options(**vars(_parser().parse_args(arguments)))
    try:
        run(options)
    except StartError as failure:
        sys.stderr.write(f"meterledger simulator: {failure}\n")
        return EXIT_CANNOT_START
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m meterledger.simulator",
        description="A local stand-in for Stripe's Billing Meters. It is not Stripe and bills nobody.",
    )
    add = parser.add_argument
    add("--host", default=DEFAULT_HOST, help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=DEFAULT_PORT, help="port, 0 for any free one (default: %(default)s)")
    add("--clock", metavar="INSTANT", help="start at this instant, e.g. 2026-11-01T00:00:00Z")
    add("--freeze", action="store_true", help="let the clock stand still")
    add("--seed-from", type=Path, metavar="FILE", help="make the [meters] of this meterledger.toml")
    add("--known-customers-only", action="store_true", help="refuse customers that were not made here")
    add("--key", metavar="KEY", help="accept this API key only")
    add("--limit", type=int, metavar="N", help="meter-event calls per second and account; 429 above")
    add("--latency", metavar="SPAN", help="hold back the answer to a meter event, e.g. 20ms")
    return parser


if __name__ == "__main__":
    sys.exit(main())
