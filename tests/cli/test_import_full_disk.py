"""A disk that is full in the middle of an import: nothing is half written, and it can be completed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from meterledger.ledger import open_ledger
from meterledger.usecases.verify import verify
from support.importing import Importing

_ROWS = 60_000
_LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
from meterledger.cli.main import run
sys.exit(run(sys.argv[2:]))
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Importing:
    """Make a ledger beside a file of several chunks."""
    ledger = Importing(tmp_path)
    rows = (f"r{number:06},cus_1,api_calls,1,2026-10-31T12:00:00Z\n" for number in range(_ROWS))
    ledger.write_bytes(
        "a.csv", ("request_id,customer_id,feature,quantity,event_time\n" + "".join(rows)).encode()
    )
    return ledger


def imported(ledger: Importing, limit_bytes: int) -> tuple[int, dict[str, Any]]:
    """Import the file where no file may grow beyond a limit, as on a full disk; return code and answer."""
    finished = subprocess.run(
        [
            *(sys.executable, "-c", _LIMITED, str(limit_bytes)),
            *("--config", str(ledger.folder / "meterledger.toml"), "--ledger", str(ledger.ledger_path)),
            *("import", str(ledger.folder / "a.csv"), "--format", "json"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in finished.stderr
    return finished.returncode, json.loads(finished.stdout)


def counted(ledger: Importing) -> tuple[int, int]:
    """Return how many usage events there are, and how many wait to be sent."""
    ((events, waiting),) = ledger.query(
        "SELECT (SELECT COUNT(*) FROM usage_events), (SELECT COUNT(*) FROM unsealed)"
    )
    return events, waiting


@pytest.mark.parametrize("limit_bytes", [400_000, 3_000_000])
def test_a_full_disk_leaves_whole_chunks(ledger: Importing, limit_bytes: int) -> None:
    """The command ends with 4 and says what to do; what it left is sound; with room it completes."""
    code, answer = imported(ledger, limit_bytes)
    assert code == 4
    assert "cannot be written" in answer["message"]
    assert "run the same command again" in answer["hint"]
    events, waiting = counted(ledger)
    assert events == waiting < _ROWS
    with open_ledger(ledger.ledger_path) as opened:
        assert [check.name for check in verify(opened) if not check.ok] == []

    code, answer = imported(ledger, 2**40)
    assert (code, answer["accepted"], answer["duplicates"]) == (0, _ROWS - events, events)
    assert counted(ledger) == (_ROWS, _ROWS)
