-- Taking an import back frees its keys, also where its usage was closed as already billed by mistake.

-- Since when voided usage had been closed as already billed, for questions about the past.
ALTER TABLE usage_closures ADD COLUMN already_billed_at INTEGER
CHECK (already_billed_at IS NULL OR (state = 'voided' AND already_billed_at <= closed_at));

-- Closed for good, but for one step: what was never ours to send can be taken back.
DROP TRIGGER usage_closures_refuse_update;
CREATE TRIGGER usage_closures_refuse_update BEFORE UPDATE ON usage_closures
WHEN NOT (
    OLD.state = 'already_billed' AND NEW.state = 'voided' AND NEW.usage_event = OLD.usage_event
    AND NEW.already_billed_at IS OLD.closed_at AND NEW.blocked_reason IS NULL
)
BEGIN SELECT RAISE(ABORT, 'usage is closed for good'); END;

-- INSERT OR REPLACE fires no trigger of its deletion.
CREATE TRIGGER usage_closures_refuse_replace BEFORE INSERT ON usage_closures
WHEN EXISTS (SELECT 1 FROM usage_closures WHERE usage_event = NEW.usage_event)
BEGIN SELECT RAISE(ABORT, 'usage is closed for good'); END;

-- An import that still runs while it is taken back ends here, with its chunk.
CREATE TRIGGER imports_refuse_rows_after_void BEFORE UPDATE OF rows_read ON imports
WHEN OLD.voided_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'an import that was taken back takes no more rows'); END;

CREATE TRIGGER imports_refuse_other_void BEFORE UPDATE OF voided_at, void_note ON imports
WHEN OLD.voided_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'an import is taken back once'); END;

DROP VIEW usage_events_readable;
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
    u.dimensions,
    CASE
        WHEN x.usage_event IS NOT NULL THEN x.state
        WHEN q.usage_event IS NOT NULL THEN 'unsealed'
        ELSE 'sealed'
    END AS state
FROM usage_events AS u
INNER JOIN sources AS s ON s.id = u.source
INNER JOIN customers AS c ON c.id = u.customer
INNER JOIN features AS f ON f.id = u.feature
INNER JOIN imports AS i ON i.id = u.import
LEFT JOIN unsealed AS q ON q.usage_event = u.id
LEFT JOIN usage_closures AS x ON x.usage_event = u.id;
