"""Key, meter, customer, disk and clock change while a push runs; then the cause is mended."""

import resource
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from support.meddling_proxy import Meddle, Meddling, lets_through
from support.scripted_server import Request, answer
from support.till import CUSTOMERS, KEY, Till, open_tills

REVOKED = {"error": {"type": "invalid_request_error", "message": f"Invalid API Key provided: {KEY}"}}
SENDS = ("/v1/billing/meter_events", "/v2/billing/meter_events", "/v2/billing/meter_event_stream")
DAY_SECONDS = 86_400
ONE_AFTER_THE_OTHER = ("--concurrency", "1")


@pytest.fixture(scope="module")
def tills(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Till]]:
    """Start one simulator for all tests here; it knows its four customers only."""
    with open_tills(tmp_path_factory.mktemp("tills"), "--known-customers-only") as tills:
        yield tills


@pytest.fixture
def till(tills: Callable[[Path], Till], tmp_path: Path) -> Till:
    """Make a ledger of one's own."""
    return tills(tmp_path)


def at(request_number: int, happens: Callable[[], object]) -> Meddle:
    """Let something happen when such a request that sends usage comes, before it is carried out."""
    seen = 0

    def meddle(request: Request) -> None:
        nonlocal seen
        seen += request.target in SENDS
        if seen == request_number and request.target in SENDS:
            happens()

    return meddle


def told(till: Till, method: str, path: str) -> None:
    """Ask the simulator for something, past the proxy."""
    request = urllib.request.Request(  # noqa: S310 # always our own loopback URL
        till.simulator.url + path, method=method, headers={"Authorization": f"Bearer {KEY}"}
    )
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310 # as above
        pass


@pytest.mark.parametrize("way", ["v1", "v2"])
def test_a_key_that_is_revoked_in_mid_run_stops_it(till: Till, way: str) -> None:
    """What went before is accepted, the rest pending, and the push ends with exit code 5."""
    seen = 0

    def meddle(request: Request) -> Meddling | None:
        nonlocal seen
        seen += request.target in SENDS
        return Meddling(answer=answer(401, REVOKED)) if seen > 1 else None

    till.proxy.meddle = meddle
    ended = till.push(way, *ONE_AFTER_THE_OTHER)
    assert ended.code == 5
    assert "401: Invalid API Key provided" in ended.document["message"]
    assert "mend that" in ended.document["hint"]
    assert till.status() == {"accepted": 1, "pending": CUSTOMERS - 1}
    again = till.push(way)
    assert again.code == 5
    assert "refused the key (401)" in again.document["message"]
    till.mended(way)


@pytest.mark.parametrize("path", ["/v2/billing/meter_event_session", "/v2/billing/meter_event_stream"])
def test_a_key_that_is_revoked_before_the_stream_stops_it(till: Till, path: str) -> None:
    """Neither a session nor a batch is had without a key: all is pending."""
    till.proxy.meddle = lambda request: (
        Meddling(answer=answer(401, REVOKED)) if request.target == path else None
    )
    ended = till.push("stream")
    assert ended.code == 5
    assert "401: Invalid API Key provided" in ended.document["message"]
    assert till.status() == {"pending": CUSTOMERS}
    till.mended("stream")


@pytest.mark.parametrize("way", ["v1", "v2"])
def test_a_meter_that_is_deactivated_in_mid_run_blocks_its_usage(till: Till, way: str) -> None:
    """The run stops, the next one blocks the rest as `no_meter`, and with the meter back it goes."""
    till.proxy.meddle = at(2, lambda: told(till, "POST", "/v1/billing/meters/mtr_test_1/deactivate"))
    ended = till.push(way, *ONE_AFTER_THE_OTHER)
    assert ended.code == 5
    assert "400: " in ended.document["message"]
    assert till.status() == {"accepted": 1, "pending": CUSTOMERS - 1}
    ended = till.push(way)
    assert (ended.code, ended.document["blocked"]) == (1, CUSTOMERS - 1)
    assert "no_meter" in till.run("status").out
    told(till, "POST", "/v1/billing/meters/mtr_test_1/reactivate")
    till.mended(way)


def test_a_meter_that_is_deactivated_in_mid_run_is_reported_by_the_stream(till: Till) -> None:
    """The stream takes everything, its error report rejects all, and nothing goes again but by a person."""
    till.proxy.meddle = at(1, lambda: told(till, "POST", "/v1/billing/meters/mtr_test_1/deactivate"))
    assert till.push("stream").document["accepted"] == CUSTOMERS
    till.proxy.meddle = lets_through
    till.set_clock_ahead(60)
    till.simulator.advance("60s")
    told(till, "POST", "/v1/billing/meters/mtr_test_1/reactivate")
    ended = till.run("reconcile", "--errors-only", "--format", "json")
    assert (ended.code, ended.document["settled"]["rejected"]) == (1, CUSTOMERS)
    assert till.status() == {"rejected": CUSTOMERS}
    ended = till.push("stream", "--retry-rejected")
    assert (ended.code, ended.document["accepted"]) == (0, CUSTOMERS)
    till.check_counted_once()


def test_a_customer_that_is_deleted_in_mid_run_is_rejected(till: Till) -> None:
    """Stripe never takes its usage: rejected, exit code 1, and closed for good by a person's word."""

    def delete() -> None:
        for number in range(1, CUSTOMERS):
            told(till, "DELETE", f"/v1/customers/cus_{number}")

    till.proxy.meddle = at(2, delete)
    ended = till.push("v1", *ONE_AFTER_THE_OTHER)
    assert ended.code == 1
    assert till.status() == {"accepted": 1, "rejected": CUSTOMERS - 1}
    assert "No such customer" in till.run("status").out
    ended = till.push("v1")
    assert (ended.code, ended.document["sealed"]) == (1, 0)
    closing = ("write-off", "--reason", "rejected", "--note", "nobody is left to bill", "--yes")
    ended = till.run(*closing, "--format", "json")
    assert (ended.code, ended.document["written_off"]) == (0, CUSTOMERS - 1)
    assert till.push("v1").code == 0
    assert till.run("verify").code == 0
    assert {row["customer"]: row["total"] for row in till.simulator.ledger()["usage"]} == {"cus_0": "1"}


@pytest.mark.parametrize("way", ["v1", "v2", "stream"])
def test_a_disk_that_is_full_before_the_outcome_is_written(till: Till, way: str) -> None:
    """The claim is there and its outcome is not: the next push sends it again under its identifier."""
    full, started = Event(), Event()

    def meddle(request: Request) -> None:
        if request.target in SENDS and not full.is_set():
            started.wait()
            log = till.folder / "meterledger.db-wal"
            size = log.stat().st_size
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, size))
            full.set()

    till.proxy.meddle = meddle
    process = till.start("push", "--api", way, "--format", "json")
    started.set()
    ended = till.ended(process)
    assert full.is_set()
    assert ended.code == 4
    assert "cannot be written" in ended.document["message"]
    assert "make room on the disk" in ended.document["hint"]
    assert till.status() == {"sending": CUSTOMERS}
    till.mended(way)


@pytest.mark.parametrize(("way", "number"), [("v1", 2), ("v2", 4), ("stream", 1)])
def test_a_clock_that_is_set_back_a_day_in_mid_run(till: Till, way: str, number: int) -> None:
    """No attempt looks younger than it is: commands refuse the ledger until the clock is right again."""
    till.proxy.meddle = at(number, lambda: till.set_clock_ahead(-DAY_SECONDS))
    ended = till.push(way, *ONE_AFTER_THE_OTHER)
    assert (ended.code, ended.document["accepted"]) == (0, CUSTOMERS)
    again = till.push(way)
    assert again.code == 4
    assert "set this machine's clock right" in again.document["hint"]
    till.set_clock_ahead(0)
    till.mended(way)


def test_a_clock_that_was_set_back_a_day_refuses_to_push(till: Till) -> None:
    """The ledger knows a later instant: exit code 4, nothing is asked; it goes on once the clock is right."""
    till.set_clock_ahead(-DAY_SECONDS)
    ended = till.push("v1")
    assert ended.code == 4
    assert not till.proxy.requests
    till.set_clock_ahead(0)
    till.mended("v1")


@pytest.mark.parametrize("way", ["v1", "stream"])
def test_a_folder_that_is_made_read_only_in_mid_run(till: Till, way: str) -> None:
    """What is open stays writable: all is sent. Afterwards nothing is asked of Stripe until it is mended."""

    def lock() -> None:
        for path in (till.ledger_path, till.folder / "meterledger.db-wal", till.folder):
            path.chmod(path.stat().st_mode & ~0o222)

    till.proxy.meddle = at(1, lock)
    ended = till.push(way)
    assert ended.code == 0
    assert any("meterledger.db.head" in warning for warning in ended.document["warnings"])
    till.proxy.requests.clear()
    again = till.push(way)
    assert again.code == 4
    assert "cannot be written" in again.document["message"]
    assert not till.proxy.requests
    till.folder.chmod(0o700)
    for path in till.folder.iterdir():
        path.chmod(0o600)
    till.mended(way)


def test_a_ledger_that_is_read_only_sends_nothing(till: Till) -> None:
    """Exit code 4 before Stripe is asked for anything."""
    till.ledger_path.chmod(0o400)
    ended = till.push("v1")
    assert ended.code == 4
    assert "cannot be written" in ended.document["message"]
    assert "permissions" in ended.document["hint"]
    assert not till.proxy.requests
    till.ledger_path.chmod(0o600)
    till.mended("v1")
