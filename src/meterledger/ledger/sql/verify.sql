-- Each statement returns the rows that break an invariant; none is right.

-- name: verify_rows_counted
SELECT i.id, i.file FROM imports AS i
LEFT JOIN (SELECT import, COUNT(*) AS events FROM usage_events GROUP BY import) AS u ON u.import = i.id
WHERE i.rows_read <> i.accepted + i.duplicates + i.conflicts + i.rejected
    OR i.accepted <> COALESCE(u.events, 0)
ORDER BY i.id LIMIT 20;

-- name: verify_keys_unique
-- Usage that was taken back before it was sent has freed its key.
SELECT MIN(u.id) AS id, u.request_id FROM usage_events AS u
WHERE NOT EXISTS (SELECT 1 FROM usage_closures AS x WHERE x.usage_event = u.id AND x.state = 'voided')
GROUP BY u.source, u.request_id HAVING COUNT(*) > 1
ORDER BY MIN(u.id) LIMIT 20;

-- name: verify_one_live_link
SELECT usage_event AS id, COUNT(*) AS links FROM meter_event_usage WHERE unlinked_at IS NULL
GROUP BY usage_event HAVING COUNT(*) > 1 ORDER BY usage_event LIMIT 20;

-- name: verify_unsealed_is_what_no_link_carries
-- Each usage event is exactly one of: in the outbox, carried by a live link, closed.
SELECT u.id FROM usage_events AS u
LEFT JOIN unsealed AS q ON q.usage_event = u.id
LEFT JOIN meter_event_usage AS l ON l.usage_event = u.id AND l.unlinked_at IS NULL
LEFT JOIN usage_closures AS x ON x.usage_event = u.id
WHERE (CASE WHEN q.usage_event IS NULL THEN 0 ELSE 1 END) + (CASE WHEN l.usage_event IS NULL THEN 0 ELSE 1 END)
    + (CASE WHEN x.usage_event IS NULL THEN 0 ELSE 1 END) <> 1
ORDER BY u.id LIMIT 20;

-- name: verify_identifiers_unique
SELECT MIN(id) AS id, identifier FROM meter_events WHERE dissolved_at IS NULL
GROUP BY identifier HAVING COUNT(*) > 1 ORDER BY MIN(id) LIMIT 20;

-- name: verify_links_of_meter_events
-- A meter event carries as many usage events as it says; none if it was dissolved or its usage retried.
SELECT m.id, m.identifier FROM meter_events AS m
WHERE m.dissolved_at IS NULL AND CASE WHEN m.retried_at IS NULL THEN m.usage_events ELSE 0 END <> (
    SELECT COUNT(*) FROM meter_event_usage AS l WHERE l.meter_event = m.id AND l.unlinked_at IS NULL
)
ORDER BY m.id LIMIT 20;

-- name: verify_attempts_counted
SELECT m.id, m.identifier FROM meter_events AS m
WHERE m.attempts <> (SELECT COUNT(*) FROM delivery_attempts AS a WHERE a.meter_event = m.id)
ORDER BY m.id LIMIT 20;

-- name: verify_accepted_has_proof
-- Accepted means a 200, a duplicate answer after an own unknown attempt, or a person's word.
SELECT m.id, m.identifier FROM meter_events AS m
WHERE m.state IN ('accepted', 'confirmed')
    AND NOT EXISTS (
        SELECT 1 FROM delivery_attempts AS a
        WHERE a.meter_event = m.id AND a.outcome IN ('accepted', 'duplicate')
    )
    AND NOT EXISTS (SELECT 1 FROM resolutions AS r WHERE r.meter_event = m.id AND r.settled_as = 'sent')
ORDER BY m.id LIMIT 20;

-- name: verify_pending_is_not_sent
-- Pending means that Stripe certainly has not taken it: no attempt is unknown and unsettled.
SELECT m.id, m.identifier FROM meter_events AS m
WHERE m.state IN ('pending', 'sending', 'rejected', 'in_doubt') AND m.state = 'pending' AND EXISTS (
    SELECT 1 FROM delivery_attempts AS a
    WHERE a.meter_event = m.id AND (a.outcome IS NULL OR a.outcome = 'unknown') AND a.settled_at IS NULL
)
ORDER BY m.id LIMIT 20;

-- name: verify_within_horizon
-- No attempt began 23 h or more after an earlier one that may have reached Stripe and was not settled by then.
SELECT b.meter_event AS id, b.attempt FROM delivery_attempts AS b
INNER JOIN delivery_attempts AS a ON a.meter_event = b.meter_event AND a.attempt < b.attempt
WHERE a.outcome = 'unknown' AND b.started_at >= a.started_at + 82800000000
    AND (a.settled_at IS NULL OR a.settled_at > b.started_at)
ORDER BY b.meter_event LIMIT 20;

-- name: verify_retried_is_rejected
-- Sealed again only after a refusal at once, or a report of what had been taken, and nothing left unknown.
SELECT m.id, m.identifier FROM meter_events AS m
WHERE m.retried_at IS NOT NULL AND (
    m.state <> 'rejected'
    OR EXISTS (
        SELECT 1 FROM delivery_attempts AS a
        WHERE a.meter_event = m.id AND (a.outcome IS NULL OR (a.outcome = 'unknown' AND a.settled_at IS NULL))
    )
    OR (
        EXISTS (
            SELECT 1 FROM delivery_attempts AS a
            WHERE a.meter_event = m.id AND a.outcome IN ('accepted', 'duplicate')
        )
        AND NOT EXISTS (SELECT 1 FROM error_report_samples AS s WHERE s.meter_event = m.id)
    )
)
ORDER BY m.id LIMIT 20;

-- name: verify_sealed_bodies
SELECT m.id, m.identifier, m.revision, m.event_name, m.timestamp, m.payload, m.quantity, m.scale,
    m.event_time, s.name AS source, u.request_id, u.quantity AS usage_quantity, u.scale AS usage_scale,
    u.event_time AS usage_event_time, i.keeps_identifier
FROM meter_events AS m
INNER JOIN meter_event_usage AS l ON l.meter_event = m.id AND l.unlinked_at IS NULL
INNER JOIN usage_events AS u ON u.id = l.usage_event
INNER JOIN sources AS s ON s.id = u.source
INNER JOIN imports AS i ON i.id = u.import
LEFT JOIN rollups AS r ON r.meter_event = m.id
WHERE m.dissolved_at IS NULL AND r.meter_event IS NULL
ORDER BY m.id;

-- name: verify_rolled_up_bodies
SELECT m.id, m.identifier, m.revision, m.event_name, m.stripe_customer_id, m.timestamp, m.payload, m.quantity,
    m.scale, m.event_time, r.window_start, r.window_end, r.dimensions, r.part, u.quantity AS usage_quantity,
    u.scale AS usage_scale, u.event_time AS usage_event_time
FROM rollups AS r
INNER JOIN meter_events AS m ON m.id = r.meter_event
INNER JOIN meter_event_usage AS l ON l.meter_event = m.id AND l.unlinked_at IS NULL
INNER JOIN usage_events AS u ON u.id = l.usage_event
WHERE m.dissolved_at IS NULL
ORDER BY m.id;

-- name: verify_rolled_up_says_so
-- A meter event that carries several usage events says which window they are of.
SELECT m.id, m.identifier FROM meter_events AS m
LEFT JOIN rollups AS r ON r.meter_event = m.id
WHERE m.usage_events > 1 AND r.meter_event IS NULL
ORDER BY m.id LIMIT 20;

-- name: verify_sent_is_bound
SELECT 1 AS id WHERE EXISTS (SELECT 1 FROM delivery_attempts) AND NOT EXISTS (SELECT 1 FROM binding);

-- name: verify_extended_has_proof
-- Extended means that the invoice itself told a deadline that is not before the one asked for.
SELECT e.id, e.invoice_id FROM deadline_extensions AS e
LEFT JOIN deadline_extension_outcomes AS o ON o.extension = e.id
WHERE e.to_deadline <= e.from_deadline
    OR (o.outcome = 'extended' AND (o.deadline IS NULL OR o.deadline < e.to_deadline))
ORDER BY e.id LIMIT 20;

-- name: verify_final_stays_final
-- What Stripe said of an invoice never goes back from final to draft.
SELECT later.id, later.invoice_id FROM billing_invoices AS later
WHERE later.status = 'draft' AND EXISTS (
    SELECT 1 FROM billing_invoices AS before
    WHERE before.invoice_id = later.invoice_id AND before.id < later.id AND before.finalized_at IS NOT NULL
)
ORDER BY later.id LIMIT 20;
