"""Init: a config to fill in and an empty ledger; what exists is never overwritten."""

from collections.abc import Sequence
from pathlib import Path

from meterledger.domain.declared_meter import DeclaredMeter
from meterledger.errors import UsageError
from meterledger.ledger import create_ledger, open_ledger
from meterledger.usecases.meter_tables import meter_tables

_TEMPLATE = """\
# meterledger's config: which files usage comes from, which Stripe meters count it, when invoices close.

[ledger]
path = "meterledger.db"           # relative to this file

# Where usage comes from: meterledger import --source gateway FILE
# [sources.gateway]
# time_zone = "UTC"               # for times without an offset; without it they are refused
# key = ["request_id"]            # or ["request_id", "feature"], where one id has several features
# [sources.gateway.columns]       # our name = the name in your files
# request_id = "id"
# event_time = "ts"

@METERS@[stripe]
api = "v1"
account = ""                      # a connected account, sent as Stripe-Account

[invoicing]
grace_period = "1h"               # Stripe: Settings > Billing > Invoices; default 1h, at most 72h
billing_period = "month"
anchors = "assumed"               # "calendar": every period is a calendar month in UTC, for certain
safety_margin = "5m"
retry_time = "15m"

# [plans.pro.features.api_calls]
# included = 100000
# soft_warning = "80%"
# hard_warning = "95%"
"""


_EXAMPLE_METER = """\
# One table for each meter, named by its event_name in Stripe.
[meters.api_requests]
features = ["api_calls"]          # what your files call it; a feature belongs to one meter
aggregation = "sum"               # sum | count | last, as in Stripe
event_time_window = "none"        # none | hour | day, as in Stripe (pre-aggregated meters)
decimal_places = 0                # digits after the point that a quantity may have
customer_key = "stripe_customer_id"
value_key = "value"
dimensions = []

"""


def config_text(meters: Sequence[DeclaredMeter] = ()) -> str:
    """Return a commented config, with the account's meters or else an example."""
    tables = meter_tables(meters)
    head = "# The account's meters. `features` is what your files call them; see to decimal_places too.\n"
    return _TEMPLATE.replace("@METERS@", head + tables if tables else _EXAMPLE_METER)


def init_config(path: Path, text: str) -> bool:
    """Write the config if there is none; tell whether it was written. Raises UsageError if it cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    except OSError as error:
        raise UsageError(f"the config {path} cannot be written: {error.strerror}") from error
    return True


def init_ledger(path: Path) -> bool:
    """Make an empty ledger if there is none; tell whether it was made. Raises LedgerError if it cannot be."""
    if path.exists():
        with open_ledger(path):
            return False
    create_ledger(path)
    return True
