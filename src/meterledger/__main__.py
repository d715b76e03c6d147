"""`python -m meterledger` is the `meterledger` command."""

from meterledger.cli.main import main

if __name__ == "__main__":
    main()
