-- Who is billed: what customers files said, kept with its history. The table `customers` is another thing:
-- the names that usage events have.

-- One customers file that brought something new.
CREATE TABLE customer_files (
    id INTEGER PRIMARY KEY,
    file TEXT NOT NULL,
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
    input_format TEXT NOT NULL,
    program_version TEXT NOT NULL,
    rows_read INTEGER NOT NULL CHECK (rows_read >= 1),
    recorded_at INTEGER NOT NULL
) STRICT;

-- What was said of one customer and subscription ('' where the file names none). It holds from effective_at
-- until the next state of the same two; of two that begin at once the one recorded later counts.
CREATE TABLE subscription_states (
    id INTEGER PRIMARY KEY,
    customer_id TEXT NOT NULL CHECK (length(customer_id) BETWEEN 1 AND 255),
    subscription_id TEXT NOT NULL CHECK (length(subscription_id) <= 255),
    stripe_customer_id TEXT NOT NULL CHECK (
        substr(stripe_customer_id, 1, 4) = 'cus_' AND length(stripe_customer_id) BETWEEN 5 AND 255
    ),
    plan TEXT CHECK (length(plan) BETWEEN 1 AND 255),
    status TEXT NOT NULL CHECK (status IN (
        'active', 'trialing', 'past_due', 'unpaid', 'paused', 'incomplete', 'incomplete_expired', 'canceled'
    )),
    billing_cycle_anchor INTEGER,
    interval_unit TEXT NOT NULL CHECK (interval_unit IN ('day', 'week', 'month', 'year')),
    interval_count INTEGER NOT NULL CHECK (interval_count >= 1),
    -- NULL: since ever, the first that was known.
    effective_at INTEGER,
    file INTEGER NOT NULL REFERENCES customer_files (id),
    line INTEGER NOT NULL CHECK (line >= 1)
) STRICT;

CREATE INDEX subscription_states_by_customer ON subscription_states (customer_id, subscription_id);

-- Only the first state can hold since ever.
CREATE UNIQUE INDEX subscription_states_since_ever ON subscription_states (customer_id, subscription_id)
WHERE effective_at IS NULL;

CREATE TRIGGER subscription_states_refuse_update BEFORE UPDATE ON subscription_states
BEGIN SELECT RAISE(ABORT, 'what was said of a customer never changes'); END;

CREATE TRIGGER subscription_states_refuse_delete BEFORE DELETE ON subscription_states
BEGIN SELECT RAISE(ABORT, 'what was said of a customer is never deleted'); END;

CREATE TRIGGER subscription_states_refuse_replace BEFORE INSERT ON subscription_states
WHEN EXISTS (SELECT 1 FROM subscription_states WHERE id = NEW.id)
    OR (NEW.effective_at IS NULL AND EXISTS (
        SELECT 1 FROM subscription_states
        WHERE customer_id = NEW.customer_id AND subscription_id = NEW.subscription_id
    ))
BEGIN SELECT RAISE(ABORT, 'what was said of a customer never changes'); END;

CREATE TRIGGER customer_files_refuse_update BEFORE UPDATE ON customer_files
BEGIN SELECT RAISE(ABORT, 'a customers file that was imported never changes'); END;

CREATE TRIGGER customer_files_refuse_delete BEFORE DELETE ON customer_files
BEGIN SELECT RAISE(ABORT, 'a customers file that was imported is never deleted'); END;

CREATE TRIGGER customer_files_refuse_replace BEFORE INSERT ON customer_files
WHEN EXISTS (SELECT 1 FROM customer_files WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'a customers file that was imported never changes'); END;
