-- The first ledger. Instants are microseconds since the epoch in UTC, `timestamp` is whole seconds as
-- sent to Stripe, quantities are integers with their scale. The views at the end are for people.

CREATE TABLE sources (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE customers (
    id INTEGER PRIMARY KEY,
    customer_id TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE features (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- One reading of one file. A killed import stays with finished_at NULL and whole chunks.
CREATE TABLE imports (
    id INTEGER PRIMARY KEY,
    source INTEGER NOT NULL REFERENCES sources (id),
    file TEXT NOT NULL,
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
    input_format TEXT NOT NULL,
    config_digest TEXT NOT NULL,
    program_version TEXT NOT NULL,
    backfill INTEGER NOT NULL CHECK (backfill IN (0, 1)),
    first_of_source INTEGER NOT NULL CHECK (first_of_source IN (0, 1)),
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    rows_read INTEGER NOT NULL DEFAULT 0,
    accepted INTEGER NOT NULL DEFAULT 0,
    duplicates INTEGER NOT NULL DEFAULT 0,
    conflicts INTEGER NOT NULL DEFAULT 0,
    rejected INTEGER NOT NULL DEFAULT 0,
    -- Invariant 1: nothing in is lost.
    CHECK (rows_read = accepted + duplicates + conflicts + rejected),
    CHECK (finished_at IS NULL OR finished_at >= started_at)
) STRICT;

CREATE INDEX imports_by_sha256 ON imports (sha256);

CREATE TABLE usage_events (
    id INTEGER PRIMARY KEY,
    source INTEGER NOT NULL REFERENCES sources (id),
    request_id TEXT NOT NULL CHECK (length(request_id) BETWEEN 1 AND 255),
    customer INTEGER NOT NULL REFERENCES customers (id),
    subscription_id TEXT,
    feature INTEGER NOT NULL REFERENCES features (id),
    quantity INTEGER NOT NULL,
    scale INTEGER NOT NULL CHECK (scale BETWEEN 0 AND 12),
    event_time INTEGER NOT NULL,
    received_at INTEGER,
    recorded_at INTEGER NOT NULL,
    import INTEGER NOT NULL REFERENCES imports (id),
    line INTEGER NOT NULL CHECK (line >= 1),
    -- A flat JSON object in key order; NULL where the meter names no dimensions.
    dimensions TEXT
) STRICT;

-- Invariant 3: one usage key, one usage event. request_id leads: it is what people search for.
CREATE UNIQUE INDEX usage_events_by_key ON usage_events (request_id, source);

-- Invariant 2: usage events never change.
CREATE TRIGGER usage_events_refuse_update BEFORE UPDATE ON usage_events
BEGIN SELECT RAISE(ABORT, 'usage events never change'); END;

CREATE TRIGGER usage_events_refuse_delete BEFORE DELETE ON usage_events
BEGIN SELECT RAISE(ABORT, 'usage events are never deleted'); END;

-- The outbox: usage events that no live meter event carries. Kept by the statements that import and by
-- the triggers on meter_event_usage, so that a push need not look at a whole ledger to find its work.
CREATE TABLE unsealed (
    -- RESTRICT acts at once, and so stops INSERT OR REPLACE, which fires no delete trigger: one of the two
    -- tables refers to every usage event. A trigger would do it without foreign keys too, and costs a
    -- quarter of an import.
    usage_event INTEGER PRIMARY KEY REFERENCES usage_events (id) ON DELETE RESTRICT
) STRICT;

-- Input rows that were refused: rejections, and conflicts with a stored usage event.
CREATE TABLE rejects (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('rejection', 'conflict')),
    import INTEGER NOT NULL REFERENCES imports (id),
    source INTEGER NOT NULL REFERENCES sources (id),
    line INTEGER NOT NULL CHECK (line >= 1),
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    raw TEXT NOT NULL,
    raw_digest TEXT NOT NULL,
    -- What could be read of the row, for closing it and for the audit.
    request_id TEXT,
    customer_id TEXT,
    feature TEXT,
    event_time INTEGER,
    -- For a conflict: the fields that differ, as JSON.
    differences TEXT,
    recorded_at INTEGER NOT NULL,
    times_seen INTEGER NOT NULL DEFAULT 1 CHECK (times_seen >= 1),
    closed_at INTEGER,
    closed_as TEXT CHECK (closed_as IN ('accepted', 'dismissed')),
    CHECK ((closed_at IS NULL) = (closed_as IS NULL)),
    CHECK ((kind = 'conflict') = (differences IS NOT NULL))
) STRICT;

-- Every import that brought a refused row; the row itself is stored once.
CREATE TABLE reject_sightings (
    reject INTEGER NOT NULL REFERENCES rejects (id),
    import INTEGER NOT NULL REFERENCES imports (id),
    PRIMARY KEY (reject, import)
) STRICT;

CREATE INDEX rejects_by_raw ON rejects (raw_digest, line);
CREATE INDEX rejects_open_by_key ON rejects (source, request_id) WHERE closed_at IS NULL;

-- One run of push.
CREATE TABLE pushes (
    id INTEGER PRIMARY KEY,
    api TEXT NOT NULL CHECK (api IN ('v1', 'v2', 'stream')),
    program_version TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER
) STRICT;

-- What Stripe receives. The body never changes; a dissolved one (no attempt may have reached Stripe)
-- stays for its history and gives its identifier free.
CREATE TABLE meter_events (
    id INTEGER PRIMARY KEY,
    identifier TEXT NOT NULL CHECK (length(identifier) BETWEEN 1 AND 100),
    revision INTEGER NOT NULL CHECK (revision >= 0),
    event_name TEXT NOT NULL CHECK (length(event_name) BETWEEN 1 AND 100),
    stripe_customer_id TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    payload TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    scale INTEGER NOT NULL CHECK (scale BETWEEN 0 AND 12),
    usage_events INTEGER NOT NULL CHECK (usage_events >= 1),
    -- The event_time of the latest usage event it carries: order on `last` and windowed meters.
    event_time INTEGER NOT NULL,
    sealed_at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (
        state IN ('pending', 'sending', 'accepted', 'confirmed', 'rejected', 'in_doubt', 'canceled')
    ),
    state_at INTEGER NOT NULL,
    -- The attempt in flight or last made; compare-and-set on state and this number.
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    in_doubt_reason TEXT CHECK (in_doubt_reason IN ('outcome_unknown', 'identifier_taken', 'unknown_report')),
    rejection_code TEXT,
    rejection_message TEXT,
    accepted_at INTEGER,
    accepted_from INTEGER,
    accepted_by INTEGER,
    -- When this ledger learnt of it, for questions about the past.
    accepted_recorded_at INTEGER,
    dissolved_at INTEGER,
    CHECK ((state = 'in_doubt') = (in_doubt_reason IS NOT NULL)),
    CHECK ((state = 'rejected') = (rejection_code IS NOT NULL)),
    CHECK (state NOT IN ('accepted', 'confirmed') OR accepted_by IS NOT NULL),
    CHECK (state NOT IN ('pending', 'sending') OR accepted_by IS NULL),
    CHECK (state <> 'sending' OR attempts > 0),
    CHECK ((accepted_at IS NULL) = (accepted_by IS NULL) AND (accepted_from IS NULL) = (accepted_by IS NULL)),
    CHECK ((accepted_recorded_at IS NULL) = (accepted_by IS NULL)),
    CHECK (accepted_from <= accepted_by),
    CHECK (dissolved_at IS NULL OR (state = 'canceled' AND accepted_by IS NULL))
) STRICT;

CREATE UNIQUE INDEX meter_events_by_identifier ON meter_events (identifier) WHERE dissolved_at IS NULL;
CREATE INDEX meter_events_unsettled ON meter_events (state)
WHERE state IN ('pending', 'sending', 'rejected', 'in_doubt');
CREATE INDEX meter_events_by_lane ON meter_events (stripe_customer_id, event_name, event_time);

CREATE TRIGGER meter_events_refuse_change_of_body
BEFORE UPDATE OF identifier, revision, event_name, stripe_customer_id, timestamp, payload, quantity, scale,
    usage_events, event_time, sealed_at ON meter_events
BEGIN SELECT RAISE(ABORT, 'the body of a meter event never changes'); END;

CREATE TRIGGER meter_events_refuse_delete BEFORE DELETE ON meter_events
BEGIN SELECT RAISE(ABORT, 'meter events are never deleted'); END;

CREATE TRIGGER meter_events_refuse_replace BEFORE INSERT ON meter_events
WHEN EXISTS (SELECT 1 FROM meter_events WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'the body of a meter event never changes'); END;

-- The legal transitions; domain/delivery.py holds the same table, and a test holds them together.
CREATE TRIGGER meter_events_refuse_illegal_transition
BEFORE UPDATE OF state ON meter_events
WHEN NEW.state <> OLD.state AND NOT (
    (OLD.state = 'pending' AND NEW.state IN ('sending', 'canceled'))
    OR (OLD.state = 'sending' AND NEW.state IN ('pending', 'accepted', 'rejected', 'in_doubt'))
    OR (OLD.state = 'in_doubt' AND NEW.state IN ('pending', 'accepted', 'confirmed', 'rejected'))
    OR (OLD.state = 'accepted' AND NEW.state IN ('confirmed', 'rejected', 'in_doubt', 'canceled'))
    OR (OLD.state = 'confirmed' AND NEW.state IN ('rejected', 'in_doubt', 'canceled'))
)
BEGIN SELECT RAISE(ABORT, 'illegal transition of a meter event'); END;

-- Which meter event carries which usage event, with its history.
CREATE TABLE meter_event_usage (
    id INTEGER PRIMARY KEY,
    meter_event INTEGER NOT NULL REFERENCES meter_events (id),
    usage_event INTEGER NOT NULL REFERENCES usage_events (id) ON DELETE RESTRICT,
    linked_at INTEGER NOT NULL,
    unlinked_at INTEGER CHECK (unlinked_at >= linked_at)
) STRICT;

-- Invariant 2: one live link for each usage event.
CREATE UNIQUE INDEX meter_event_usage_live ON meter_event_usage (usage_event) WHERE unlinked_at IS NULL;
CREATE INDEX meter_event_usage_by_meter_event ON meter_event_usage (meter_event);

CREATE TRIGGER meter_event_usage_linked AFTER INSERT ON meter_event_usage WHEN NEW.unlinked_at IS NULL
BEGIN DELETE FROM unsealed WHERE usage_event = NEW.usage_event; END;

CREATE TRIGGER meter_event_usage_unlinked
AFTER UPDATE OF unlinked_at ON meter_event_usage WHEN NEW.unlinked_at IS NOT NULL AND OLD.unlinked_at IS NULL
BEGIN INSERT INTO unsealed (usage_event) VALUES (NEW.usage_event); END;

CREATE TRIGGER meter_event_usage_refuse_rewrite
BEFORE UPDATE ON meter_event_usage
WHEN OLD.unlinked_at IS NOT NULL OR NEW.meter_event <> OLD.meter_event OR NEW.usage_event <> OLD.usage_event
    OR NEW.linked_at <> OLD.linked_at
BEGIN SELECT RAISE(ABORT, 'the history of links never changes'); END;

-- Usage that is unsealed again is sent again: only a meter event that was taken back may let go of it.
CREATE TRIGGER meter_event_usage_refuse_letting_go
BEFORE UPDATE OF unlinked_at ON meter_event_usage
WHEN NEW.unlinked_at IS NOT NULL AND OLD.unlinked_at IS NULL
    AND (SELECT state FROM meter_events WHERE id = OLD.meter_event) <> 'canceled'
BEGIN SELECT RAISE(ABORT, 'only a canceled meter event lets go of its usage'); END;

CREATE TRIGGER meter_event_usage_refuse_delete BEFORE DELETE ON meter_event_usage
BEGIN SELECT RAISE(ABORT, 'links are ended, never deleted'); END;

-- One request to Stripe: written before it leaves, finished after (invariant 7).
CREATE TABLE delivery_attempts (
    id INTEGER PRIMARY KEY,
    meter_event INTEGER NOT NULL REFERENCES meter_events (id),
    attempt INTEGER NOT NULL CHECK (attempt >= 1),
    push INTEGER NOT NULL REFERENCES pushes (id),
    idempotency_key TEXT NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    -- NULL while in flight.
    outcome TEXT CHECK (outcome IN ('accepted', 'duplicate', 'taken', 'rejected', 'not_sent', 'unknown')),
    -- Whether a complete answer came back under this key.
    answered INTEGER NOT NULL DEFAULT 0 CHECK (answered IN (0, 1)),
    http_status INTEGER,
    code TEXT,
    message TEXT,
    stripe_request_id TEXT,
    -- When the truth about an unknown outcome was learnt by other means.
    settled_at INTEGER,
    UNIQUE (meter_event, attempt),
    CHECK ((outcome IS NULL) = (finished_at IS NULL)),
    CHECK (settled_at IS NULL OR outcome = 'unknown')
) STRICT;

CREATE INDEX delivery_attempts_by_start ON delivery_attempts (started_at);
CREATE INDEX delivery_attempts_in_flight ON delivery_attempts (meter_event) WHERE outcome IS NULL;

-- Invariant 8: never again under an identifier whose first attempt that may have reached Stripe is 23 h old.
CREATE TRIGGER delivery_attempts_within_horizon BEFORE INSERT ON delivery_attempts
WHEN NEW.attempt > 1 AND EXISTS (
    SELECT 1 FROM delivery_attempts AS earlier
    WHERE earlier.meter_event = NEW.meter_event
        AND (earlier.outcome IS NULL OR earlier.outcome = 'unknown')
        AND earlier.settled_at IS NULL
        AND earlier.started_at <= NEW.started_at - 82800000000
)
BEGIN SELECT RAISE(ABORT, 'an unknown outcome is older than 23 hours'); END;

CREATE TRIGGER delivery_attempts_refuse_rewrite BEFORE UPDATE ON delivery_attempts
WHEN NEW.id IS NOT OLD.id OR NEW.meter_event IS NOT OLD.meter_event OR NEW.attempt IS NOT OLD.attempt
    OR NEW.push IS NOT OLD.push OR NEW.idempotency_key IS NOT OLD.idempotency_key
    OR NEW.started_at IS NOT OLD.started_at
BEGIN SELECT RAISE(ABORT, 'the beginning of an attempt never changes'); END;

CREATE TRIGGER delivery_attempts_refuse_second_outcome BEFORE UPDATE ON delivery_attempts
WHEN OLD.settled_at IS NOT NULL OR (OLD.outcome IS NOT NULL AND (
    NEW.outcome IS NOT OLD.outcome OR NEW.finished_at IS NOT OLD.finished_at
    OR NEW.answered IS NOT OLD.answered OR NEW.http_status IS NOT OLD.http_status
    OR NEW.code IS NOT OLD.code OR NEW.message IS NOT OLD.message
    OR NEW.stripe_request_id IS NOT OLD.stripe_request_id
))
BEGIN SELECT RAISE(ABORT, 'a finished attempt never changes'); END;

CREATE TRIGGER delivery_attempts_refuse_replace BEFORE INSERT ON delivery_attempts
WHEN EXISTS (SELECT 1 FROM delivery_attempts WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'a finished attempt never changes'); END;

CREATE TRIGGER delivery_attempts_refuse_delete BEFORE DELETE ON delivery_attempts
BEGIN SELECT RAISE(ABORT, 'attempts are never deleted'); END;

-- What a person said of a meter event in doubt.
CREATE TABLE resolutions (
    id INTEGER PRIMARY KEY,
    meter_event INTEGER NOT NULL REFERENCES meter_events (id),
    settled_as TEXT NOT NULL CHECK (settled_as IN ('sent', 'not-sent')),
    note TEXT NOT NULL CHECK (length(note) > 0),
    resolved_at INTEGER NOT NULL
) STRICT;

-- Invariant 11: one pusher for each ledger.
CREATE TABLE lease (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    token INTEGER NOT NULL,
    holder TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process_started TEXT NOT NULL,
    acquired_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    released INTEGER NOT NULL CHECK (released IN (0, 1))
) STRICT;

-- Invariant 12: one ledger, one Stripe account, one mode, one host.
CREATE TABLE binding (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- NULL where the key may not read its account.
    account_id TEXT,
    stripe_account TEXT NOT NULL,
    mode TEXT NOT NULL CHECK (mode IN ('test', 'live')),
    host TEXT NOT NULL,
    bound_at INTEGER NOT NULL,
    -- When the account's meters were first read: an account may have none.
    meters_read_at INTEGER
) STRICT;

-- What Stripe last said of each meter.
CREATE TABLE stripe_meters (
    event_name TEXT PRIMARY KEY,
    active INTEGER NOT NULL CHECK (active IN (0, 1)),
    seen_at INTEGER NOT NULL
) STRICT;

-- What sealing needs of a usage event: names instead of numbers.
CREATE VIEW usage_to_seal AS
SELECT u.id, s.name AS source, u.request_id, c.customer_id, f.name AS feature, u.quantity, u.scale,
    u.event_time, u.dimensions, u.recorded_at
FROM usage_events AS u
INNER JOIN sources AS s ON s.id = u.source
INNER JOIN customers AS c ON c.id = u.customer
INNER JOIN features AS f ON f.id = u.feature;

CREATE VIEW usage_events_readable AS
SELECT
    u.id,
    s.name AS source,
    u.request_id,
    c.customer_id,
    u.subscription_id,
    f.name AS feature,
    CASE u.scale WHEN 0 THEN CAST(u.quantity AS TEXT) ELSE
        rtrim(rtrim(
            substr(printf('%0*d', u.scale + 1 + (u.quantity < 0), u.quantity), 1,
                length(printf('%0*d', u.scale + 1 + (u.quantity < 0), u.quantity)) - u.scale)
            || '.' || substr(printf('%0*d', u.scale + 1 + (u.quantity < 0), u.quantity), -u.scale),
        '0'), '.')
    END AS quantity,
    strftime('%Y-%m-%dT%H:%M:%SZ', u.event_time / 1000000, 'unixepoch') AS event_time,
    strftime('%Y-%m-%dT%H:%M:%SZ', u.received_at / 1000000, 'unixepoch') AS received_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', u.recorded_at / 1000000, 'unixepoch') AS recorded_at,
    i.file,
    u.line,
    u.dimensions
FROM usage_events AS u
INNER JOIN sources AS s ON s.id = u.source
INNER JOIN customers AS c ON c.id = u.customer
INNER JOIN features AS f ON f.id = u.feature
INNER JOIN imports AS i ON i.id = u.import;

CREATE VIEW meter_events_readable AS
SELECT
    id, identifier, revision, event_name, stripe_customer_id,
    strftime('%Y-%m-%dT%H:%M:%SZ', timestamp, 'unixepoch') AS timestamp,
    payload, usage_events, state, in_doubt_reason, rejection_code, rejection_message, attempts,
    strftime('%Y-%m-%dT%H:%M:%SZ', sealed_at / 1000000, 'unixepoch') AS sealed_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', accepted_at / 1000000, 'unixepoch') AS accepted_at
FROM meter_events;
