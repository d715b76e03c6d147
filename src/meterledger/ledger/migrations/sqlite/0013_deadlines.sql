-- What Stripe said of subscriptions and invoices, as far as it decides when usage is billed: a row where
-- something is new, so that what was known at any time can be told. And the deadlines that were moved.

-- One reading of both. 0: that list was refused or could not be read whole.
CREATE TABLE billing_pulls (
    id INTEGER PRIMARY KEY,
    account_id TEXT,
    mode TEXT NOT NULL CHECK (mode IN ('test', 'live')),
    host TEXT NOT NULL,
    stripe_account TEXT NOT NULL,
    subscriptions_read INTEGER NOT NULL CHECK (subscriptions_read IN (0, 1)),
    invoices_read INTEGER NOT NULL CHECK (invoices_read IN (0, 1)),
    recorded_at INTEGER NOT NULL
) STRICT;

-- A subscription item that bills a meter. ended_at is also when it was first missed in a complete list.
CREATE TABLE billing_items (
    id INTEGER PRIMARY KEY,
    item_id TEXT NOT NULL CHECK (length(item_id) BETWEEN 1 AND 255),
    subscription_id TEXT NOT NULL CHECK (length(subscription_id) BETWEEN 1 AND 255),
    stripe_customer_id TEXT NOT NULL CHECK (length(stripe_customer_id) BETWEEN 1 AND 255),
    event_name TEXT NOT NULL CHECK (length(event_name) BETWEEN 1 AND 100),
    price_id TEXT NOT NULL CHECK (length(price_id) BETWEEN 1 AND 255),
    status TEXT NOT NULL,
    billing_mode TEXT,
    anchor INTEGER NOT NULL,
    interval_unit TEXT NOT NULL CHECK (interval_unit IN ('day', 'week', 'month', 'year')),
    interval_count INTEGER NOT NULL CHECK (interval_count >= 1),
    start_at INTEGER NOT NULL,
    period_start INTEGER NOT NULL,
    period_end INTEGER NOT NULL,
    cancel_at INTEGER,
    ended_at INTEGER,
    has_thresholds INTEGER NOT NULL CHECK (has_thresholds IN (0, 1)),
    has_pending_update INTEGER NOT NULL CHECK (has_pending_update IN (0, 1)),
    recorded_at INTEGER NOT NULL,
    CHECK (period_start < period_end)
) STRICT;

CREATE INDEX billing_items_by_item ON billing_items (item_id);

-- An invoice of a subscription; finalizes_at is Stripe's automatically_finalizes_at.
CREATE TABLE billing_invoices (
    id INTEGER PRIMARY KEY,
    invoice_id TEXT NOT NULL CHECK (length(invoice_id) BETWEEN 1 AND 255),
    subscription_id TEXT NOT NULL CHECK (length(subscription_id) <= 255),
    stripe_customer_id TEXT NOT NULL CHECK (length(stripe_customer_id) BETWEEN 1 AND 255),
    status TEXT NOT NULL,
    billing_reason TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    auto_advance INTEGER NOT NULL CHECK (auto_advance IN (0, 1)),
    finalizes_at INTEGER,
    finalized_at INTEGER,
    finalization_error TEXT,
    recorded_at INTEGER NOT NULL
) STRICT;

CREATE INDEX billing_invoices_by_invoice ON billing_invoices (invoice_id);

-- Which item's usage an invoice bills, of [start_at, end_at), at which price.
CREATE TABLE billing_lines (
    invoice INTEGER NOT NULL REFERENCES billing_invoices (id),
    item_id TEXT NOT NULL CHECK (length(item_id) BETWEEN 1 AND 255),
    start_at INTEGER NOT NULL,
    end_at INTEGER NOT NULL,
    price_id TEXT NOT NULL,
    PRIMARY KEY (invoice, item_id, start_at, end_at, price_id),
    CHECK (start_at < end_at)
) STRICT, WITHOUT ROWID;

-- The intent to move a draft's deadline, committed before the request leaves.
CREATE TABLE deadline_extensions (
    id INTEGER PRIMARY KEY,
    invoice_id TEXT NOT NULL CHECK (length(invoice_id) BETWEEN 1 AND 255),
    stripe_customer_id TEXT NOT NULL CHECK (length(stripe_customer_id) BETWEEN 1 AND 255),
    from_deadline INTEGER NOT NULL,
    to_deadline INTEGER NOT NULL,
    idempotency_key TEXT NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    requested_at INTEGER NOT NULL,
    CHECK (to_deadline > from_deadline)
) STRICT;

CREATE INDEX deadline_extensions_by_invoice ON deadline_extensions (invoice_id);

-- What became of it, by what the invoice said afterwards; deadline is what it said then. There is no row as
-- long as nobody knows.
CREATE TABLE deadline_extension_outcomes (
    extension INTEGER PRIMARY KEY REFERENCES deadline_extensions (id),
    outcome TEXT NOT NULL CHECK (outcome IN ('extended', 'not_extended')),
    http_status INTEGER,
    message TEXT NOT NULL CHECK (length(message) <= 500),
    deadline INTEGER,
    recorded_at INTEGER NOT NULL,
    CHECK (outcome <> 'extended' OR deadline IS NOT NULL)
) STRICT;

CREATE TRIGGER deadline_extension_outcomes_refuse_unproved BEFORE INSERT ON deadline_extension_outcomes
WHEN NEW.outcome = 'extended' AND NEW.deadline < (
    SELECT to_deadline FROM deadline_extensions WHERE id = NEW.extension
)
BEGIN SELECT RAISE(ABORT, 'extended means that the invoice said so'); END;

CREATE TRIGGER deadline_extensions_refuse_second_open BEFORE INSERT ON deadline_extensions
WHEN EXISTS (
    SELECT 1 FROM deadline_extensions AS e
    WHERE e.invoice_id = NEW.invoice_id
        AND NOT EXISTS (SELECT 1 FROM deadline_extension_outcomes AS o WHERE o.extension = e.id)
)
BEGIN SELECT RAISE(ABORT, 'an earlier extension of this invoice is not settled'); END;

CREATE TRIGGER billing_pulls_refuse_update BEFORE UPDATE ON billing_pulls
BEGIN SELECT RAISE(ABORT, 'a pull never changes'); END;

CREATE TRIGGER billing_pulls_refuse_delete BEFORE DELETE ON billing_pulls
BEGIN SELECT RAISE(ABORT, 'a pull is never deleted'); END;

CREATE TRIGGER billing_pulls_refuse_replace BEFORE INSERT ON billing_pulls
WHEN EXISTS (SELECT 1 FROM billing_pulls WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'a pull never changes'); END;

CREATE TRIGGER billing_items_refuse_update BEFORE UPDATE ON billing_items
BEGIN SELECT RAISE(ABORT, 'what was said of an item never changes'); END;

CREATE TRIGGER billing_items_refuse_delete BEFORE DELETE ON billing_items
BEGIN SELECT RAISE(ABORT, 'what was said of an item is never deleted'); END;

CREATE TRIGGER billing_items_refuse_replace BEFORE INSERT ON billing_items
WHEN EXISTS (SELECT 1 FROM billing_items WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'what was said of an item never changes'); END;

CREATE TRIGGER billing_invoices_refuse_update BEFORE UPDATE ON billing_invoices
BEGIN SELECT RAISE(ABORT, 'what was said of an invoice never changes'); END;

CREATE TRIGGER billing_invoices_refuse_delete BEFORE DELETE ON billing_invoices
BEGIN SELECT RAISE(ABORT, 'what was said of an invoice is never deleted'); END;

CREATE TRIGGER billing_invoices_refuse_replace BEFORE INSERT ON billing_invoices
WHEN EXISTS (SELECT 1 FROM billing_invoices WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'what was said of an invoice never changes'); END;

CREATE TRIGGER billing_lines_refuse_update BEFORE UPDATE ON billing_lines
BEGIN SELECT RAISE(ABORT, 'what was said of an invoice never changes'); END;

CREATE TRIGGER billing_lines_refuse_delete BEFORE DELETE ON billing_lines
BEGIN SELECT RAISE(ABORT, 'what was said of an invoice is never deleted'); END;

CREATE TRIGGER billing_lines_refuse_replace BEFORE INSERT ON billing_lines
WHEN EXISTS (SELECT 1 FROM billing_lines WHERE invoice = NEW.invoice AND item_id = NEW.item_id AND start_at = NEW.start_at
        AND end_at = NEW.end_at AND price_id = NEW.price_id)
BEGIN SELECT RAISE(ABORT, 'what was said of an invoice never changes'); END;

CREATE TRIGGER deadline_extensions_refuse_update BEFORE UPDATE ON deadline_extensions
BEGIN SELECT RAISE(ABORT, 'an intent never changes'); END;

CREATE TRIGGER deadline_extensions_refuse_delete BEFORE DELETE ON deadline_extensions
BEGIN SELECT RAISE(ABORT, 'an intent is never deleted'); END;

CREATE TRIGGER deadline_extensions_refuse_replace BEFORE INSERT ON deadline_extensions
WHEN EXISTS (SELECT 1 FROM deadline_extensions WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'an intent never changes'); END;

CREATE TRIGGER deadline_extension_outcomes_refuse_update BEFORE UPDATE ON deadline_extension_outcomes
BEGIN SELECT RAISE(ABORT, 'an outcome never changes'); END;

CREATE TRIGGER deadline_extension_outcomes_refuse_delete BEFORE DELETE ON deadline_extension_outcomes
BEGIN SELECT RAISE(ABORT, 'an outcome is never deleted'); END;

CREATE TRIGGER deadline_extension_outcomes_refuse_replace BEFORE INSERT ON deadline_extension_outcomes
WHEN EXISTS (SELECT 1 FROM deadline_extension_outcomes WHERE extension = NEW.extension)
BEGIN SELECT RAISE(ABORT, 'an outcome never changes'); END;
