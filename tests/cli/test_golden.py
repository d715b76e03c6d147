"""
Every report as a person and a program see it, word for word, at a month's end on the simulator's clock.

UPDATE_GOLDEN=1 rewrites the files in golden/; read the difference before you keep it.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.simulator_process import SimulatorProcess

GOLDEN = Path(__file__).parent / "golden"
NOW = "2026-11-01T00:20:00Z"
CONFIG = """\
[sources.workers.columns]
request_id = "id"
customer_id = "account"
quantity = "amount"
event_time = "at"
received_at = "seen"
[meters.api_requests]
features = ["api_calls"]
decimal_places = 1
[meters.seats]
features = ["seats"]
aggregation = "last"
[invoicing]
grace_period = "1h"
"""
USAGE_CSV = """\
request_id,customer_id,feature,quantity,event_time,note
r1,cus_alpha,api_calls,12.5,2026-10-31T22:00:00Z,
r2,cus_alpha,api_calls,7,2026-10-31T23:59:59.9Z,"two
lines"
r3,cus_béta,api_calls,1000,2026-10-30T08:00:00+02:00,
r3,cus_béta,api_calls,1000.0,2026-10-30T06:00:00Z,the same by value and instant
r3,cus_béta,api_calls,999,2026-10-30T06:00:00Z,another quantity
r4,acme,api_calls,1,2026-10-31T10:00:00Z,no Stripe customer
r5,cus_alpha,api_calls,1,2026-09-01T00:00:00Z,too old
r6,cus_alpha,api_calls,1,2026-11-01T01:00:00Z,in the future
r7,cus_alpha,api_calls,n/a,2026-10-31T10:00:00Z,
r8,cus_alpha,api_call,1,2026-10-31T10:00:00Z,
r9,cus_alpha,api_calls,0.25,2026-10-31T10:00:00Z,
"""
USAGE_JSONL = """\
{"id":"w1","account":"cus_alpha","feature":"seats","amount":3,"at":1793404800,"seen":"2026-10-31T01:00:00Z"}
{"id":"w2","account":"cus_alpha","feature":"seats","amount":5,"at":1793448000000,"seen":"2026-10-31T13:00:00Z"}
{"id":"w3","account":"cus_alpha","feature":"seats","amount":null,"at":1793448000}
"""
CUSTOMERS_CSV = """\
customer_id,stripe_customer_id,subscription_id,plan,status,billing_cycle_anchor,interval,effective_at
acme,cus_acme,,pro,,,,
alpha,cus_alpha,sub_1,pro,past_due,2026-01-31T09:30:00Z,3 months,
alpha,cus_beta,sub_2,,,,year,
béta,cus_béta,,,canceled,,,2026-10-15T00:00:00Z
"""
CUSTOMERS_BAD_CSV = """\
customer_id,stripe_customer_id,status,interval
acme,acme,,
acme,cus_acme,ended,
alpha,cus_alpha,,quarter
alpha,cus_alpha,,month
"""
USAGE_WITH_CUSTOMERS_CSV = """\
request_id,customer_id,subscription_id,feature,quantity,event_time
c1,acme,,api_calls,1,2026-10-31T20:00:00Z
c2,alpha,,api_calls,1,2026-10-31T20:00:00Z
c3,alpha,sub_3,api_calls,1,2026-10-31T20:00:00Z
c4,béta,,api_calls,1,2026-10-31T20:00:00Z
c5,béta,,api_calls,1,2026-10-14T20:00:00Z
c6,gamma,,api_calls,1,2026-10-31T20:00:00Z
"""


@dataclass(frozen=True)
class Result:
    """What a command printed, and how it ended."""

    stdout: str
    stderr: str
    code: int


@dataclass(frozen=True)
class Shell:
    """Runs commands in one folder against one simulator whose clock stands still."""

    folder: Path
    url: str

    def run(self, *arguments: str) -> Result:
        """Run one command as its user would."""
        environment = {
            "PATH": os.environ["PATH"],
            "COLUMNS": "100",
            "STRIPE_API_KEY": "sk_test_golden",
            "STRIPE_API_BASE": self.url,
            "METERLEDGER_CLOCK": "server",
            "PYTHONWARNINGS": "error",
            # The sources under test, wherever they are.
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }
        done = subprocess.run(
            [sys.executable, "-m", "meterledger", *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        # How often the server's clock is asked in between depends on how quick the machine is.
        printed = re.sub(r"\breq_\d+", "req_N", done.stdout)
        return Result(printed, done.stderr, done.returncode)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Yield a shell in a folder with a config and usage files."""
    folder = tmp_path_factory.mktemp("golden")
    (folder / "meterledger.toml").write_text(CONFIG)
    (folder / "usage.csv").write_text(USAGE_CSV)
    (folder / "usage.jsonl").write_text(USAGE_JSONL)
    (folder / "customers.csv").write_text(CUSTOMERS_CSV)
    (folder / "customers-bad.csv").write_text(CUSTOMERS_BAD_CSV)
    (folder / "usage-with-customers.csv").write_text(USAGE_WITH_CUSTOMERS_CSV)
    with SimulatorProcess(
        "--clock", NOW, "--freeze", "--seed-from", str(folder / "meterledger.toml")
    ) as simulator:
        yield Shell(folder, simulator.url)


# In this order: each builds on those before.
STEPS = [
    ("init", ["init"], 0),
    ("import-dry-run", ["import", "--dry-run", "usage.csv"], 1),
    ("import-strict", ["import", "--strict", "usage.csv"], 1),
    ("import-csv", ["import", "usage.csv"], 1),
    ("import-jsonl", ["import", "--source", "workers", "--format", "json", "usage.jsonl"], 1),
    ("import-missing", ["import", "nothing.csv", "usage.csv", "--format", "json"], 3),
    ("imports-list", ["imports", "list"], 0),
    ("imports-list-json", ["imports", "list", "--format", "json"], 0),
    ("rejects-list", ["rejects", "list"], 0),
    ("rejects-list-json", ["rejects", "list", "--format", "json"], 0),
    ("status-before", ["status"], 0),
    ("audit-before", ["audit"], 1),
    ("preview", ["preview"], 0),
    ("preview-json", ["preview", "--format", "json"], 0),
    ("preview-jsonl", ["preview", "--format", "jsonl"], 0),
    ("push", ["push"], 1),
    ("push-again-json", ["push", "--format", "json"], 1),
    ("status-after", ["status"], 0),
    ("status-after-json", ["status", "--format", "json"], 0),
    ("audit-after", ["audit"], 1),
    ("audit-after-json", ["audit", "--format", "json"], 1),
    ("audit-by-customer-csv", ["audit", "--by", "customer", "--format", "csv"], 1),
    ("audit-explain", ["audit", "--customer", "cus_alpha", "--explain"], 1),
    (
        "audit-explain-json",
        ["audit", "--customer", "cus_alpha", "--explain", "--format", "json"],
        1,
    ),
    ("audit-explain-csv", ["audit", "--customer", "cus_alpha", "--explain", "--format", "csv"], 1),
    ("explain-request", ["explain", "r2"], 0),
    ("explain-request-json", ["explain", "r2", "--format", "json"], 0),
    ("explain-customer", ["explain", "acme"], 0),
    ("verify", ["verify"], 0),
    ("nothing-known", ["explain", "nobody"], 2),
    ("customers-bad", ["customers", "import", "customers-bad.csv"], 1),
    ("customers-import", ["customers", "import", "customers.csv"], 0),
    ("customers-again-json", ["customers", "import", "customers.csv", "--format", "json"], 0),
    ("customers-list", ["customers", "list"], 0),
    ("customers-list-json", ["customers", "list", "--customer", "acme", "--format", "json"], 0),
    ("import-with-customers", ["import", "usage-with-customers.csv"], 1),
    ("preview-with-customers", ["preview"], 0),
    ("explain-with-customers", ["explain", "acme"], 0),
    ("resolve-unknown", ["resolve", "ml1-none", "--as", "sent", "--note", "seen"], 2),
]


def test_every_report_is_as_kept(shell: Shell) -> None:
    """Each command of a month's end prints what it printed when somebody last read it, with its exit code."""
    differing = []
    for name, arguments, code in STEPS:
        result = shell.run(*arguments)
        shown = (
            (
                f"$ meterledger {' '.join(arguments)}\n{result.stdout}--- stderr ---\n{result.stderr}"
                f"--- exit code {result.code} ---\n"
            )
            .replace(shell.url, "http://SIMULATOR")
            .replace(str(shell.folder), "FOLDER")
        )
        kept = GOLDEN / f"{name}.txt"
        if os.environ.get("UPDATE_GOLDEN"):
            kept.write_text(shown)
        if not kept.exists() or kept.read_text() != shown or result.code != code:
            differing.append(f"{name} (exit code {result.code})\n{shown}")

    assert not differing, "\n".join(differing)
