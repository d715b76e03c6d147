-- What an import keeps of its file and of how it was read; usage that is closed without being sent; keys
-- that are free again after their import was taken back.

-- How the rows were read: the source's mapping as JSON, and what is needed to read one row again.
ALTER TABLE imports ADD COLUMN mapping TEXT;
ALTER TABLE imports ADD COLUMN header TEXT;
ALTER TABLE imports ADD COLUMN delimiter TEXT;
ALTER TABLE imports ADD COLUMN compression TEXT;
-- Where the file was; NULL for standard input.
ALTER TABLE imports ADD COLUMN path TEXT;
-- Told to Stripe by an older system: its usage counts and is never sent.
ALTER TABLE imports ADD COLUMN already_billed INTEGER NOT NULL DEFAULT 0 CHECK (already_billed IN (0, 1));
-- Its rows brought identifiers that are kept verbatim.
ALTER TABLE imports ADD COLUMN keeps_identifier INTEGER NOT NULL DEFAULT 0 CHECK (keeps_identifier IN (0, 1));
-- Why the file was not read to its end, where that is known: damaged, changed while it was read.
ALTER TABLE imports ADD COLUMN incomplete_because TEXT;
-- The import whose refused rows were read again.
ALTER TABLE imports ADD COLUMN retry_of INTEGER REFERENCES imports (id);
ALTER TABLE imports ADD COLUMN voided_at INTEGER;
ALTER TABLE imports ADD COLUMN void_note TEXT;

-- What a person said when closing a refused row, and the usage event it became.
ALTER TABLE rejects ADD COLUMN closed_note TEXT;
ALTER TABLE rejects ADD COLUMN accepted_as INTEGER REFERENCES usage_events (id);

-- Invariant 3: one usage key, one usage event. An import that is taken back before it was sent frees its
-- keys: the next usage event of such a key is of the next generation.
ALTER TABLE usage_events ADD COLUMN generation INTEGER NOT NULL DEFAULT 0 CHECK (generation >= 0);
DROP INDEX usage_events_by_key;
CREATE UNIQUE INDEX usage_events_by_key ON usage_events (request_id, source, generation);

-- Usage that is never sent, for good: with why, and since when.
CREATE TABLE usage_closures (
    -- RESTRICT as for unsealed: together with the links, one of the three refers to every usage event.
    usage_event INTEGER PRIMARY KEY REFERENCES usage_events (id) ON DELETE RESTRICT,
    state TEXT NOT NULL CHECK (state IN ('already_billed', 'written_off', 'voided')),
    -- What blocked it when it was written off.
    blocked_reason TEXT,
    note TEXT NOT NULL,
    closed_at INTEGER NOT NULL
) STRICT;

CREATE TRIGGER usage_closures_refuse_sealed BEFORE INSERT ON usage_closures
WHEN EXISTS (
    SELECT 1 FROM meter_event_usage WHERE usage_event = NEW.usage_event AND unlinked_at IS NULL
)
BEGIN SELECT RAISE(ABORT, 'usage that is sealed cannot be closed'); END;

CREATE TRIGGER usage_closures_leave_outbox AFTER INSERT ON usage_closures
BEGIN DELETE FROM unsealed WHERE usage_event = NEW.usage_event; END;

CREATE TRIGGER usage_closures_refuse_update BEFORE UPDATE ON usage_closures
BEGIN SELECT RAISE(ABORT, 'usage is closed for good'); END;

CREATE TRIGGER usage_closures_refuse_delete BEFORE DELETE ON usage_closures
BEGIN SELECT RAISE(ABORT, 'usage is closed for good'); END;

CREATE TRIGGER meter_event_usage_refuse_closed BEFORE INSERT ON meter_event_usage
WHEN EXISTS (SELECT 1 FROM usage_closures WHERE usage_event = NEW.usage_event)
BEGIN SELECT RAISE(ABORT, 'usage that is closed is never sealed'); END;

DROP VIEW usage_to_seal;
CREATE VIEW usage_to_seal AS
SELECT u.id, s.name AS source, u.request_id, c.customer_id, u.subscription_id, f.name AS feature, u.quantity,
    u.scale, u.event_time, u.dimensions, i.keeps_identifier, u.recorded_at
FROM usage_events AS u
INNER JOIN sources AS s ON s.id = u.source
INNER JOIN customers AS c ON c.id = u.customer
INNER JOIN features AS f ON f.id = u.feature
INNER JOIN imports AS i ON i.id = u.import;
