-- Whether usage that comes in stands in the ledger already, under its identifier and another usage key.

-- name: has_kept_identifiers
SELECT 1 FROM imports WHERE keeps_identifier = 1 AND accepted > 0 LIMIT 1;

-- name: usage_sealed_as
WITH given (position, identifier) AS (VALUES (:position, :identifier))
SELECT given.position, u.id, u.source, u.request_id, c.customer_id, u.quantity, u.scale, u.event_time
FROM given
INNER JOIN meter_events AS m ON m.identifier = given.identifier AND m.dissolved_at IS NULL
INNER JOIN meter_event_usage AS l ON l.meter_event = m.id
    AND (l.unlinked_at IS NULL OR m.retried_at IS NOT NULL)
INNER JOIN usage_events AS u ON u.id = l.usage_event
INNER JOIN customers AS c ON c.id = u.customer
ORDER BY given.position;

-- name: usage_that_keeps
WITH given (position, identifier) AS (VALUES (:position, :identifier))
SELECT given.position, u.id, u.source, u.request_id, c.customer_id, u.quantity, u.scale, u.event_time
FROM given
INNER JOIN usage_events AS u ON u.request_id = given.identifier
INNER JOIN imports AS i ON i.id = u.import AND i.keeps_identifier = 1
INNER JOIN customers AS c ON c.id = u.customer
WHERE NOT EXISTS (SELECT 1 FROM usage_closures AS x WHERE x.usage_event = u.id AND x.state = 'voided')
ORDER BY given.position;

-- name: begin_deriving
-- Identifiers that usage would be sealed with: derived once, and only for an import that has to compare.
CREATE TEMPORARY TABLE IF NOT EXISTS derived_identifiers (
    identifier TEXT PRIMARY KEY,
    usage_event INTEGER NOT NULL
);

-- name: usage_not_derived_yet
-- What is carried by a meter event is found by that one's identifier.
SELECT u.id, s.name AS source, u.request_id
FROM usage_events AS u
INNER JOIN sources AS s ON s.id = u.source
INNER JOIN imports AS i ON i.id = u.import AND i.keeps_identifier = 0
WHERE u.id > :usage_event
    AND NOT EXISTS (
        SELECT 1 FROM meter_event_usage AS l WHERE l.usage_event = u.id AND l.unlinked_at IS NULL
    )
    AND NOT EXISTS (SELECT 1 FROM usage_closures AS x WHERE x.usage_event = u.id AND x.state = 'voided')
ORDER BY u.id;

-- name: add_derived_identifier
INSERT INTO derived_identifiers (identifier, usage_event) VALUES (:identifier, :usage_event)
ON CONFLICT (identifier) DO NOTHING;

-- name: usage_derived_as
WITH given (position, identifier) AS (VALUES (:position, :identifier))
SELECT given.position, u.id, u.source, u.request_id, c.customer_id, u.quantity, u.scale, u.event_time
FROM given
INNER JOIN derived_identifiers AS d ON d.identifier = given.identifier
INNER JOIN usage_events AS u ON u.id = d.usage_event
INNER JOIN customers AS c ON c.id = u.customer
ORDER BY given.position;
