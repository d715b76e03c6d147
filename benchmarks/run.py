"""`make bench`: puts the benchmarks and what they borrow from the tests on the path, and runs them."""

import sys
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    root = Path(__file__).resolve().parent.parent
    sys.path[:0] = [str(root), str(root / "tests")]
    sys.exit(import_module("benchmarks.suite").main())
