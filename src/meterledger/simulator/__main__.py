"""`python -m meterledger.simulator`: the simulator as a program of its own."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from meterledger.simulator.options import Flag, Options, Panel, flags, read_options
from meterledger.simulator.plan import StartError
from meterledger.simulator.runner import run

EXIT_CANNOT_START = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulator until it is told to stop, and return the exit code."""
    try:
        run(parse(arguments))
    except StartError as failure:
        sys.stderr.write(f"meterledger simulator: {failure}\n")
        return EXIT_CANNOT_START
    return 0


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Return what was typed; what cannot be read ends the process with its usage and code 2."""
    return read_options(vars(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m meterledger.simulator",
        usage="%(prog)s [OPTIONS]",
        description="A local stand-in for Stripe's Billing Meters. It is not Stripe and bills nobody.",
        allow_abbrev=False,
    )
    groups = {panel: parser.add_argument_group(panel) for panel in Panel}
    for flag in flags():
        groups[flag.panel].add_argument(flag.spelled, **_settings(flag))
    return parser


def _settings(flag: Flag) -> dict[str, Any]:
    text = flag.text.replace("%", "%%")
    if flag.kind is bool:
        return {"action": "store_true", "help": text}
    settings = {"default": flag.default, "metavar": flag.metavar}
    if flag.default not in (None, ()):
        text += " (default: %(default)s)"
    if flag.choices:
        return settings | {"choices": flag.choices, "help": text}
    if flag.repeatable:
        return settings | {"action": "append", "default": None, "help": text}
    return settings | {"type": flag.kind, "help": text}


if __name__ == "__main__":
    sys.exit(main())
