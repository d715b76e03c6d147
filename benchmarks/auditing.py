"""The audit of a large ledger against one GROUP BY over the same table, in the sqlite3 shell or Python's."""

import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.data import write_config
from benchmarks.processes import PROGRAM, Finished, run
from benchmarks.scale import Scale
from benchmarks.table import Line

_CUSTOMERS = 5_000
_MOST_TIMES_THE_QUERY = 6.0
_MOST_MEGABYTES = 300
_MOST_FOR_TEN_TIMES = 11.0
_MEGABYTE = 1_000_000
_QUERY = "SELECT customer, feature, sum(quantity), count(*) FROM usage_events GROUP BY 1, 2"
_IN_PYTHON = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall()"

# Usage of the last 30 days, imported five minutes after each hour and accepted within two minutes. Billing
# periods begin on 28 different days.
_FILL = """
INSERT INTO sources (id, name) VALUES (1, 'default');
INSERT INTO features (id, name) VALUES (1, 'api_calls');
INSERT INTO imports (id, source, file, sha256, size_bytes, input_format, config_digest, program_version,
    backfill, first_of_source, started_at)
VALUES (1, 1, 'usage.csv', printf('%064d', 0), 1, 'csv', '', '', 0, 0, 0);
INSERT INTO pushes (id, api, program_version, started_at) VALUES (1, 'v1', '', 0);
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < :customers - 1)
INSERT INTO customers (id, customer_id) SELECT i + 1, printf('cus_%08d', i) FROM n;
WITH RECURSIVE n (i, t) AS (
    SELECT 0, :start UNION ALL SELECT i + 1, :start + (i + 1) * :step FROM n WHERE i < :rows - 1
)
INSERT INTO usage_events (source, request_id, customer, feature, quantity, scale, event_time, recorded_at,
    import, line)
SELECT 1, printf('%012x%020x', i, i * 2654435761 % 4294967296), 1 + i * 7919 % :customers, 1, 1 + i % 99, 0,
    t, t - t % 3600000000 + 3900000000, 1, i + 2
FROM n;
INSERT INTO meter_events (id, identifier, revision, event_name, stripe_customer_id, timestamp, payload,
    quantity, scale, usage_events, event_time, sealed_at, state, state_at, attempts, accepted_at,
    accepted_from, accepted_by, accepted_recorded_at)
SELECT u.id, printf('ml1-%064x', u.id), 0, 'api_requests', c.customer_id, u.event_time / 1000000,
    '{"stripe_customer_id":"' || c.customer_id || '","value":"' || u.quantity || '"}', u.quantity, 0, 1,
    u.event_time, u.recorded_at, 'accepted', u.recorded_at, 1, u.at, u.at, u.at, u.at
FROM (SELECT *, recorded_at + id % 120 * 1000000 AS at FROM usage_events) AS u
INNER JOIN customers AS c ON c.id = u.customer;
INSERT INTO meter_event_usage (meter_event, usage_event, linked_at)
SELECT id, id, sealed_at FROM meter_events;
"""


def bench_audit(folder: Path, scale: Scale) -> Iterator[Line]:
    """Compare the audit with one query that groups the table; its memory, and ten times as much usage."""
    write_config(folder)
    empty = _ledger(folder, "empty.db", 0)
    ledger = _ledger(folder, "audit.db", scale.rows)
    ours, peer, start = [], [], []
    for _ in scale.limited_rounds():
        start.append(_audit(folder, empty).seconds)
        ours.append(_audit(folder, ledger))
        peer.append(_grouped(ledger).seconds)
    seconds = min(one.seconds for one in ours) - min(start)
    yield Line(
        what=f"audit, {scale.rows:,} usage events, {_CUSTOMERS:,} customers, vs one GROUP BY",
        ours=f"{seconds:.2f} s",
        peer=f"{min(peer):.2f} s",
        value=seconds / min(peer),
        at_most=_MOST_TIMES_THE_QUERY,
    )
    yield Line(
        what="audit, memory",
        ours=f"{scale.rows:,} events",
        value=max(one.peak_bytes for one in ours) / _MEGABYTE,
        unit=" MB",
        at_most=_MOST_MEGABYTES,
    )
    ledger.unlink()
    many = _ledger(folder, "audit-many.db", 10 * scale.rows)
    longer = _audit(folder, many).seconds - min(start)
    many.unlink()
    yield Line(
        what=f"audit, {10 * scale.rows:,} usage events vs {scale.rows:,}",
        ours=f"{longer:.2f} s",
        peer=f"{seconds:.2f} s",
        value=longer / seconds,
        at_most=_MOST_FOR_TEN_TIMES,
    )


def _audit(folder: Path, ledger: Path) -> Finished:
    return run([PROGRAM, "--config", folder / "meterledger.toml", "--ledger", ledger, "audit"])


def _grouped(ledger: Path) -> Finished:
    shell = shutil.which("sqlite3")
    return run([shell, ledger, _QUERY] if shell else [sys.executable, "-c", _IN_PYTHON, ledger, _QUERY])


def _ledger(folder: Path, name: str, rows: int) -> Path:
    """Make a ledger whose usage was imported and sent as time went by."""
    ledger = folder / name
    program: list[str | Path] = [PROGRAM, "--config", folder / "meterledger.toml", "--ledger", ledger]
    run([*program, "init"])
    if not rows:
        return ledger
    # Only the times follow the clock, as in the files of the other benchmarks.
    now = datetime.now(UTC)  # noqa: TID251 # as said above
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    begin = today - timedelta(days=30)
    customers = folder / "customers.csv"
    with customers.open("w", encoding="ascii") as file:
        file.write("customer_id,stripe_customer_id,billing_cycle_anchor\n")
        file.writelines(
            f"cus_{number:08d},cus_{number:08d},{(begin - timedelta(days=number % 28)).isoformat()}\n"
            for number in range(_CUSTOMERS)
        )
    run([*program, "customers", "import", customers])
    values = {
        "customers": _CUSTOMERS,
        "rows": rows,
        "start": int(begin.timestamp()) * 1_000_000,
        "step": 30 * 86_400 * 1_000_000 // rows,
    }
    with closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        for statement in _FILL.split(";\n"):
            if statement.strip():
                connection.execute(statement, {k: v for k, v in values.items() if f":{k}" in statement})
        connection.execute("COMMIT")
    return ledger
