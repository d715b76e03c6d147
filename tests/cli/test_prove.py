"""`meterledger prove`, as a person and a program in CI see it."""

import json
from pathlib import Path

import pytest

from meterledger.cli.main import run
from meterledger.proving import prove as proving
from meterledger.proving.invariants import Invariant
from meterledger.proving.world import Parts
from support.broken_parts import forgetful


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a part be in the program that leaves usage out."""
    monkeypatch.setattr(proving, "Parts", lambda: Parts(ledger=forgetful))


def test_a_proof_tells_what_it_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It needs no config, ledger or key, leaves nothing behind, and every invariant is in the table."""
    monkeypatch.chdir(tmp_path)

    assert run(["prove", "--runs", "1", "--seed", "3"]) == 0
    out, err = capsys.readouterr()
    assert all(f"{one.value} " in out for one in Invariant)
    assert "Everything held in 1 histories from seed 3 on." in err
    assert list(tmp_path.iterdir()) == []


def test_json_names_every_invariant_and_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """A program reads ok, the seed, how much was done and how often each invariant was checked."""
    assert run(["prove", "--runs", "1", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)

    assert document["schema"] == "meterledger.prove/1"
    assert (document["ok"], document["runs"], document["seed"], document["failure"]) == (True, 1, 1, None)
    assert [one["name"] for one in document["invariants"]] == [one.value for one in Invariant]
    assert document["pushes"] > 0


def test_time_ends_a_proof_between_histories(capsys: pytest.CaptureFixture[str]) -> None:
    """The first history is always lived; then it is said how many of how many there were."""
    assert run(["prove", "--runs", "50", "--max-duration", "1s", "--format", "json"]) == 0
    captured = capsys.readouterr()

    assert 1 <= json.loads(captured.out)["runs"] < 50
    assert "time was up" in captured.err


@pytest.mark.usefixtures("broken")
def test_a_failure_is_a_list_of_steps_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    """What broke, the steps, and the command that lives them again."""
    assert run(["prove", "--seed", "10", "--runs", "5"]) == 1
    out, err = capsys.readouterr()

    assert "smallest failing history of seed 10" in out
    assert "import 1 rows: r" in out
    assert "BROKEN: blocked_with_reason: what is held back has a reason that is true" in err
    assert "meterledger prove --seed 10 --runs 1" in err


@pytest.mark.usefixtures("broken")
def test_a_failure_as_json_holds_the_steps(capsys: pytest.CaptureFixture[str]) -> None:
    """The document stays that of prove: a proof that fails has done its work."""
    assert run(["prove", "--seed", "10", "--format", "json"]) == 1
    document = json.loads(capsys.readouterr().out)

    assert document["schema"] == "meterledger.prove/1"
    assert (document["ok"], document["runs"]) == (False, 1)
    failure = document["failure"]
    assert (failure["seed"], failure["invariant"]) == (10, "blocked_with_reason")
    assert failure["again"] == "meterledger prove --seed 10 --runs 1"
    assert len(failure["steps"]) == 1 < failure["steps_as_drawn"]


@pytest.mark.usefixtures("broken")
def test_a_failure_as_csv_tells_its_steps_beside_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """The rows stay rows; the steps are words for people."""
    assert run(["prove", "--seed", "10", "--format", "csv"]) == 1
    out, err = capsys.readouterr()

    assert [line.partition(",")[0] for line in out.splitlines()] == ["invariant", *Invariant]
    assert "1 import 1 rows: r" in err
