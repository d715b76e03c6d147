-- name: usage_behind_its_deadline
-- What may have missed an invoice whose deadline was after an instant, as it was known then: not accepted, or
-- accepted later. By customer; whoever asks judges each.
SELECT
    s.name AS source, i.file, u.line, u.request_id, c.customer_id, u.subscription_id, f.name AS feature,
    u.quantity, u.scale, u.event_time, u.received_at, u.recorded_at, m.event_name, m.stripe_customer_id,
    m.identifier, m.accepted_from, m.accepted_by, m.rejection_code,
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
FROM usage_events AS u
INNER JOIN sources AS s ON s.id = u.source
INNER JOIN customers AS c ON c.id = u.customer
INNER JOIN features AS f ON f.id = u.feature
INNER JOIN imports AS i ON i.id = u.import
LEFT JOIN meter_event_usage AS l
    ON l.usage_event = u.id AND l.unlinked_at IS NULL AND l.linked_at <= :as_of
LEFT JOIN meter_events AS m ON m.id = COALESCE(l.meter_event, (
    -- It was let go of since.
    SELECT g.meter_event FROM meter_event_usage AS g
    WHERE g.usage_event = u.id AND g.linked_at <= :as_of AND g.unlinked_at > :as_of
))
LEFT JOIN usage_closures AS x ON x.usage_event = u.id
WHERE u.recorded_at <= :as_of AND u.event_time < :before
    AND (
        m.accepted_by IS NULL OR m.accepted_by > :deadline OR m.accepted_recorded_at > :as_of
        OR m.state NOT IN ('accepted', 'confirmed')
    )
ORDER BY c.customer_id, u.event_time, u.id;
