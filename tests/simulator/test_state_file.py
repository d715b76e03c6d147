"""The state file: what a restart leaves as it was, kills included, and the files that are refused."""

import json
import sqlite3
import stat
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterledger.simulator.clock import SimulatedClock
from meterledger.simulator.metering.meters import Formula, MeterSpec
from meterledger.simulator.rules import Rules
from meterledger.simulator.state.book import NoJournal
from meterledger.simulator.state.ids import IdSource
from meterledger.simulator.state_file.database import APPLICATION_ID, StateFileError
from meterledger.simulator.state_file.state_file import open_state
from simulator.conversation import DAY, EVENTS, KEY, METERS, START, Conversation, Reply, event_fields
from support.simulator_process import SimulatorProcess

Step = Callable[[Conversation], Reply]

NAMES = ("api_requests", "storage")
CUSTOMERS = ("cus_A", "cus_B", "cus_test_1")
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"Stripe-Account": "acct_other"},
    {"Authorization": "Bearer sk_live_abc"},
)


@contextmanager
def talking(
    path: Path, rules: Rules | None = None, clock: SimulatedClock | None = None
) -> Iterator[Conversation]:
    """Talk to a simulator with a state file, and let go of the file then."""
    state = open_state(path)
    try:
        yield Conversation(rules, state=state, clock=clock)
    finally:
        state.close()


def standing() -> SimulatedClock:
    """Return a clock that stands at the start."""
    return SimulatedClock(lambda: float(START), start=float(START), frozen=True)


def resumed() -> SimulatedClock:
    """Return a clock that goes on where the state file says."""
    return SimulatedClock(lambda: float(START))


@st.composite
def calls(draw: st.DrawFn) -> Step:
    """Draw a call: meters, customers, events with few identifiers and keys, summaries, turns of the clock."""
    headers = draw(st.sampled_from(HEADERS))
    key = draw(st.sampled_from([None, "key-1", "key-2", "key-\udce4"]))
    if key is not None:
        headers = headers | {"Idempotency-Key": key}
    meter = f"{METERS}/mtr_{draw(st.sampled_from(['', 'test_']))}{draw(st.integers(1, 3))}"
    kind = draw(st.sampled_from(["event", "event", "event", "meter", "customer", "turn", "change", "look"]))
    fields: dict[str, object] = {}
    method, path = "POST", EVENTS
    match kind:
        case "event":
            fields = event_fields(
                draw(st.sampled_from(["1", "2.50", "-3", "many"])), customer=draw(st.sampled_from(CUSTOMERS))
            )
            fields["event_name"] = draw(st.sampled_from(NAMES))
            if identifier := draw(st.sampled_from(["", "i1", "i2", "i3 ä"])):
                fields["identifier"] = identifier
        case "meter":
            path = METERS
            fields = {
                "display_name": "A meter",
                "event_name": draw(st.sampled_from(NAMES)),
                "default_aggregation[formula]": draw(st.sampled_from(list(Formula))),
            }
        case "customer":
            path = draw(st.sampled_from(["/v1/customers", "/v1/customers/cus_test_1"]))
            fields = {"name": draw(st.sampled_from(["Ann", "Bob"])), "metadata[a]": "b"}
        case "turn":
            path = "/_simulator/clock"
            turn = st.sampled_from(
                [{"advance": "1h"}, {"advance": "25h"}, {"mode": "running"}, {"mode": "frozen"}]
            )
            body = json.dumps(draw(turn)).encode()
            return lambda talk: talk.call("POST", path, body=body)
        case "change":
            path = draw(
                st.sampled_from([f"{meter}/deactivate", f"{meter}/reactivate", "/v1/customers/cus_test_1"])
            )
            method = "DELETE" if path.endswith("_1") else "POST"
        case _:
            method = "GET"
            query = urlencode({"customer": "cus_A", "start_time": START - DAY, "end_time": START + 9 * DAY})
            path = draw(st.sampled_from([f"{meter}/event_summaries", METERS, "/v1/customers"]))
            query = query if path.startswith(meter) else ""
            return lambda talk: talk.call("GET", path, query=query, headers=headers)
    sent = urlencode(fields).encode()
    return lambda talk: talk.call(method, path, body=sent, headers=headers)


def told(talk: Conversation, steps: Sequence[Step]) -> list[tuple[int, bytes, dict[str, str]]]:
    """Make calls, and return what is answered to each."""
    replies = [step(talk) for step in steps]
    return [(reply.status, reply.body, reply.headers) for reply in replies]


@settings(deadline=None, max_examples=150)
@given(before=st.lists(calls(), max_size=25), after=st.lists(calls(), max_size=15))
def test_a_restart_changes_no_later_answer(before: list[Step], after: list[Step]) -> None:
    """Whatever was called, a simulator that is started again answers, byte for byte, as one that ran on."""
    after = [*after, lambda talk: talk.get("/_simulator/ledger", identifiers=1)]
    straight = Conversation(clock=standing())
    straight.meter()
    told(straight, before)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        with talking(path, clock=standing()) as talk:
            talk.meter()
            told(talk, before)
        with talking(path, clock=resumed()) as talk:
            assert told(talk, after) == told(straight, after)


def test_what_was_answered_outlives_a_kill(tmp_path: Path) -> None:
    """After kill -9 every event that was answered is counted, its identifier taken and its key remembered."""
    path = tmp_path / "state.db"
    options = ("--state", str(path), "--clock", "2026-11-01T00:00:00Z", "--freeze")
    with SimulatorProcess(*options) as process:
        meter = {"display_name": "m", "event_name": "api_requests", "default_aggregation[formula]": "sum"}
        post(process, METERS, meter)
        first = [post(process, EVENTS, event_fields(identifier=f"i{n}"), key=f"k{n}") for n in range(30)]
        process.advance("1h")
        page = process.ledger(identifiers=True)
        process.process.kill()
    with SimulatorProcess("--state", str(path)) as process:
        again = process.ledger(identifiers=True)
        assert again["identifiers"] == page["identifiers"]
        assert (again["usage"], again["now"]) == (page["usage"], page["now"])
        assert post(process, EVENTS, event_fields(identifier="i7"), key="k7") == first[7]
        status, body = post(process, EVENTS, event_fields(identifier="i7"), key="another")
        assert (status, b"already exists" in body) == (400, True)
    assert process.stop() == 0


def post(
    process: SimulatorProcess, path: str, fields: Mapping[str, object], key: str | None = None
) -> tuple[int, bytes]:
    """Send a form to a simulator in a process of its own."""
    headers = {"Authorization": f"Bearer {KEY}"} | ({} if key is None else {"Idempotency-Key": key})
    request = urllib.request.Request(process.url + path, urlencode(fields).encode(), headers)  # noqa: S310 - our own loopback URL
    try:
        with urllib.request.urlopen(request) as response:  # noqa: S310 - as above
            return response.status, response.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read()


def test_a_running_clock_runs_on_and_never_goes_back(tmp_path: Path) -> None:
    """A running clock keeps its lead on the real one over a restart, also where the real one was set back."""
    path = tmp_path / "state.db"
    with talking(path, clock=SimulatedClock(lambda: 1000.0, start=5000.0)):
        pass
    with talking(path, clock=SimulatedClock(lambda: 1500.0)) as talk:
        assert talk.clock.now() == 5500.0
        talk.get("/_simulator/clock")
    with talking(path, clock=SimulatedClock(lambda: 1200.0)) as talk:
        assert talk.clock.now() == 5500.0
    with talking(path, clock=SimulatedClock(lambda: 1200.0, frozen=True)) as talk:
        assert (talk.clock.now(), talk.clock.frozen) == (5500.0, True)
    with talking(path, clock=SimulatedClock(lambda: 9000.0)) as talk:
        assert (talk.clock.now(), talk.clock.frozen) == (5500.0, True)
    with talking(path, clock=SimulatedClock(lambda: 9000.0, frozen=False)) as talk:
        assert (talk.clock.now(), talk.clock.frozen) == (5500.0, False)
    with talking(path, clock=SimulatedClock(lambda: 9000.0, start=7.0, frozen=True)) as talk:
        assert (talk.clock.now(), talk.clock.frozen) == (7.0, True)


def test_seeds_are_made_once(tmp_path: Path) -> None:
    """A restored account has its meters; of the seeds only those are made that it never had."""
    path = tmp_path / "state.db"
    one, two = (MeterSpec(display_name=name, event_name=name, formula=Formula.SUM) for name in ("one", "two"))
    with talking(path, Rules(seeds=(one,))) as talk:
        assert talk.post(f"{METERS}/mtr_test_1/deactivate", {}).status == 200
    with talking(path, Rules(seeds=(one, two))) as talk:
        meters = talk.get(METERS).document["data"]
        assert [(meter["event_name"], meter["status"]) for meter in meters] == [
            ("two", "active"),
            ("one", "inactive"),
        ]


def test_a_state_can_be_forgotten(tmp_path: Path) -> None:
    """What was forgotten is gone after a restart; what came after it is there."""
    path = tmp_path / "state.db"
    state = open_state(path)
    journal = state.journal_for(("acct_a", False))
    journal.put("last_id", "old_", 1)
    state.commit()
    state.forget()
    journal.put("last_id", "new_", 2)
    state.commit()
    state.close()
    state = open_state(path)
    ids = IdSource(NoJournal())
    state.restore(("acct_a", False), {ids.KIND: ids})
    assert (ids.next("old_", livemode=True), ids.next("new_", livemode=True)) == ("old_1", "new_3")
    state.close()


def test_the_file_is_private_and_can_be_read_by_people(tmp_path: Path) -> None:
    """Only its owner may read it; its views show events and identifiers to any SQLite client meanwhile."""
    path = tmp_path / "state.db"
    with talking(path) as talk:
        talk.meter()
        talk.event("-2.50", identifier="i1")
        talk.event("-2.50", identifier="i1")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        client = sqlite3.connect(path)
        rows = client.execute("SELECT customer, identifier, value_digits, value_places FROM counted_event")
        assert rows.fetchall() == [("cus_A", "i1", -250, 2)]
        assert client.execute("SELECT count(*) FROM invoice").fetchall() == [(0,)]
        identifiers = client.execute(
            "SELECT account, livemode, identifier, arrivals, counted FROM identifier"
        )
        assert identifiers.fetchall() == [("acct_simulator", 0, "i1", 2, 1)]
        client.close()


def test_what_cannot_be_kept_is_not_promised(tmp_path: Path) -> None:
    """While the file is locked every answer is a 500; what was counted meanwhile is kept later."""
    path = tmp_path / "state.db"
    with talking(path) as talk:
        talk.meter()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        lost = talk.event(identifier="i1", customer="cus_new")
        assert (lost.status, lost.error["type"]) == (500, "api_error")
        other.execute("ROLLBACK")
        other.close()
        assert talk.event(identifier="i2").status == 200
    with talking(path, clock=resumed()) as talk:
        assert {name: row["counted"] for name, row in talk.identifiers().items()} == {"i1": 1, "i2": 1}


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_gone_keeps_nothing(*, replaced: bool, tmp_path: Path) -> None:
    """Once the file was removed or another stands in its place every answer is a 500, until it is back."""
    path, away = tmp_path / "state.db", tmp_path / "away.db"
    with talking(path) as talk:
        talk.meter()
        path.rename(away)
        if replaced:
            path.touch()
        assert talk.event(identifier="i1").status == 500
        away.rename(path)
        assert talk.event(identifier="i2").status == 200
    with talking(path, clock=resumed()) as talk:
        assert sorted(talk.identifiers()) == ["i1", "i2"]


def make_text(path: Path) -> None:
    """Write a file that is no database."""
    path.write_text("[ledger]\n" * 200, encoding="utf-8")


def make_foreign(path: Path) -> None:
    """Write another program's database."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()


def make_newer(path: Path) -> None:
    """Write a state file of a later format."""
    with talking(path):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def make_broken(path: Path) -> None:
    """Write a state file, and ruin the pages behind its first."""
    with talking(path) as talk:
        talk.meter()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


def make_unknown(path: Path) -> None:
    """Write a state file with a kind of object that nobody knows."""
    with talking(path) as talk:
        talk.meter()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE collection SET kind = 'unicorn' WHERE kind = 'meter'")
    connection.close()


def make_unreadable(path: Path) -> None:
    """Write a state file with a document that is no meter."""
    with talking(path) as talk:
        talk.meter()
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE document SET document = '{}' WHERE key = 'mtr_test_1'",
        )
    connection.close()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (make_text, "file is not a database"),
        (make_foreign, "another program"),
        (make_newer, "newer simulator"),
        (make_broken, "malformed"),
        (make_unknown, "does not know: unicorn"),
        (make_unreadable, "meter 'mtr_test_1'"),
        (Path.mkdir, "Is a directory"),
        (lambda path: path.parent.rmdir(), "No such file or directory"),
    ],
)
def test_files_that_are_no_state_are_refused(make: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    """What is no state file is refused in one line, and stays as it is."""
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "state.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StateFileError, match=said) as caught, talking(path):
        pass
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    if make in (make_text, make_foreign, make_newer):
        assert path.read_bytes() == before


def test_a_file_in_use_is_refused_with_exit_2(tmp_path: Path) -> None:
    """A second simulator on the same file does not start; the first one goes on."""
    path = tmp_path / "state.db"
    with SimulatorProcess("--state", str(path)) as process:
        with pytest.raises(RuntimeError, match="another simulator that is running"):
            SimulatorProcess("--state", str(path))
        assert process.ledger()["usage"] == []
    assert process.stop() == 0


def test_a_file_locked_by_another_program_is_refused(tmp_path: Path) -> None:
    """A file that somebody is writing to with another client is refused after a moment."""
    path = tmp_path / "state.db"
    with talking(path):
        pass
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StateFileError, match="locked"), talking(path):
        pass
    other.close()


def test_the_file_says_whose_it_is(tmp_path: Path) -> None:
    """The application id tells programs such as `file` what it is."""
    path = tmp_path / "state.db"
    with talking(path):
        pass
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    connection.close()
