"""Which process holds a lease, and whether it is verifiably dead."""

import os
import socket
import subprocess
from pathlib import Path

from meterledger.ledger.lease import Holder

_PS_TIMEOUT_SECONDS = 5
_UNKNOWN = "unknown"
_ENDED = "ended"
_START_TIME_FIELD = 19
"""Position of a process's start time in /proc/PID/stat, counted behind its name."""


def this_process() -> Holder:
    """Return who we are."""
    pid = os.getpid()
    return Holder(host=socket.gethostname(), pid=pid, process_started=_started(pid) or _UNKNOWN)


def is_dead(holder: Holder) -> bool:
    """
    Tell whether a holder is a process of this host that is verifiably gone.

    Its number alone proves nothing: another process may have it by now, so its start counts too.
    """
    if holder.host != socket.gethostname():
        return False
    if _namespace(holder.process_started) not in (None, _own_namespace()):
        # Another container under the same name: its process numbers say nothing here.
        return False
    if not _exists(holder.pid):
        return True
    started = _started(holder.pid)
    if started is None or holder.process_started == _UNKNOWN:
        return False
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
    """Return when a process started, in the system's own terms; None if that cannot be seen."""
    if not Path("/proc/self/stat").exists():
        return _started_by_ps(pid)
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    # A zombie has ended; it only waits for its parent to notice.
    return _ENDED if fields[0] in "ZX" else f"{boot} {_own_namespace()} {fields[_START_TIME_FIELD]}"


def _own_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return "pid:[]"


def _namespace(process_started: str) -> str | None:
    return next((part for part in process_started.split() if part.startswith("pid:[")), None)


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
