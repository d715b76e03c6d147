-- name: add_source
INSERT INTO sources (name) VALUES (:name) ON CONFLICT (name) DO NOTHING;

-- name: source_by_name
SELECT id FROM sources WHERE name = :name;

-- name: add_customer
INSERT INTO customers (customer_id) VALUES (:customer_id) ON CONFLICT (customer_id) DO NOTHING;

-- name: customer_by_customer_id
SELECT id FROM customers WHERE customer_id = :customer_id;

-- name: add_feature
INSERT INTO features (name) VALUES (:name) ON CONFLICT (name) DO NOTHING;

-- name: feature_by_name
SELECT id FROM features WHERE name = :name;

-- name: source_has_complete_import
SELECT 1 FROM imports INNER JOIN sources ON sources.id = imports.source
WHERE sources.name = :source AND (imports.finished_at IS NOT NULL OR imports.followed = 1)
    AND imports.voided_at IS NULL
    AND imports.accepted > 0
LIMIT 1;

-- name: last_import
SELECT s.name AS source, i.config_digest FROM imports AS i INNER JOIN sources AS s ON s.id = i.source
ORDER BY i.id DESC LIMIT 1;

-- name: begin_import
INSERT INTO imports (
    source, file, path, sha256, size_bytes, input_format, compression, delimiter, header, mapping,
    config_digest, program_version, backfill, already_billed, keeps_identifier, first_of_source, retry_of,
    started_at
) VALUES (
    :source, :file, :path, :sha256, :size_bytes, :input_format, :compression, :delimiter, :header, :mapping,
    :config_digest, :program_version, :backfill, :already_billed, :keeps_identifier, :first_of_source, :retry_of,
    :started_at
) RETURNING id;

-- name: count_chunk
UPDATE imports SET
    rows_read = rows_read + :rows_read,
    accepted = accepted + :accepted,
    duplicates = duplicates + :duplicates,
    conflicts = conflicts + :conflicts,
    rejected = rejected + :rejected
WHERE id = :import AND finished_at IS NULL;

-- name: finish_import_if_unfinished
-- A clock that is set right by a little may go back while a file is read: an end is not before its beginning.
UPDATE imports SET finished_at = CASE WHEN :finished_at < started_at THEN started_at ELSE :finished_at END
WHERE id = :import AND finished_at IS NULL;

-- name: whole_import_of_content
-- The whole import of the same content under the same source and config, if all it refused is settled.
SELECT i.id, i.file, i.sha256, i.finished_at, i.already_billed, i.rows_read, i.accepted, i.duplicates,
    i.conflicts, i.rejected
FROM imports AS i
INNER JOIN sources AS s ON s.id = i.source
WHERE i.sha256 = :sha256 AND s.name = :source AND i.config_digest = :config_digest
    AND i.finished_at IS NOT NULL AND i.voided_at IS NULL AND i.retry_of IS NULL AND i.followed = 0
    -- What it did not take may stand on usage that was taken back since, of any source: a duplicate, a conflict.
    AND (
        i.accepted = i.rows_read
        OR NOT EXISTS (SELECT 1 FROM imports AS v WHERE v.voided_at IS NOT NULL)
        OR NOT EXISTS (
            SELECT 1 FROM usage_closures AS x WHERE x.state = 'voided' AND x.closed_at >= i.started_at
        )
    )
    AND NOT EXISTS (
        SELECT 1 FROM rejects AS r
        INNER JOIN reject_sightings AS seen ON seen.reject = r.id
        INNER JOIN imports AS other ON other.id = seen.import
        WHERE other.sha256 = i.sha256 AND other.source = i.source
            AND r.kind = 'rejection'
            -- What was accepted since may not be refused any more.
            AND (r.closed_at IS NULL OR (r.closed_as = 'accepted' AND r.closed_at > i.finished_at))
    )
ORDER BY i.id DESC
LIMIT 1;

-- name: mark_import_incomplete
UPDATE imports SET incomplete_because = :because WHERE id = :import AND finished_at IS NULL;

-- name: last_usage_event
SELECT COALESCE(MAX(id), 0) AS id FROM usage_events;

-- name: add_usage_event
-- Invariant 3: a usage key that exists is left alone; whoever asks finds out by the count.
INSERT INTO usage_events (
    source, request_id, customer, subscription_id, feature, quantity, scale, event_time, received_at,
    recorded_at, import, line, dimensions
) VALUES (
    :source, :request_id, :customer, :subscription_id, :feature, :quantity, :scale, :event_time, :received_at,
    :recorded_at, :import, :line, :dimensions
) ON CONFLICT (request_id, source, generation) DO NOTHING;

-- name: add_unsealed_since
-- A key that was free again may have been sealed before, and rejected: identifiers are never used again.
INSERT INTO unsealed (usage_event, revision)
SELECT u.id, CASE u.generation WHEN 0 THEN 0 ELSE COALESCE((
    SELECT MAX(m.revision) + 1 FROM usage_events AS before
    INNER JOIN meter_event_usage AS l ON l.usage_event = before.id AND l.unlinked_at IS NOT NULL
    INNER JOIN meter_events AS m ON m.id = l.meter_event AND m.retried_at IS NOT NULL
    WHERE before.request_id = u.request_id AND before.source = u.source AND before.generation < u.generation
), 0) END
FROM usage_events AS u WHERE u.id > :usage_event;

-- name: add_usage_event_again
-- The key was free again: the import that had it was taken back before it was sent.
INSERT INTO usage_events (
    source, request_id, customer, subscription_id, feature, quantity, scale, event_time, received_at,
    recorded_at, import, line, dimensions, generation
) VALUES (
    :source, :request_id, :customer, :subscription_id, :feature, :quantity, :scale, :event_time, :received_at,
    :recorded_at, :import, :line, :dimensions, :generation
);

-- name: usage_not_in_ledger_as_given
-- Of rows that are expected to be in the ledger: those that are not the stored usage event of their key to
-- the letter, or not there, or whose key has a history.
WITH given (position, request_id, customer, subscription_id, feature, quantity, scale, event_time, dimensions)
AS (VALUES (
    :position, :request_id, :customer, :subscription_id, :feature, :quantity, :scale, :event_time, :dimensions
))
SELECT given.position
FROM given
WHERE NOT EXISTS (
    SELECT 1 FROM usage_events AS u
    WHERE u.request_id = given.request_id AND u.source = :source AND u.generation = 0
        AND u.customer = given.customer
        AND COALESCE(u.subscription_id, '') = COALESCE(given.subscription_id, '')
        AND u.feature = given.feature
        AND u.quantity = given.quantity
        AND u.scale = given.scale
        AND u.event_time = given.event_time
        AND COALESCE(u.dimensions, '') = COALESCE(given.dimensions, '')
        AND NOT EXISTS (SELECT 1 FROM usage_closures AS x WHERE x.usage_event = u.id AND x.state = 'voided')
)
ORDER BY given.position;

-- name: usage_not_as_stored
-- Of rows whose keys are in the ledger: those that are not the stored usage event to the letter, or whose
-- key has a history.
WITH given (position, request_id, customer, subscription_id, feature, quantity, scale, event_time, dimensions)
AS (VALUES (
    :position, :request_id, :customer, :subscription_id, :feature, :quantity, :scale, :event_time, :dimensions
))
SELECT DISTINCT given.position
FROM given
INNER JOIN usage_events AS u ON u.request_id = given.request_id AND u.source = :source
WHERE NOT (
    u.customer = given.customer
    AND COALESCE(u.subscription_id, '') = COALESCE(given.subscription_id, '')
    AND u.feature = given.feature
    AND u.quantity = given.quantity
    AND u.scale = given.scale
    AND u.event_time = given.event_time
    AND COALESCE(u.dimensions, '') = COALESCE(given.dimensions, '')
    AND u.generation = 0
)
OR EXISTS (SELECT 1 FROM usage_closures AS x WHERE x.usage_event = u.id AND x.state = 'voided')
ORDER BY given.position;

-- name: close_since
INSERT INTO usage_closures (usage_event, state, note, closed_at)
SELECT id, :state, :note, :closed_at FROM usage_events WHERE id > :usage_event;

-- name: stored_content
-- The usage event that holds a usage key now: the one of the last generation.
SELECT
    u.id, u.import, u.line, c.customer_id, u.subscription_id, f.name AS feature, u.quantity, u.scale,
    u.event_time, u.dimensions, u.generation, x.state AS closed_as
FROM usage_events AS u
INNER JOIN customers AS c ON c.id = u.customer
INNER JOIN features AS f ON f.id = u.feature
LEFT JOIN usage_closures AS x ON x.usage_event = u.id
WHERE u.request_id = :request_id AND u.source = :source
ORDER BY u.generation DESC LIMIT 1;

-- name: import_under_other_source
-- The same content under another source has other usage keys.
SELECT i.id, s.name AS source
FROM imports AS i
INNER JOIN sources AS s ON s.id = i.source
WHERE i.sha256 = :sha256 AND s.name <> :source AND i.accepted > 0 AND i.voided_at IS NULL
ORDER BY i.id DESC LIMIT 1;

-- name: import_to_be_sent
-- The first import of the same content whose usage waits to be sent, or was sent.
SELECT i.id, i.started_at
FROM imports AS i
INNER JOIN sources AS s ON s.id = i.source
WHERE i.sha256 = :sha256 AND s.name = :source AND i.already_billed = 0 AND i.accepted > 0
    AND i.voided_at IS NULL
ORDER BY i.id LIMIT 1;

-- name: source_has_unsealed
SELECT 1 FROM unsealed AS q
WHERE (SELECT u.source FROM usage_events AS u WHERE u.id = q.usage_event)
    = (SELECT s.id FROM sources AS s WHERE s.name = :source)
LIMIT 1;

-- name: list_imports
-- The latest first: of a source, one by its number, or all.
SELECT
    i.id, s.name AS source, i.file, i.path, i.sha256, i.size_bytes, i.input_format, i.compression,
    i.delimiter, i.header, i.mapping, i.config_digest, i.program_version, i.backfill, i.already_billed,
    i.keeps_identifier, i.followed, i.incomplete_because, i.retry_of, i.voided_at, i.void_note, i.started_at,
    i.finished_at, i.rows_read, i.accepted, i.duplicates, i.conflicts, i.rejected,
    CASE WHEN i.finished_at IS NULL THEN (
        SELECT MIN(later.id) FROM imports AS later
        WHERE later.id > i.id AND later.sha256 = i.sha256 AND later.source = i.source
            AND later.finished_at IS NOT NULL AND later.voided_at IS NULL AND later.retry_of IS NULL
    ) END AS completed_by
FROM imports AS i
INNER JOIN sources AS s ON s.id = i.source
WHERE (s.name = :source OR :every_source = 1) AND (i.id = :import OR :every_import = 1)
ORDER BY i.id DESC
LIMIT :limit;

-- name: settled_rejects_of_import
-- Refused rows that the import met and that were closed before it began.
SELECT COUNT(*) AS rejects
FROM reject_sightings AS seen INNER JOIN rejects AS r ON r.id = seen.reject
WHERE seen.import = :import AND r.closed_at < :before;

-- name: open_rejects_of_import
SELECT
    COUNT(*) FILTER (WHERE r.kind = 'rejection') AS rejections,
    COUNT(*) FILTER (WHERE r.kind = 'conflict') AS conflicts
FROM reject_sightings AS seen INNER JOIN rejects AS r ON r.id = seen.reject
WHERE seen.import = :import AND r.closed_at IS NULL;
