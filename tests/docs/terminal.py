"""One shell for a whole page, as its reader has one, and the comparison of what it shows."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

_END = "--end-of-command--"
_TIME = re.compile(r"\d{4}-\d\d(-\d\d(T\d\d:\d\d:\d\d(\.\d+)?Z)?)?")
_STOP_SECONDS = 10


class Terminal:
    """A shell in a folder, with the program on its path and nothing of ours in its environment."""

    def __init__(self, folder: Path) -> None:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("METERLEDGER_", "STRIPE_", "FORCE_COLOR"))
        }
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        self._shell = subprocess.Popen(
            ["/bin/bash", "--noprofile", "--norc"],
            cwd=folder,
            env=kept | {"PATH": path, "COLUMNS": "80"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shell.communicate("exit\n", timeout=_STOP_SECONDS)

    def run(self, command: str) -> tuple[int, list[str]]:
        """Run a command, and return its exit code and the lines it printed on both streams."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n{_END} %d\\n' $?\n")
        self._shell.stdin.flush()
        lines: list[str] = []
        for line in self._shell.stdout:
            if line.startswith(_END):
                return int(line.split()[1]), lines
            lines.append(line.rstrip("\n"))
        raise AssertionError(f"the shell ended in: {command}")


def is_shown(expected: str, lines: list[str]) -> bool:
    """Tell whether a line of a page is among printed ones: without times and widths, ``…`` is any text."""
    pattern = re.compile(".*".join(re.escape(part) for part in _plain(expected).split("…")))
    return any(pattern.fullmatch(_plain(line)) for line in lines)


def _plain(line: str) -> str:
    return " ".join(_TIME.sub("TIME", line).split())
