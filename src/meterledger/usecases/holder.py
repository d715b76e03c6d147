"""Which process holds a lease, and whether it is verifiably dead."""

import os
import socket
import subprocess
from pathlib import Path

from meterledger.ledger.lease import Holder

_PS_TIMEOUT_SECONDS = 5
_START_TIME_FIELD = 19
"""Position of a process's start time in /proc/PID/stat, counted behind its name."""


def this_process() -> Holder:
    """Return who we are."""
    pid = os.getpid()
    return Holder(host=socket.gethostname(), pid=pid, process_started=_started(pid) or "unknown")


def is_dead(holder: Holder) -> bool:
    """
    Tell whether a holder is a process of this host that is verifiably gone.

    Its number alone proves nothing: another process may have it by now, so its start counts too.
    """
    if holder.host != socket.gethostname():
        return False
    started = _started(holder.pid)
    if started is None:
        return not _exists(holder.pid)
    return started != holder.process_started


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _started(pid: int) -> str | None:
    """Return when a process started, in the system's own terms; None if it runs no more or cannot be seen."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return None
        # A zombie has ended; it only waits for its parent to notice.
        return None if fields[0] == "Z" else f"{boot} {fields[_START_TIME_FIELD]}"
    return _started_by_ps(pid)


def _started_by_ps(pid: int) -> str | None:
    try:
        answer = subprocess.run(
            ["/bin/ps", "-o", "lstart=", "-p", str(pid)],
            capture_output=True,
            text=True,
            timeout=_PS_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
