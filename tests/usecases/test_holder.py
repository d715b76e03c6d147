"""Who holds a lease, and when a holder counts as dead."""

import os
import subprocess
import sys
from dataclasses import replace

from meterledger.ledger.lease import Holder
from meterledger.usecases.holder import is_dead, this_process


def ended_child() -> int:
    """Return the number of a process that has just ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_this_process_is_the_same_and_alive() -> None:
    """Asked twice it is the same process, and it is not dead."""
    assert this_process() == this_process()
    assert this_process().pid == os.getpid()
    assert not is_dead(this_process())


def test_a_process_that_has_ended_is_dead() -> None:
    """Nobody has its number any more: that is proof."""
    assert is_dead(replace(this_process(), pid=ended_child()))


def test_a_number_in_other_hands_is_dead() -> None:
    """A running process that began at another time is not the holder."""
    assert is_dead(replace(this_process(), process_started="another boot 1"))


def test_a_zombie_is_dead() -> None:
    """A process that has ended holds nothing, even if its parent has not noticed yet."""
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        holder = _holder_of(child.pid)
        assert not is_dead(holder)
        child.stdin.close()
        child.stdout.read()  # ends when the process has closed it
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert is_dead(holder)


def test_a_process_of_another_host_is_never_dead() -> None:
    """What runs elsewhere cannot be seen from here, whatever its number."""
    assert not is_dead(Holder(host="elsewhere.invalid", pid=ended_child(), process_started="x"))


def test_a_live_process_whose_start_was_never_known_is_not_dead() -> None:
    """`unknown` is no start that another one could differ from: it proves nothing."""
    assert not is_dead(replace(this_process(), process_started="unknown"))


def _holder_of(pid: int) -> Holder:
    code = (
        "import sys; from meterledger.usecases import holder; "
        "sys.stdout.write(holder._started(int(sys.argv[1])) or '')"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(pid)], capture_output=True, text=True, check=True
    ).stdout
    return replace(this_process(), pid=pid, process_started=told)
