-- name: may_have_sent
-- Whether anything of this ledger may have reached Stripe.
SELECT 1 FROM delivery_attempts WHERE outcome IS NULL OR outcome <> 'not_sent' LIMIT 1;

-- name: latest_comparison
SELECT cause, unknown_before, compared_up_to FROM comparisons ORDER BY id DESC LIMIT 1;

-- name: unsealed_not_compared
-- Usage that no comparison looked at, and that a lost ledger may have sent.
SELECT q.usage_event FROM unsealed AS q INNER JOIN usage_events AS u ON u.id = q.usage_event
WHERE q.usage_event > :compared_up_to AND u.event_time < :unknown_before AND u.event_time >= :since
ORDER BY q.usage_event LIMIT 1;

-- name: newest_usage_event
SELECT COALESCE(MAX(id), 0) AS id FROM usage_events;

-- name: known_of_lane
-- What Stripe has, or may have, of this ledger, by window; timestamps are seconds.
SELECT timestamp - timestamp % :window_seconds AS window_start, scale, SUM(quantity) AS quantity,
    COUNT(*) AS events
FROM meter_events
WHERE stripe_customer_id = :stripe_customer_id AND event_name = :event_name
    AND timestamp >= :since AND timestamp < :until
    AND state IN ('sending', 'accepted', 'confirmed', 'in_doubt')
GROUP BY timestamp - timestamp % :window_seconds, scale
ORDER BY window_start, scale;

-- name: baselines_of_lane
SELECT window_start, surplus FROM baselines
WHERE stripe_customer_id = :stripe_customer_id AND event_name = :event_name
    AND window_start >= :since AND window_start < :until
ORDER BY id;

-- name: already_billed_usage
-- Told to Stripe by an older system: known, though not sent from here.
SELECT u.id, u.source, u.request_id, u.customer_id, u.subscription_id, u.feature, u.quantity, u.scale,
    u.event_time, u.dimensions, u.keeps_identifier, 0 AS revision
FROM usage_closures AS x INNER JOIN usage_to_seal AS u ON u.id = x.usage_event
WHERE x.state = 'already_billed' AND u.event_time >= :since AND u.event_time < :until
ORDER BY u.id;

-- name: add_comparison
INSERT INTO comparisons (cause, unknown_before, compared_up_to, lanes, not_compared, compared_at)
VALUES (:cause, :unknown_before, :compared_up_to, :lanes, :not_compared, :compared_at)
RETURNING id;

-- name: add_baseline
INSERT INTO baselines (
    comparison, event_name, stripe_customer_id, window_start, window_end, ledger_quantity, stripe_quantity,
    surplus, recorded_at
) VALUES (
    :comparison, :event_name, :stripe_customer_id, :window_start, :window_end, :ledger_quantity,
    :stripe_quantity, :surplus, :recorded_at
);

-- name: push_by_number
SELECT id, started_at, finished_at FROM pushes WHERE id = :push;

-- name: latest_push
SELECT id, started_at, finished_at FROM pushes ORDER BY id DESC LIMIT 1;
