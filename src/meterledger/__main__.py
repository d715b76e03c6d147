"""`python -m meterledger` is the `meterledger` command."""

import sys


def main() -> None:
    """Run the program; Ctrl-C ends it in one line even before it is up."""
    try:
        from meterledger.cli.main import main as program  # noqa: PLC0415 # it takes a moment

        program()
    except KeyboardInterrupt:
        sys.stderr.write("Error: interrupted; progress is kept\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
