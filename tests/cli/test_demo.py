"""The demo does the whole job, and its two sides agree."""

import os
import subprocess
import sys
from pathlib import Path


def test_the_demo_ends_with_equal_totals(tmp_path: Path) -> None:
    """All of the sample's totals are equal at the end, and nothing of it is left running or lying about."""
    environment = os.environ | {"COLUMNS": "100", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "meterledger", "demo"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "160 of 160 totals (customer and meter) are equal to the unit." in done.stderr
    for command in ("init", "import", "preview", "push", "audit", "verify"):
        assert f"$ meterledger {command}" in done.stdout
    assert "≠" not in done.stdout
    assert list(tmp_path.iterdir()) == []
