-- name: unsealed_usage
-- All that waits to be sealed. In which order it is sent says domain/sending_order.py.
SELECT u.id, u.source, u.request_id, u.customer_id, u.subscription_id, u.feature, u.quantity, u.scale,
    u.event_time, u.dimensions, u.keeps_identifier, q.revision
FROM unsealed AS q INNER JOIN usage_to_seal AS u ON u.id = q.usage_event
ORDER BY u.event_time, u.id;

-- name: unsealed_to_order
-- The same, as far as the order of sending depends on it: numbers instead of names.
SELECT u.id, u.customer, u.subscription_id, u.feature, u.event_time
FROM unsealed AS q INNER JOIN usage_events AS u ON u.id = q.usage_event
ORDER BY q.usage_event;

-- name: unsealed_to_order_as_of
SELECT u.id, u.customer, u.subscription_id, u.feature, u.event_time
FROM usage_events AS u
WHERE u.recorded_at <= :as_of AND NOT EXISTS (
    SELECT 1 FROM meter_event_usage AS l
    WHERE l.usage_event = u.id AND l.linked_at <= :as_of
        AND (l.unlinked_at IS NULL OR l.unlinked_at > :as_of)
) AND NOT EXISTS (
    SELECT 1 FROM usage_closures AS x
    WHERE x.usage_event = u.id AND (x.closed_at <= :as_of OR x.already_billed_at <= :as_of)
)
ORDER BY u.id;

-- name: unsealed_by_number
-- CROSS JOIN has SQLite begin with what is asked for, which is little.
WITH given (usage_event) AS (VALUES (:usage_event))
SELECT u.id, u.source, u.request_id, u.customer_id, u.subscription_id, u.feature, u.quantity, u.scale,
    u.event_time, u.dimensions, u.keeps_identifier, q.revision
FROM given CROSS JOIN unsealed AS q CROSS JOIN usage_to_seal AS u
WHERE q.usage_event = given.usage_event AND u.id = q.usage_event
ORDER BY u.id;

-- name: unsealed_by_number_as_of
-- Of what was unsealed then.
WITH given (usage_event) AS (VALUES (:usage_event))
SELECT u.id, u.source, u.request_id, u.customer_id, u.subscription_id, u.feature, u.quantity, u.scale,
    u.event_time, u.dimensions, u.keeps_identifier,
    COALESCE((
        SELECT MAX(m.revision) + 1 FROM meter_event_usage AS ended
        INNER JOIN meter_events AS m ON m.id = ended.meter_event AND m.retried_at <= :as_of
        WHERE ended.usage_event = u.id AND ended.unlinked_at IS NOT NULL
    ), 0) AS revision
FROM given INNER JOIN usage_to_seal AS u ON u.id = given.usage_event
ORDER BY u.id;

-- name: unsealed_usage_as_of
-- The same from the history of links, for a question about the past.
SELECT u.id, u.source, u.request_id, u.customer_id, u.subscription_id, u.feature, u.quantity, u.scale,
    u.event_time, u.dimensions, u.keeps_identifier,
    COALESCE((
        SELECT MAX(m.revision) + 1 FROM meter_event_usage AS ended
        INNER JOIN meter_events AS m ON m.id = ended.meter_event AND m.retried_at <= :as_of
        WHERE ended.usage_event = u.id AND ended.unlinked_at IS NOT NULL
    ), 0) AS revision
FROM usage_to_seal AS u
WHERE u.recorded_at <= :as_of AND NOT EXISTS (
    SELECT 1 FROM meter_event_usage AS l
    WHERE l.usage_event = u.id AND l.linked_at <= :as_of
        AND (l.unlinked_at IS NULL OR l.unlinked_at > :as_of)
) AND NOT EXISTS (
    SELECT 1 FROM usage_closures AS x
    WHERE x.usage_event = u.id AND (x.closed_at <= :as_of OR x.already_billed_at <= :as_of)
)
ORDER BY u.event_time, u.id;

-- name: usage_of_meter_event
-- With the revision that each would be sealed under one to one; a roll-up's is that of its window.
SELECT u.id, u.source, u.request_id, u.customer_id, u.subscription_id, u.feature, u.quantity, u.scale,
    u.event_time, u.dimensions, u.keeps_identifier,
    CASE WHEN EXISTS (SELECT 1 FROM rollups AS r WHERE r.meter_event = m.id)
        THEN COALESCE((
            SELECT MAX(CASE e.state WHEN 'rejected' THEN e.revision + 1 ELSE e.revision END)
            FROM meter_event_usage AS h INNER JOIN meter_events AS e ON e.id = h.meter_event
            WHERE h.usage_event = u.id AND h.unlinked_at IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM rollups AS r WHERE r.meter_event = e.id)
        ), 0)
        ELSE m.revision
    END AS revision
FROM meter_event_usage AS l
INNER JOIN meter_events AS m ON m.id = l.meter_event
INNER JOIN usage_to_seal AS u ON u.id = l.usage_event
WHERE l.meter_event = :meter_event AND l.unlinked_at IS NULL
ORDER BY u.id;

-- name: last_of_lane
-- The latest event_time that Stripe has, or may have, of one customer and meter.
SELECT MAX(event_time) AS event_time FROM meter_events
WHERE stripe_customer_id = :stripe_customer_id AND event_name = :event_name
    AND event_time >= :since AND event_time < :until
    AND state IN ('sending', 'accepted', 'confirmed', 'in_doubt') AND sealed_at <= :as_of;

-- name: lanes_in_doubt
-- On ordered meters a later event waits for the final outcome of an earlier one. Each may come more than once:
-- to leave that out SQLite would read every meter event, in the order of its lane. The first condition is that of
-- the index on what is unsettled, in its words.
SELECT event_name, stripe_customer_id FROM meter_events
WHERE state IN ('pending', 'sending', 'rejected', 'in_doubt') AND state = 'in_doubt';

-- name: unsent_meter_events
-- Sealed before, and still to be sent: certainly not taken yet, or with an unknown outcome. What may have gone
-- one way went no other. The first list is the index's: it finds few among millions.
SELECT m.id, m.identifier, m.revision, m.event_name, m.stripe_customer_id, m.timestamp, m.payload, m.quantity,
    m.scale, m.event_time, m.state, m.attempts, r.window_start, r.window_end, r.dimensions, r.part, (
        SELECT MAX(a.api) FROM delivery_attempts AS a
        WHERE a.meter_event = m.id AND (a.outcome IS NULL OR a.outcome <> 'not_sent')
    ) AS way_taken, (
        SELECT l.idempotency_key FROM delivery_attempts AS l
        WHERE l.meter_event = m.id AND l.attempt = m.attempts
    ) AS last_key
FROM meter_events AS m LEFT JOIN rollups AS r ON r.meter_event = m.id
WHERE m.state IN ('pending', 'sending', 'rejected', 'in_doubt') AND m.state IN ('pending', 'sending')
ORDER BY m.event_time, m.id;

-- name: attempts_of_unsent
-- The attempts of all of those, in their order.
SELECT a.meter_event, a.attempt, a.idempotency_key, a.started_at, a.finished_at, a.outcome, a.answered,
    a.http_status, a.code, a.settled_at, a.api
FROM meter_events AS m CROSS JOIN delivery_attempts AS a
WHERE m.state IN ('pending', 'sending', 'rejected', 'in_doubt') AND m.state IN ('pending', 'sending')
    AND a.meter_event = m.id
ORDER BY a.meter_event, a.attempt;
-- name: any_dissolved
SELECT id FROM meter_events WHERE dissolved_at IS NOT NULL LIMIT 1;

-- name: attempts_before_dissolving
-- The attempts made under identifiers that are to be taken up again, and what went in them.
SELECT m.identifier, m.event_name, m.timestamp, m.payload, a.attempt, a.idempotency_key, a.started_at,
    a.finished_at, a.outcome, a.answered, a.http_status, a.code, a.settled_at, a.api
FROM meter_events AS m INNER JOIN delivery_attempts AS a ON a.meter_event = m.id
WHERE m.dissolved_at IS NOT NULL AND m.identifier IN (VALUES (:identifier))
ORDER BY m.id, a.attempt;

-- name: next_meter_event
SELECT COALESCE(MAX(id), 0) + 1 AS id FROM meter_events;

-- name: add_meter_event
INSERT INTO meter_events (
    id, identifier, revision, event_name, stripe_customer_id, timestamp, payload, quantity, scale,
    usage_events, event_time, sealed_at, state, state_at, attempts
) VALUES (
    :id, :identifier, :revision, :event_name, :stripe_customer_id, :timestamp, :payload, :quantity, :scale,
    :usage_events, :event_time, :now, 'sending', :now, 1
);

-- name: link_usage_event
INSERT INTO meter_event_usage (meter_event, usage_event, linked_at)
VALUES (:meter_event, :usage_event, :linked_at);

-- name: begin_attempt
-- Invariant 7: intent before network.
INSERT INTO delivery_attempts (meter_event, attempt, push, idempotency_key, started_at, api)
VALUES (:meter_event, :attempt, :push, :idempotency_key, :started_at, :api);

-- name: claim_again_if_unclaimed
UPDATE meter_events SET state = 'sending', state_at = :now, attempts = attempts + 1
WHERE id = :meter_event AND state IN ('pending', 'sending') AND attempts = :attempts;

-- name: attempts_of
SELECT attempt, idempotency_key, started_at, finished_at, outcome, answered, http_status, code, settled_at, api
FROM delivery_attempts WHERE meter_event = :meter_event ORDER BY attempt;

-- name: finish_attempts_if_in_flight
-- All that one answer is about.
UPDATE delivery_attempts SET
    finished_at = :finished_at, outcome = :outcome, answered = :answered, http_status = :http_status, code = :code,
    message = :message, stripe_request_id = :stripe_request_id
WHERE attempt = :attempt AND outcome IS NULL AND meter_event IN (VALUES (:meter_event));

-- name: settle_attempts
UPDATE delivery_attempts SET settled_at = :settled_at
WHERE meter_event = :meter_event AND outcome = 'unknown' AND settled_at IS NULL;

-- name: set_state_if_sending
UPDATE meter_events SET
    state = :state, state_at = :state_at, in_doubt_reason = :in_doubt_reason, accepted_at = :accepted_at,
    accepted_from = :accepted_from, accepted_by = :accepted_by,
    accepted_recorded_at = CASE WHEN :accepted_by IS NULL THEN NULL ELSE :state_at END,
    rejection_code = :rejection_code, rejection_message = :rejection_message
WHERE state = 'sending' AND attempts = :attempts AND id IN (VALUES (:meter_event));

-- name: set_state_if_in_doubt
UPDATE meter_events SET
    state = :state, state_at = :state_at, in_doubt_reason = NULL, accepted_at = :accepted_at,
    accepted_from = :accepted_from, accepted_by = :accepted_by,
    accepted_recorded_at = CASE WHEN :accepted_by IS NULL THEN NULL ELSE :state_at END
WHERE id = :meter_event AND state = 'in_doubt';

-- name: interrupt_attempts_in_flight
-- Recovery: an attempt that no process will finish may have reached Stripe.
UPDATE delivery_attempts SET
    finished_at = CASE WHEN :finished_at < started_at THEN started_at ELSE :finished_at END,
    outcome = 'unknown', code = 'interrupted'
WHERE outcome IS NULL;

-- name: pending_never_reached
-- Claims that may be dissolved: no attempt of theirs can have reached Stripe, not even in a person's eyes.
SELECT id FROM meter_events
WHERE state IN ('pending', 'sending', 'rejected', 'in_doubt') AND state = 'pending' AND NOT EXISTS (
    SELECT 1 FROM delivery_attempts AS a
    WHERE a.meter_event = meter_events.id AND (a.outcome IS NULL OR a.outcome <> 'not_sent')
)
ORDER BY id;

-- name: dissolve_if_pending
UPDATE meter_events SET state = 'canceled', state_at = :now, dissolved_at = :now
WHERE id = :meter_event AND state = 'pending' AND NOT EXISTS (
    SELECT 1 FROM delivery_attempts AS a
    WHERE a.meter_event = meter_events.id AND (a.outcome IS NULL OR a.outcome <> 'not_sent')
);

-- name: unlink_meter_event
UPDATE meter_event_usage SET unlinked_at = CASE WHEN :now < linked_at THEN linked_at ELSE :now END
WHERE meter_event = :meter_event AND unlinked_at IS NULL;

-- name: begin_push
INSERT INTO pushes (api, program_version, started_at) VALUES (:api, :program_version, :started_at)
RETURNING id;

-- name: finish_push
UPDATE pushes SET finished_at = CASE WHEN :finished_at < started_at THEN started_at ELSE :finished_at END
WHERE id = :push;

-- name: meter_event_by_identifier
SELECT id, state, in_doubt_reason, attempts FROM meter_events
WHERE identifier = :identifier AND dissolved_at IS NULL;

-- name: add_resolution
INSERT INTO resolutions (meter_event, settled_as, note, resolved_at)
VALUES (:meter_event, :settled_as, :note, :resolved_at);

-- name: count_meter_events
-- What was retried is carried by another meter event, and no longer open.
SELECT state, COUNT(*) AS count FROM meter_events
WHERE dissolved_at IS NULL AND retried_at IS NULL
GROUP BY state ORDER BY state;

-- name: count_open_meter_events
-- The same of what is not settled, without a look at what is: that is most of a ledger.
SELECT state, COUNT(*) AS count, MIN(event_time) AS oldest_event_time FROM meter_events
WHERE state IN ('pending', 'sending', 'rejected', 'in_doubt')
    AND dissolved_at IS NULL AND retried_at IS NULL
GROUP BY state ORDER BY state;

-- name: latest_own_instant
-- Of what this ledger's own clock wrote, ever: a later, smaller instant does not hide an earlier, larger one.
SELECT MAX(instant) AS instant FROM (
    SELECT MAX(started_at) AS instant FROM imports
    UNION ALL
    SELECT MAX(finished_at) FROM imports
    UNION ALL
    SELECT MAX(recorded_at) FROM customer_files
    UNION ALL
    SELECT MAX(started_at) FROM pushes
    UNION ALL
    SELECT MAX(finished_at) FROM pushes
    UNION ALL
    SELECT MAX(started_at) FROM delivery_attempts
    UNION ALL
    SELECT MAX(recorded_at) FROM billing_pulls
    UNION ALL
    SELECT MAX(requested_at) FROM deadline_extensions
) AS latest;

-- name: note_meter
INSERT INTO stripe_meters (event_name, active, seen_at) VALUES (:event_name, :active, :seen_at)
ON CONFLICT (event_name) DO UPDATE SET active = excluded.active, seen_at = excluded.seen_at;

-- name: forget_meters
UPDATE stripe_meters SET active = 0, seen_at = :seen_at;

-- name: noted_meters
SELECT event_name, active FROM stripe_meters WHERE seen_at <= :as_of;

-- name: meters_read
SELECT meters_read_at FROM binding WHERE meters_read_at <= :as_of;

-- name: note_meters_read
UPDATE binding SET meters_read_at = :seen_at;

-- name: finest_unsealed_scale
-- Invariant 6: decimal_places may not be lowered below what unsealed usage has.
SELECT f.name AS feature, MAX(u.scale) AS scale
FROM unsealed AS q
INNER JOIN usage_events AS u ON u.id = q.usage_event
INNER JOIN features AS f ON f.id = u.feature
GROUP BY f.name ORDER BY f.name;
