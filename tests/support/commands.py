"""Commands run in this process, in a folder of their own."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from meterledger.cli.main import run
from support.mending import Mending

OF_OUR_OWN = ("METERLEDGER_", "STRIPE_", "COLUMNS", "NO_COLOR", "FORCE_COLOR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout: one, and nothing else."""
        return json.loads(self.out)


class Workshop(Mending):
    """A folder with a config and a ledger, in which commands run."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        super().__init__(folder)
        self._capsys = capsys
        monkeypatch.chdir(folder)
        for name in [name for name in os.environ if name.startswith(OF_OUR_OWN)]:
            monkeypatch.delenv(name)

    def command(self, *arguments: str) -> Ended:
        """Run a command; whatever happens, it ends without a traceback, and with no words of a bug."""
        code = run(arguments)
        out, err = self._capsys.readouterr()
        assert "Traceback" not in out + err, err
        assert "this is a bug" not in out + err, err
        return Ended(code=code, out=out, err=err)
