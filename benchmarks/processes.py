"""Child processes with their wall time and their peak memory."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("meterledger")
_SAMPLE_SECONDS = 0.05
_PROC = Path("/proc")
_SHOWN_OF_STDERR = 2_000


class BrokenBenchmarkError(Exception):
    """A benchmark did not do its work, so that its times mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A process that ended well: what it printed, how long it took, how much memory it had at most."""

    stdout: str
    seconds: float
    peak_bytes: int


def run(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    stdin: str = "",
    good: Sequence[int] = (0,),
) -> Finished:
    """
    Run a command to its end, start-up included.

    The peak is the sum of the peaks of the process and of every process below it, an upper bound for
    what they held together; where there is no /proc it is the largest of them.

    Args:
        command: Program and arguments.
        environment: Variables besides those of this process; meterledger's own are never inherited.
        stdin: What it reads.
        good: The exit codes of one that did its work.

    Raises:
        BrokenBenchmarkError: It ended with an error; the message holds its words.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("METERLEDGER_", "STRIPE_", "PYTHON"))
    }
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as given,
        tempfile.TemporaryFile("w+", encoding="utf-8") as printed,
        tempfile.TemporaryFile("w+", encoding="utf-8") as complaints,
    ):
        given.write(stdin)
        given.seek(0)
        begun = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=given,
            stdout=printed,
            stderr=complaints,
            env={**inherited, **(environment or {})},
        )
        watch = _PeakWatch(process.pid)
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.stop()
        printed.seek(0)
        complaints.seek(0)
        if process.returncode not in good:
            words = complaints.read()[-_SHOWN_OF_STDERR:].strip() or printed.read()[-_SHOWN_OF_STDERR:]
            raise BrokenBenchmarkError(f"{command[0]} ended with exit code {process.returncode}: {words}")
        unit = 1 if sys.platform == "darwin" else 1024
        return Finished(
            stdout=printed.read(), seconds=seconds, peak_bytes=watch.peak_bytes or usage.ru_maxrss * unit
        )


def resident_bytes(pid: int) -> int | None:
    """Return the memory that a running process holds, or None where there is no /proc."""
    try:
        status = (_PROC / str(pid) / "status").read_text()
    except OSError:
        return None
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


class _PeakWatch(threading.Thread):
    """
    Looks at a process and those below it now and then, and keeps the peak of each.

    ru_maxrss alone does not do: it knows the largest of them and not their sum, and on Linux it starts
    from what this process holds.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._peaks: dict[int, int] = {}
        self._ended = threading.Event()

    @property
    def peak_bytes(self) -> int:
        """The sum of all peaks; 0 where nothing could be seen."""
        return sum(self._peaks.values())

    def run(self) -> None:
        """Look until told to stop; the kernel keeps peaks, so that looking seldom misses little."""
        if not _PROC.is_dir():
            return
        while not self._ended.wait(_SAMPLE_SECONDS):
            self._look(self._pid)

    def stop(self) -> None:
        """Stop looking."""
        self._ended.set()
        self.join()

    def _look(self, pid: int) -> None:
        try:
            status = (_PROC / str(pid) / "status").read_text()
            children = (_PROC / str(pid) / "task" / str(pid) / "children").read_text()
        except OSError:
            return  # ended since
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                self._peaks[pid] = int(line.split()[1]) * 1024
        for child in children.split():
            self._look(int(child))
