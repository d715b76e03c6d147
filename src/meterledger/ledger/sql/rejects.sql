-- name: same_reject
-- The same row of the same file, or of a copy of it, refused before. An open one is the same whatever it was
-- refused for; a closed one only if nothing is new, or if a person dismissed it. What an import dismissed by
-- being taken back is new, and what was accepted as usage that is taken back, or may be: where the usage is
-- unknown, it came under another usage key. A wide row may be refused for several features: each is a refused
-- row of its own, and is seen once by each import.
SELECT r.id FROM rejects AS r
INNER JOIN imports AS i ON i.id = r.import
WHERE r.raw_digest = :raw_digest AND r.source = :source AND r.line = :line
    AND (i.file = :file OR i.sha256 = :sha256)
    AND (
        r.closed_at IS NULL OR (r.kind = :kind AND (r.reason = :reason OR r.closed_as = 'dismissed'))
    )
    AND NOT EXISTS (
        SELECT 1 FROM reject_sightings AS s INNER JOIN imports AS v ON v.id = s.import
        WHERE s.reject = r.id AND v.voided_at = r.closed_at AND v.void_note = r.closed_note
    )
    AND NOT EXISTS (
        SELECT 1 FROM usage_closures AS x WHERE x.usage_event = r.accepted_as AND x.state = 'voided'
    )
    AND NOT EXISTS (
        SELECT 1 FROM imports AS v
        WHERE r.closed_as = 'accepted' AND r.accepted_as IS NULL AND v.voided_at >= r.closed_at
    )
    AND COALESCE(r.feature, :feature, '') = COALESCE(:feature, r.feature, '')
    AND NOT EXISTS (SELECT 1 FROM reject_sightings AS s WHERE s.reject = r.id AND s.import = :import)
ORDER BY (CASE WHEN r.closed_at IS NULL THEN 0 ELSE 1 END), (CASE WHEN r.reason = :reason THEN 0 ELSE 1 END), r.id
LIMIT 1;

-- name: same_reject_of_export
-- The refused row that came back unchanged in an exported file: of its feature, the one it names, else one
-- of the same text. A wide row brings each of its features with each of its rows.
SELECT r.id FROM rejects AS r
WHERE r.raw_digest = :raw_digest AND r.source = :source AND (r.closed_at IS NULL OR r.id = :named)
    AND NOT EXISTS (
        SELECT 1 FROM reject_sightings AS s INNER JOIN imports AS v ON v.id = s.import
        WHERE s.reject = r.id AND v.voided_at = r.closed_at AND v.void_note = r.closed_note
    )
    AND NOT EXISTS (
        SELECT 1 FROM usage_closures AS x WHERE x.usage_event = r.accepted_as AND x.state = 'voided'
    )
    AND NOT EXISTS (
        SELECT 1 FROM imports AS v
        WHERE r.closed_as = 'accepted' AND r.accepted_as IS NULL AND v.voided_at >= r.closed_at
    )
ORDER BY (CASE WHEN COALESCE(r.feature, '') = COALESCE(:feature, '') THEN 0 ELSE 1 END),
    (CASE WHEN r.id = :named THEN 0 ELSE 1 END), r.id
LIMIT 1;

-- name: named_reject
-- The refused row that a row of an exported file names, with the one which that was meant to mend: by its
-- number, and by where it stands, since the file may come from another ledger.
SELECT r.id, first.id AS mends, first.import, first.line, first.raw_digest FROM rejects AS r
INNER JOIN imports AS i ON i.id = r.import
INNER JOIN rejects AS first ON first.id = COALESCE(r.mends, r.id)
WHERE r.id = :id AND r.source = :source AND r.line = :line AND i.file = :file;

-- name: see_reject_again
UPDATE rejects SET times_seen = times_seen + 1 WHERE id = :id;

-- name: renew_reject
-- What is wrong with a row by today's rules.
UPDATE rejects SET
    kind = :kind, reason = :reason, message = :message, differences = :differences, request_id = :request_id,
    customer_id = :customer_id, feature = :feature, event_time = :event_time
WHERE id = :id AND closed_at IS NULL;

-- name: add_reject
INSERT INTO rejects (
    kind, import, source, line, reason, message, raw, raw_digest, request_id, customer_id, feature,
    event_time, differences, mends, recorded_at
) VALUES (
    :kind, :import, :source, :line, :reason, :message, :raw, :raw_digest, :request_id, :customer_id, :feature,
    :event_time, :differences, :mends, :recorded_at
) RETURNING id;

-- name: sight_reject
INSERT INTO reject_sightings (reject, import) VALUES (:reject, :import) ON CONFLICT DO NOTHING;

-- name: reject_is_sighted
SELECT 1 FROM reject_sightings WHERE reject = :reject AND import = :import;

-- name: close_rejections_since_accepted
-- A rejection closes when its usage key is accepted after it: by a later import, or further down the file.
UPDATE rejects SET closed_at = :closed_at, closed_as = 'accepted', accepted_as = (
    SELECT MAX(u.id) FROM usage_events AS u
    WHERE u.request_id = rejects.request_id AND u.source = rejects.source
)
WHERE kind = 'rejection' AND closed_at IS NULL AND source = :source AND request_id IS NOT NULL
    AND EXISTS (
        SELECT 1 FROM usage_events AS u
        WHERE u.request_id = rejects.request_id AND u.source = rejects.source
            AND (u.import > rejects.import OR (u.import = rejects.import AND u.line > rejects.line))
            AND NOT EXISTS (
                SELECT 1 FROM usage_closures AS x WHERE x.usage_event = u.id AND x.state = 'voided'
            )
    );

-- name: close_reject
UPDATE rejects SET
    closed_at = :closed_at, closed_as = :closed_as, closed_note = :closed_note, accepted_as = :accepted_as
WHERE id = :id AND closed_at IS NULL;

-- name: close_mended
-- A refused row and every attempt to mend it, once one was accepted.
UPDATE rejects SET closed_at = :closed_at, closed_as = 'accepted', accepted_as = :accepted_as
WHERE (id = :mends OR mends = :mends) AND closed_at IS NULL;

-- name: close_rest_of_row
-- The other features of a wide row that was accepted as a whole.
UPDATE rejects SET closed_at = :closed_at, closed_as = 'accepted', accepted_as = :accepted_as
WHERE raw_digest = :raw_digest AND line = :line AND import = :import AND closed_at IS NULL;

-- name: refused_row
SELECT * FROM refused_rows WHERE id = :id;

-- name: refused_rows_that_match
SELECT * FROM refused_rows AS r
WHERE (r.closed_at IS NULL OR :with_closed = 1)
    AND (:kind = '' OR r.kind = :kind)
    AND (:source = '' OR r.source = :source)
    AND (:import = 0 OR EXISTS (
        SELECT 1 FROM reject_sightings AS seen WHERE seen.reject = r.id AND seen.import = :import
    ))
    AND (:customer_id = '' OR r.customer_id = :customer_id)
    AND (:feature = '' OR r.feature = :feature)
    AND (:in_time = 0 OR (r.event_time >= :since AND r.event_time < :until))
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
