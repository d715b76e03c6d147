"""The built wheel carries all that the program reads, and works without its source beside it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_sql_migrations_and_sample(wheel: Path) -> None:
    """Every file that is read at run time is inside, and no test or benchmark is."""
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src").rglob("*")
        if path.suffix in (".py", ".sql", ".typed")
    }

    assert sources <= names
    assert {"meterledger/sample_data/usage-gateway.csv", "meterledger/sample_data/meterledger.toml"} <= names
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "docs"))]


def test_an_installed_wheel_runs_and_finds_its_sample(wheel: Path, tmp_path: Path) -> None:
    """Unpacked elsewhere, the command answers, and the sample is that of the package."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    shown = subprocess.run(
        [sys.executable, "-m", "meterledger", "--help"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    where = subprocess.run(
        [sys.executable, "-c", "from meterledger.usecases.sample import *; print(sample_folder())"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )

    assert "push" in shown.stdout
    assert str(tmp_path / "meterledger" / "sample_data") == where.stdout.strip()
