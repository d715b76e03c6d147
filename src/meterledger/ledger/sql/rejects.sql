-- name: same_reject
-- The same row of the same file, or of a copy of it, refused for the same reason before. A wide row is refused for
-- each feature by itself.
SELECT r.id FROM rejects AS r
INNER JOIN imports AS i ON i.id = r.import
WHERE r.raw_digest = :raw_digest AND r.source = :source AND r.kind = :kind AND r.reason = :reason
    AND r.line = :line AND COALESCE(r.feature, '') = COALESCE(:feature, '') AND (i.file = :file OR i.sha256 = :sha256)
LIMIT 1;

-- name: see_reject_again
UPDATE rejects SET times_seen = times_seen + 1 WHERE id = :id;

-- name: add_reject
INSERT INTO rejects (
    kind, import, source, line, reason, message, raw, raw_digest, request_id, customer_id, feature,
    event_time, differences, recorded_at
) VALUES (
    :kind, :import, :source, :line, :reason, :message, :raw, :raw_digest, :request_id, :customer_id, :feature,
    :event_time, :differences, :recorded_at
) RETURNING id;

-- name: sight_reject
INSERT INTO reject_sightings (reject, import) VALUES (:reject, :import) ON CONFLICT DO NOTHING;

-- name: close_rejections_since_accepted
-- A rejection closes when its usage key is accepted after it: by a later import, or further down the file.
UPDATE rejects SET closed_at = :closed_at, closed_as = 'accepted'
WHERE kind = 'rejection' AND closed_at IS NULL AND source = :source AND request_id IS NOT NULL
    AND EXISTS (
        SELECT 1 FROM usage_events AS u
        WHERE u.request_id = rejects.request_id AND u.source = rejects.source
            AND (u.import > rejects.import OR (u.import = rejects.import AND u.line > rejects.line))
    );

-- name: list_rejects
SELECT
    r.id, r.kind, s.name AS source, i.file, r.line, r.reason, r.message, r.raw, r.differences, r.request_id,
    r.feature, r.event_time, r.times_seen, r.recorded_at, r.closed_at, r.closed_as
FROM rejects AS r
INNER JOIN imports AS i ON i.id = r.import
INNER JOIN sources AS s ON s.id = r.source
WHERE (r.closed_at IS NULL OR :with_closed = 1)
ORDER BY r.id;

-- name: open_rejects_with_event_time
-- For the audit: refused usage that would have counted, by the clock of the question.
SELECT r.kind, r.event_time, r.feature, r.customer_id FROM rejects AS r
WHERE r.recorded_at <= :as_of AND (r.closed_at IS NULL OR r.closed_at > :as_of) AND r.event_time IS NOT NULL;

-- name: count_open_rejects
SELECT
    COUNT(*) FILTER (WHERE kind = 'rejection') AS rejections,
    COUNT(*) FILTER (WHERE kind = 'conflict') AS conflicts
FROM rejects
WHERE recorded_at <= :as_of AND (closed_at IS NULL OR closed_at > :as_of);
