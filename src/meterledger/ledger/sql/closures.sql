-- name: import_usage_by_state
-- What became of an import's usage events: closed, in a meter event of some state, or neither.
SELECT COALESCE(x.state, m.state, 'unsealed') AS state, COUNT(*) AS count
FROM usage_events AS u
LEFT JOIN usage_closures AS x ON x.usage_event = u.id
LEFT JOIN meter_event_usage AS l ON l.usage_event = u.id AND l.unlinked_at IS NULL
LEFT JOIN meter_events AS m ON m.id = l.meter_event
WHERE u.import = :import
GROUP BY COALESCE(x.state, m.state, 'unsealed')
ORDER BY state;

-- name: pending_of_import
-- Sealed usage of an import that Stripe certainly has not taken: no attempt, or somebody's word, says else.
SELECT m.id, l.usage_event
FROM meter_events AS m
INNER JOIN meter_event_usage AS l ON l.meter_event = m.id AND l.unlinked_at IS NULL
INNER JOIN usage_events AS u ON u.id = l.usage_event
-- The first condition adds nothing but the index of what is unsettled.
WHERE m.state IN ('pending', 'sending', 'rejected', 'in_doubt') AND m.state = 'pending' AND u.import = :import
ORDER BY m.id, l.usage_event;

-- name: take_pending_back
UPDATE meter_events SET state = 'canceled', state_at = :now, dissolved_at = :now
WHERE id = :meter_event AND state = 'pending';

-- name: sealed_of_import
-- What of an import has been sent, or may have been, with what a correction at Stripe would need.
SELECT
    m.id, u.request_id, u.line, m.identifier, m.event_name, m.stripe_customer_id, u.quantity, u.scale,
    m.usage_events, m.timestamp, m.state, m.accepted_at, m.accepted_from
FROM usage_events AS u
INNER JOIN meter_event_usage AS l ON l.usage_event = u.id AND l.unlinked_at IS NULL
INNER JOIN meter_events AS m ON m.id = l.meter_event
WHERE u.import = :import
ORDER BY u.id;

-- name: voided_imports_of_identifier
SELECT DISTINCT i.id FROM meter_events AS m
INNER JOIN meter_event_usage AS l ON l.meter_event = m.id AND l.unlinked_at IS NULL
INNER JOIN usage_events AS u ON u.id = l.usage_event
INNER JOIN imports AS i ON i.id = u.import
WHERE m.identifier = :identifier AND i.voided_at IS NOT NULL
ORDER BY i.id;

-- name: mark_import_voided
UPDATE imports SET voided_at = :voided_at, void_note = :note WHERE id = :import AND voided_at IS NULL;

-- name: void_unsealed_of_import
INSERT INTO usage_closures (usage_event, state, note, closed_at)
SELECT u.id, 'voided', :note, :closed_at
FROM unsealed AS q INNER JOIN usage_events AS u ON u.id = q.usage_event
WHERE u.import = :import;

-- name: void_already_billed_of_import
UPDATE usage_closures SET
    state = 'voided', already_billed_at = closed_at, note = :note,
    closed_at = CASE WHEN :closed_at < closed_at THEN closed_at ELSE :closed_at END
WHERE state = 'already_billed' AND usage_event IN (SELECT u.id FROM usage_events AS u WHERE u.import = :import);

-- name: dismiss_rejects_of_import
-- Refused rows that no import brought but those that were taken back.
UPDATE rejects SET closed_at = :closed_at, closed_as = 'dismissed', closed_note = :note
WHERE closed_at IS NULL
    AND EXISTS (
        SELECT 1 FROM reject_sightings AS seen WHERE seen.reject = rejects.id AND seen.import = :import
    )
    AND NOT EXISTS (
        SELECT 1 FROM reject_sightings AS seen INNER JOIN imports AS i ON i.id = seen.import
        WHERE seen.reject = rejects.id AND i.voided_at IS NULL
    );

-- name: rejects_accepted_as_voided
-- Refused rows of other imports that became usage of this one, which is taken back now.
SELECT r.id, r.mends FROM rejects AS r
INNER JOIN usage_events AS u ON u.id = r.accepted_as
INNER JOIN usage_closures AS x ON x.usage_event = u.id
WHERE u.import = :import AND x.state = 'voided' AND x.closed_at >= :closed_at
    AND EXISTS (
        SELECT 1 FROM reject_sightings AS seen INNER JOIN imports AS i ON i.id = seen.import
        WHERE seen.reject = r.id AND i.voided_at IS NULL
    )
ORDER BY r.id;

-- name: open_reject_anew
-- Closed is closed for good: it is stored once more, of the imports that brought it and still hold.
INSERT INTO rejects (
    kind, import, source, line, reason, message, raw, raw_digest, request_id, customer_id, feature,
    event_time, differences, recorded_at, times_seen
)
SELECT
    r.kind, MIN(seen.import), r.source, r.line, r.reason, r.message, r.raw, r.raw_digest, r.request_id,
    r.customer_id, r.feature, r.event_time, r.differences, :recorded_at, COUNT(*)
FROM rejects AS r
INNER JOIN reject_sightings AS seen ON seen.reject = r.id
INNER JOIN imports AS i ON i.id = seen.import
WHERE r.id = :reject AND i.voided_at IS NULL
GROUP BY r.id
RETURNING id;

-- name: sight_reject_anew
INSERT INTO reject_sightings (reject, import)
SELECT opened.id, seen.import
FROM reject_sightings AS seen
INNER JOIN imports AS i ON i.id = seen.import
INNER JOIN rejects AS opened ON opened.id = :opened
WHERE seen.reject = :reject AND i.voided_at IS NULL;

-- name: write_usage_off
INSERT INTO usage_closures (usage_event, state, blocked_reason, note, closed_at)
VALUES (:usage_event, 'written_off', :blocked_reason, :note, :closed_at);

-- name: usage_by_request_id
-- The usage events of a request_id, of each source the last, with where they stand.
SELECT u.id, s.name AS source, COALESCE(x.state, m.state, 'unsealed') AS state
FROM usage_events AS u
INNER JOIN sources AS s ON s.id = u.source
LEFT JOIN usage_closures AS x ON x.usage_event = u.id
LEFT JOIN meter_event_usage AS l ON l.usage_event = u.id AND l.unlinked_at IS NULL
LEFT JOIN meter_events AS m ON m.id = l.meter_event
WHERE u.request_id = :request_id AND NOT EXISTS (
    SELECT 1 FROM usage_events AS later
    WHERE later.request_id = u.request_id AND later.source = u.source AND later.generation > u.generation
)
ORDER BY s.name;

-- name: closure_of
SELECT state, blocked_reason, note, closed_at, already_billed_at FROM usage_closures
WHERE usage_event = :usage_event;

-- name: count_closures
SELECT known.state, COUNT(*) AS count FROM (
    SELECT CASE WHEN closed_at <= :as_of THEN state ELSE 'already_billed' END AS state
    FROM usage_closures WHERE closed_at <= :as_of OR already_billed_at <= :as_of
) AS known
GROUP BY known.state
ORDER BY known.state;
