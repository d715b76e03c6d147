-- Before the first push, and when the ledger is older than its last push, Stripe's summaries are compared
-- with what this ledger knows: each comparison that let a push go on, and the surplus a person took as given.

CREATE TABLE comparisons (
    id INTEGER PRIMARY KEY,
    cause TEXT NOT NULL CHECK (cause IN ('first_push', 'restored', 'late_usage')),
    -- Usage with an earlier event_time may have been sent by a ledger that is lost.
    unknown_before INTEGER NOT NULL,
    -- Unsealed usage up to this one was compared.
    compared_up_to INTEGER NOT NULL CHECK (compared_up_to >= 0),
    -- Customers and meters that were compared, and those that were not: the limit, or a refused read.
    lanes INTEGER NOT NULL CHECK (lanes >= 0),
    not_compared INTEGER NOT NULL CHECK (not_compared >= 0),
    compared_at INTEGER NOT NULL
) STRICT;

CREATE TRIGGER comparisons_refuse_update BEFORE UPDATE ON comparisons
BEGIN SELECT RAISE(ABORT, 'a comparison never changes'); END;

CREATE TRIGGER comparisons_refuse_delete BEFORE DELETE ON comparisons
BEGIN SELECT RAISE(ABORT, 'a comparison is never deleted'); END;

CREATE TRIGGER comparisons_refuse_replace BEFORE INSERT ON comparisons
WHEN EXISTS (SELECT 1 FROM comparisons WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'a comparison never changes'); END;

-- Usage at Stripe that this ledger did not send, by customer, meter and window. Decimals as text: Stripe's
-- totals have no fixed scale.
CREATE TABLE baselines (
    id INTEGER PRIMARY KEY,
    comparison INTEGER NOT NULL REFERENCES comparisons (id),
    event_name TEXT NOT NULL CHECK (length(event_name) BETWEEN 1 AND 100),
    stripe_customer_id TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    window_end INTEGER NOT NULL,
    ledger_quantity TEXT NOT NULL,
    stripe_quantity TEXT NOT NULL,
    surplus TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    CHECK (window_start < window_end)
) STRICT;

CREATE INDEX baselines_by_lane ON baselines (stripe_customer_id, event_name, window_start);

CREATE TRIGGER baselines_refuse_update BEFORE UPDATE ON baselines
BEGIN SELECT RAISE(ABORT, 'a baseline never changes'); END;

CREATE TRIGGER baselines_refuse_delete BEFORE DELETE ON baselines
BEGIN SELECT RAISE(ABORT, 'a baseline is never deleted'); END;

CREATE TRIGGER baselines_refuse_replace BEFORE INSERT ON baselines
WHEN EXISTS (SELECT 1 FROM baselines WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'a baseline never changes'); END;
