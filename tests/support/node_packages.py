"""Programs and packages of Node that some tests need, installed as a lock file beside them pins them."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

INSTALL_SECONDS = 120.0


def installed(folder: Path) -> Path:
    """Return the folder's node_modules; if need be they are installed first."""
    packages = folder / "node_modules"
    if not (packages / ".package-lock.json").exists():  # npm writes it when it is done
        done = subprocess.run(
            [program("npm"), "ci", "--loglevel=error"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
        if done.returncode:
            go_without(f"npm could not install what {folder.parent.name}/{folder.name} pins: {done.stderr}")
    return packages


def program(name: str) -> str:
    """Return where a program is."""
    found = shutil.which(name)
    return found or go_without(f"{name} is not on this machine")


def go_without(reason: str) -> NoReturn:
    """Skip the test, but for a run that says it is CI: there nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
