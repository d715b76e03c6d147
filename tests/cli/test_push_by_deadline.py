"""The order of a push at a month's end, on the simulator's clock: what finalizes first goes first."""

import json
import os
from pathlib import Path

import pytest

from meterledger.cli.main import run
from meterledger.errors import ExitCode
from support.commands import OF_OUR_OWN
from support.sdk_billing import billed
from support.sdk_desk import KEY, SdkDesk

CONFIG = '[meters.api_requests]\nfeatures = ["calls"]\n[invoicing]\ngrace_period = "1h"\n'


def done(*arguments: str) -> None:
    """Run a command that ends with 0."""
    assert run(arguments) == ExitCode.DONE


def test_the_draft_that_finalizes_in_ten_minutes_goes_before_the_one_that_was_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Older usage of a customer whose draft was extended goes later; preview, audit and push agree."""
    (tmp_path / "meterledger.toml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(OF_OUR_OWN)]:
        monkeypatch.delenv(name)
    with SdkDesk() as desk:
        monkeypatch.setenv("STRIPE_API_BASE", desk.simulator.url)
        monkeypatch.setenv("STRIPE_API_KEY", KEY)
        monkeypatch.setenv("METERLEDGER_CLOCK", "server")
        made = billed(desk)
        soon = made.customer.id
        moved = desk.client.v1.customers.create({"name": "Moved"}).id
        desk.client.v1.subscriptions.create({"customer": moved, "items": [{"price": made.price.id}]})
        done("init")
        desk.simulator.set_clock("2026-11-20T00:00:00Z")
        rows = [
            {
                "request_id": f"{customer}-{day}",
                "customer_id": customer,
                "feature": "calls",
                "quantity": 12,
                "event_time": f"2026-11-{day}T00:00:00Z",
            }
            for customer, day in ((moved, 10), (moved, 11), (soon, 15))
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "usage.jsonl").write_text(lines, encoding="utf-8")
        done("import", "usage.jsonl")
        desk.simulator.set_clock("2026-12-01T00:30:00Z")
        done("deadline", "extend", "--customer", moved, "--by", "100h", "--yes")
        desk.simulator.set_clock("2026-12-01T00:50:00Z")
        capsys.readouterr()
        done("preview", "--format", "jsonl")
        shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [one["payload"]["stripe_customer_id"] for one in shown] == [soon, moved, moved]

        done("push", "--limit", "1")
        desk.simulator.set_clock("2026-12-01T01:00:01Z")
        drafts = {
            str(one.customer): (one.status, [line.quantity for line in one.lines.data])
            for one in desk.client.v1.invoices.list().data
            if one.billing_reason == "subscription_cycle"
        }
        assert drafts[soon] == ("open", [12])
        assert drafts[moved][0] == "draft"
        # Past the 72 hours that any draft has, the one that was moved is open still.
        desk.simulator.set_clock("2026-12-05T00:00:00Z")
        done("push")
        desk.simulator.set_clock("2026-12-05T05:00:01Z")
        (invoice,) = [
            one
            for one in desk.client.v1.invoices.list({"customer": moved}).data
            if one.billing_reason == "subscription_cycle"
        ]
        assert (invoice.status, [line.quantity for line in invoice.lines.data]) == ("open", [24])
