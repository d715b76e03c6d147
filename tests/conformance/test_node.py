"""Stripe's Node client against the simulator: `node --test` over the files beside this one."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

from support.sdk_desk import START_TEXT
from support.simulator_process import SimulatorProcess

FOLDER = Path(__file__).parent / "node"
INSTALLED = FOLDER / "node_modules" / ".package-lock.json"  # npm writes it when it is done
INSTALL_SECONDS = 120.0
TEST_SECONDS = 120.0


def test_the_node_client() -> None:
    """Every test file of the folder passes with the official Node client."""
    node = program("node")
    if not INSTALLED.exists():
        install()
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


def install() -> None:
    """Install the client as the lock file pins it."""
    done = subprocess.run(
        [program("npm"), "ci", "--loglevel=error"],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    if done.returncode:
        go_without(f"npm could not install Stripe's Node client: {done.stderr}")


def program(name: str) -> str:
    """Return where a program is."""
    found = shutil.which(name)
    return found or go_without(f"{name} is not on this machine")


def go_without(reason: str) -> NoReturn:
    """Skip the test, but for a run that says it is CI: there nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
