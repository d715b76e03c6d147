"""Configs written into a folder, read, or refused."""

from pathlib import Path

import pytest

from meterledger.config import Settings, load_settings
from meterledger.errors import ExitCode, UsageError

METER = '[meters.api]\nfeatures = ["calls"]\n'


def load(folder: Path, text: str | bytes) -> Settings:
    """Write a config into a folder and read it."""
    path = folder / "meterledger.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_settings(path, folder=folder)


def refusal(folder: Path, text: str | bytes) -> UsageError:
    """Return the error that reading a config ends with."""
    with pytest.raises(UsageError) as refused:
        load(folder, text)
    assert refused.value.exit_code is ExitCode.USAGE
    return refused.value
