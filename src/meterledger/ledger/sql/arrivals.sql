-- name: arrivals_by_push
-- How much usage arrived between any two pushes, by source and feature; a push is numbered by the schedule.
-- Usage arrives when it is recorded; what a load of the past brought, when it was received.
-- First by the instant: what is recorded together has the same one, and then little is left to add up.
SELECT
    source, feature, (arrival - :phase + :every - 1) / :every AS push, SUM(events) AS events,
    MIN(arrival) AS first, MAX(arrival) AS last
FROM (
    SELECT source, feature, arrival, COUNT(*) AS events
    FROM (
        SELECT source, feature, CASE
            WHEN received_at IS NOT NULL AND (recorded_at - received_at > :longest_import
                OR import IN (SELECT id FROM imports WHERE first_of_source = 1))
                THEN received_at
            ELSE recorded_at
        END AS arrival
        FROM usage_events
        WHERE recorded_at <= :as_of AND recorded_at > :since
            AND import NOT IN (SELECT id FROM imports WHERE backfill = 1)
            AND (received_at IS NOT NULL OR import NOT IN (SELECT id FROM imports WHERE first_of_source = 1))
    ) AS u
    WHERE arrival > :since
    GROUP BY source, feature, arrival
) AS known
GROUP BY source, feature, (arrival - :phase + :every - 1) / :every
ORDER BY push, first, source, feature;

-- name: usage_arrived_late
-- Usage that may have reached Stripe too late for a boundary: when the time from its arrival until Stripe is at
-- most :reach longer than the grace period, it must have crossed one. With :any_time the boundaries are at any
-- time of day, so that the delay alone tells. What was closed or loaded in bulk says nothing.
SELECT u.customer, u.source, u.feature, u.subscription_id, u.quantity, u.scale, u.event_time, u.arrival
FROM (
    SELECT id, customer, source, feature, import, subscription_id, quantity, scale, event_time, received_at, CASE
        WHEN received_at IS NOT NULL AND (recorded_at - received_at > :longest_import
            OR import IN (SELECT id FROM imports WHERE first_of_source = 1))
            THEN received_at
        ELSE recorded_at
    END AS arrival
    FROM usage_events
    WHERE recorded_at <= :as_of AND recorded_at > :since
) AS u
WHERE u.arrival > :since AND u.arrival - u.event_time + :reach > 0
    AND (:any_time = 1
        OR (u.event_time - :time_of_day) / :day < (u.arrival + :reach - :time_of_day) / :day)
    AND u.import NOT IN (SELECT id FROM imports WHERE backfill = 1)
    AND (u.received_at IS NOT NULL OR u.import NOT IN (SELECT id FROM imports WHERE first_of_source = 1))
    AND NOT EXISTS (SELECT 1 FROM usage_closures AS x WHERE x.usage_event = u.id AND x.closed_at <= :as_of);

-- name: pushes_begun
SELECT started_at FROM pushes WHERE started_at > :since AND started_at <= :as_of ORDER BY started_at, id;
