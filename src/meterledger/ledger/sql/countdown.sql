-- name: arrivals_since
-- What came in after a usage event, by import, minute of arrival and hour of usage: a countdown asks once for
-- the whole history, and then for what is new. What was loaded or mended by hand is no rhythm.
SELECT
    s.name AS source, u.import, i.followed, MAX(u.recorded_at) AS recorded_at, MAX(u.received_at) AS received_at,
    MIN(u.event_time) AS first_event_time, MAX(u.event_time) AS last_event_time, COUNT(*) AS usage_events
FROM usage_events AS u
INNER JOIN imports AS i ON i.id = u.import
INNER JOIN sources AS s ON s.id = u.source
WHERE u.id > :after AND u.id <= :up_to AND i.backfill = 0 AND i.already_billed = 0 AND i.retry_of IS NULL
    AND i.voided_at IS NULL
GROUP BY s.name, u.import, i.followed, u.recorded_at / 60000000, u.received_at / 60000000, u.event_time / 3600000000
ORDER BY s.name, u.import, recorded_at, received_at, first_event_time;

-- name: billed_since
-- Who has usage of what, of all that came in after a usage event.
SELECT DISTINCT c.customer_id, u.subscription_id, f.name AS feature
FROM (
    SELECT DISTINCT customer, subscription_id, feature FROM usage_events WHERE id > :after AND id <= :up_to
) AS u
INNER JOIN customers AS c ON c.id = u.customer
INNER JOIN features AS f ON f.id = u.feature;

-- name: unsettled_usage
-- Usage whose meter event is neither accepted nor taken back.
SELECT c.customer_id, u.subscription_id, m.event_name, u.event_time, m.state
FROM meter_events AS m
INNER JOIN meter_event_usage AS l ON l.meter_event = m.id AND l.unlinked_at IS NULL
INNER JOIN usage_events AS u ON u.id = l.usage_event
INNER JOIN customers AS c ON c.id = u.customer
WHERE m.state IN ('pending', 'sending', 'rejected', 'in_doubt') AND m.retried_at IS NULL;
