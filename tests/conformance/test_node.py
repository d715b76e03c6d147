"""Stripe's Node client against the simulator: `node --test` over the files beside this one."""

import os
import subprocess
from pathlib import Path

from support.node_packages import installed, program
from support.sdk_desk import START_TEXT
from support.simulator_process import SimulatorProcess

FOLDER = Path(__file__).parent / "node"
TEST_SECONDS = 120.0


def test_the_node_client() -> None:
    """Every test file of the folder passes with the official Node client."""
    node = program("node")
    installed(FOLDER)
    files = sorted(file.name for file in FOLDER.glob("*.test.mjs"))
    assert files
    with SimulatorProcess("--clock", START_TEXT, "--freeze") as simulator:
        done = subprocess.run(
            [node, "--test", "--test-concurrency=1", *files],  # one after the other: they share the clock
            cwd=FOLDER,
            env={"PATH": os.environ["PATH"], "SIMULATOR_URL": simulator.url},
            capture_output=True,
            text=True,
            timeout=TEST_SECONDS,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
