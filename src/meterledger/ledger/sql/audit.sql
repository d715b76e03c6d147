-- name: usage_as_known
-- Every usage event with what was known of its delivery at an instant: nothing recorded after it counts.
-- In no order, and with as little as says it, for it is read row by row for millions of them: customer,
-- feature, source, scale (0 to 12) and how it came in (1: a source's first import, 2: a backfill; neither
-- says anything about delays) as one number; no state where it is accepted, and accepted_from in its
-- place where that is not accepted_by.
-- First what a live link carries, then the rest: that is twice as quick as outer joins.
SELECT
    (((u.customer * :features + u.feature) * :sources + u.source) * 13 + u.scale) * 3 + CASE
        WHEN u.import NOT IN (SELECT id FROM imports WHERE backfill = 1 OR first_of_source = 1) THEN 0
        WHEN u.import IN (SELECT id FROM imports WHERE backfill = 1) THEN 2
        WHEN u.received_at IS NULL THEN 1
        ELSE 0
    END AS lane,
    u.event_time, m.accepted_by, u.quantity, COALESCE(u.received_at, u.recorded_at) AS arrived_at, m.event_name,
    u.subscription_id,
    CASE
        WHEN m.id IN (SELECT meter_event FROM doubts WHERE since <= :as_of AND until > :as_of) THEN 'in_doubt'
        WHEN m.state = 'accepted' AND m.accepted_from = m.accepted_by AND m.accepted_recorded_at <= :as_of THEN NULL
        WHEN m.accepted_recorded_at <= :as_of AND NOT (m.state IN ('rejected', 'in_doubt', 'canceled') AND m.state_at <= :as_of)
            THEN CASE WHEN m.accepted_from = m.accepted_by THEN NULL ELSE CAST(m.accepted_from AS TEXT) END
        WHEN m.state_at <= :as_of AND m.state IN ('rejected', 'in_doubt') THEN m.state
        WHEN EXISTS (
            SELECT 1 FROM delivery_attempts AS a
            WHERE a.meter_event = m.id AND a.started_at <= :as_of
                AND (
                    a.finished_at IS NULL OR a.finished_at > :as_of
                    OR (a.outcome = 'unknown' AND (a.settled_at IS NULL OR a.settled_at > :as_of))
                )
        ) THEN 'sending'
        ELSE 'pending'
    END AS state
FROM meter_event_usage AS l
INNER JOIN usage_events AS u ON u.id = l.usage_event
INNER JOIN meter_events AS m ON m.id = l.meter_event
WHERE l.unlinked_at IS NULL AND l.linked_at <= :as_of AND u.recorded_at <= :as_of
UNION ALL
SELECT
    (((u.customer * :features + u.feature) * :sources + u.source) * 13 + u.scale) * 3 + CASE
        WHEN u.import NOT IN (SELECT id FROM imports WHERE backfill = 1 OR first_of_source = 1) THEN 0
        WHEN u.import IN (SELECT id FROM imports WHERE backfill = 1) THEN 2
        WHEN u.received_at IS NULL THEN 1
        ELSE 0
    END AS lane,
    u.event_time, m.accepted_by, u.quantity, COALESCE(u.received_at, u.recorded_at) AS arrived_at, m.event_name,
    u.subscription_id,
    CASE
        WHEN x.closed_at <= :as_of THEN x.state
        WHEN x.already_billed_at <= :as_of THEN 'already_billed'
        WHEN m.id IS NULL THEN 'unsealed'
        WHEN m.id IN (SELECT meter_event FROM doubts WHERE since <= :as_of AND until > :as_of) THEN 'in_doubt'
        WHEN m.accepted_recorded_at <= :as_of AND NOT (m.state IN ('rejected', 'in_doubt', 'canceled') AND m.state_at <= :as_of)
            THEN CASE WHEN m.accepted_from = m.accepted_by THEN NULL ELSE CAST(m.accepted_from AS TEXT) END
        WHEN m.state_at <= :as_of AND m.state IN ('rejected', 'in_doubt') THEN m.state
        WHEN EXISTS (
            SELECT 1 FROM delivery_attempts AS a
            WHERE a.meter_event = m.id AND a.started_at <= :as_of
                AND (
                    a.finished_at IS NULL OR a.finished_at > :as_of
                    OR (a.outcome = 'unknown' AND (a.settled_at IS NULL OR a.settled_at > :as_of))
                )
        ) THEN 'sending'
        ELSE 'pending'
    END AS state
FROM (
    SELECT usage_event FROM unsealed
    UNION ALL
    SELECT usage_event FROM usage_closures
    UNION ALL
    SELECT usage_event FROM meter_event_usage WHERE unlinked_at IS NULL AND linked_at > :as_of
) AS q
CROSS JOIN usage_events AS u
LEFT JOIN meter_events AS m ON m.id = (
    -- It was let go of since.
    SELECT g.meter_event FROM meter_event_usage AS g
    WHERE g.usage_event = u.id AND g.linked_at <= :as_of AND g.unlinked_at > :as_of
)
LEFT JOIN usage_closures AS x ON x.usage_event = u.id
WHERE u.id = q.usage_event AND u.recorded_at <= :as_of;

-- name: usage_of_customer_as_known
-- The same of one customer, with all that leads to the row of the file, in the order of event_time.
SELECT
    s.name AS source, i.file, u.line, u.request_id, u.import, u.subscription_id, f.name AS feature, u.quantity,
    u.scale, u.event_time, u.received_at, u.recorded_at, m.event_name, m.accepted_from, m.accepted_by,
    CASE
        WHEN x.closed_at <= :as_of THEN x.state
        WHEN x.already_billed_at <= :as_of THEN 'already_billed'
        WHEN m.id IS NULL THEN 'unsealed'
        WHEN m.id IN (SELECT meter_event FROM doubts WHERE since <= :as_of AND until > :as_of) THEN 'in_doubt'
        WHEN m.accepted_recorded_at <= :as_of AND NOT (m.state IN ('rejected', 'in_doubt', 'canceled') AND m.state_at <= :as_of)
            THEN 'accepted'
        WHEN m.state_at <= :as_of AND m.state IN ('rejected', 'in_doubt') THEN m.state
        WHEN EXISTS (
            SELECT 1 FROM delivery_attempts AS a
            WHERE a.meter_event = m.id AND a.started_at <= :as_of
                AND (
                    a.finished_at IS NULL OR a.finished_at > :as_of
                    OR (a.outcome = 'unknown' AND (a.settled_at IS NULL OR a.settled_at > :as_of))
                )
        ) THEN 'sending'
        ELSE 'pending'
    END AS state
FROM customers AS c
INNER JOIN usage_events AS u ON u.customer = c.id
INNER JOIN sources AS s ON s.id = u.source
INNER JOIN features AS f ON f.id = u.feature
INNER JOIN imports AS i ON i.id = u.import
LEFT JOIN meter_event_usage AS l
    ON l.usage_event = u.id AND l.unlinked_at IS NULL AND l.linked_at <= :as_of
LEFT JOIN meter_events AS m ON m.id = COALESCE(l.meter_event, (
    -- It was let go of since.
    SELECT g.meter_event FROM meter_event_usage AS g
    WHERE g.usage_event = u.id AND g.linked_at <= :as_of AND g.unlinked_at > :as_of
))
LEFT JOIN usage_closures AS x ON l.id IS NULL AND x.usage_event = u.id
WHERE c.customer_id = :customer_id AND u.recorded_at <= :as_of
ORDER BY u.event_time, u.id;

-- name: source_names
SELECT id, name FROM sources;

-- name: feature_names
SELECT id, name FROM features;

-- name: customer_names
SELECT id, customer_id AS name FROM customers;

-- name: oldest_unknown_attempt
-- How long the oldest unknown outcome has been unknown of those that can be settled by sending again: that ends
-- 23 h after the first such attempt at a meter event.
SELECT MIN(first_started_at) AS started_at FROM (
    SELECT MIN(a.started_at) AS first_started_at FROM delivery_attempts AS a
    INNER JOIN meter_events AS m ON m.id = a.meter_event
    WHERE a.started_at <= :as_of AND (a.finished_at IS NULL OR a.finished_at > :as_of
        OR (a.outcome = 'unknown' AND (a.settled_at IS NULL OR a.settled_at > :as_of)))
        AND (m.state = 'sending' OR m.state_at > :as_of)
    GROUP BY a.meter_event
) AS unknown
WHERE first_started_at > :since;
