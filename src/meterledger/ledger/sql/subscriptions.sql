-- name: add_billing_pull
INSERT INTO billing_pulls (
    account_id, mode, host, stripe_account, subscriptions_read, invoices_read, recorded_at
) VALUES (:account_id, :mode, :host, :stripe_account, :subscriptions_read, :invoices_read, :recorded_at);

-- name: latest_billing_pull
SELECT account_id, mode, host, stripe_account, subscriptions_read, invoices_read, recorded_at
FROM billing_pulls WHERE recorded_at <= :as_of ORDER BY id DESC LIMIT 1;

-- name: add_billing_item
INSERT INTO billing_items (
    item_id, subscription_id, stripe_customer_id, event_name, price_id, status, billing_mode, anchor,
    interval_unit, interval_count, start_at, period_start, period_end, cancel_at, ended_at, has_thresholds,
    has_pending_update, recorded_at
) VALUES (
    :item_id, :subscription_id, :stripe_customer_id, :event_name, :price_id, :status, :billing_mode, :anchor,
    :interval_unit, :interval_count, :start_at, :period_start, :period_end, :cancel_at, :ended_at,
    :has_thresholds, :has_pending_update, :recorded_at
);

-- name: billing_items
-- Every version that was known at an instant, in the order in which it was recorded.
SELECT item_id, subscription_id, stripe_customer_id, event_name, price_id, status, billing_mode, anchor,
    interval_unit, interval_count, start_at, period_start, period_end, cancel_at, ended_at, has_thresholds,
    has_pending_update, recorded_at
FROM billing_items WHERE recorded_at <= :as_of ORDER BY id;

-- name: add_billing_invoice
INSERT INTO billing_invoices (
    invoice_id, subscription_id, stripe_customer_id, status, billing_reason, created_at, auto_advance,
    finalizes_at, finalized_at, finalization_error, recorded_at
) VALUES (
    :invoice_id, :subscription_id, :stripe_customer_id, :status, :billing_reason, :created_at, :auto_advance,
    :finalizes_at, :finalized_at, :finalization_error, :recorded_at
) RETURNING id;

-- name: add_billing_line
INSERT INTO billing_lines (invoice, item_id, start_at, end_at, price_id)
VALUES (:invoice, :item_id, :start_at, :end_at, :price_id);

-- name: billing_invoices
-- The first and the latest version of each invoice that was known at an instant, oldest first.
SELECT v.id, v.invoice_id, v.subscription_id, v.stripe_customer_id, v.status, v.billing_reason, v.created_at,
    v.auto_advance, v.finalizes_at, v.finalized_at, v.finalization_error, v.recorded_at
FROM billing_invoices AS v
INNER JOIN (
    SELECT MIN(id) AS first, MAX(id) AS latest FROM billing_invoices WHERE recorded_at <= :as_of
    GROUP BY invoice_id
) AS known ON v.id = known.first OR v.id = known.latest
ORDER BY v.id;

-- name: latest_billing_invoice
SELECT id, invoice_id, subscription_id, stripe_customer_id, status, billing_reason, created_at, auto_advance,
    finalizes_at, finalized_at, finalization_error, recorded_at
FROM billing_invoices WHERE invoice_id = :invoice_id ORDER BY id DESC LIMIT 1;

-- name: billing_lines_of
SELECT item_id, start_at, end_at, price_id FROM billing_lines WHERE invoice = :invoice
ORDER BY item_id, start_at, end_at, price_id;

-- name: billing_lines
SELECT l.invoice, l.item_id, l.start_at, l.end_at, l.price_id
FROM billing_lines AS l
INNER JOIN billing_invoices AS v ON v.id = l.invoice
WHERE v.recorded_at <= :as_of
ORDER BY l.invoice, l.item_id, l.start_at, l.end_at, l.price_id;

-- name: add_deadline_extension
INSERT INTO deadline_extensions (
    invoice_id, stripe_customer_id, from_deadline, to_deadline, idempotency_key, requested_at
) VALUES (
    :invoice_id, :stripe_customer_id, :from_deadline, :to_deadline, :idempotency_key, :requested_at
) RETURNING id;

-- name: add_deadline_extension_outcome
INSERT INTO deadline_extension_outcomes (extension, outcome, http_status, message, deadline, recorded_at)
VALUES (:extension, :outcome, :http_status, :message, :deadline, :recorded_at);

-- name: open_deadline_extensions
-- Intents whose outcome nobody knows.
SELECT e.id, e.invoice_id, e.stripe_customer_id, e.from_deadline, e.to_deadline, e.idempotency_key
FROM deadline_extensions AS e
WHERE NOT EXISTS (SELECT 1 FROM deadline_extension_outcomes AS o WHERE o.extension = e.id)
ORDER BY e.id;

-- name: deadlines_extended_beside_open
-- Invoices that were moved at most so long before the oldest open intent, or after it: by the run that was cut off.
SELECT e.invoice_id, MAX(e.to_deadline) AS to_deadline FROM deadline_extensions AS e
INNER JOIN deadline_extension_outcomes AS o ON o.extension = e.id
WHERE o.outcome = 'extended' AND o.recorded_at >= (
    SELECT MIN(p.requested_at) FROM deadline_extensions AS p
    WHERE NOT EXISTS (SELECT 1 FROM deadline_extension_outcomes AS q WHERE q.extension = p.id)
) - :span
GROUP BY e.invoice_id ORDER BY e.invoice_id;

-- name: answered_deadline_extensions
-- How often this very change was asked for and answered: 1 for each answer that was no success, and what uses
-- the key up for a success.
SELECT COALESCE(SUM(CASE o.outcome WHEN 'extended' THEN :same_key_answers ELSE 1 END), 0) AS count
FROM deadline_extensions AS e
INNER JOIN deadline_extension_outcomes AS o ON o.extension = e.id
WHERE e.invoice_id = :invoice_id AND e.from_deadline = :from_deadline AND e.to_deadline = :to_deadline
    AND (o.outcome = 'extended' OR o.http_status IS NOT NULL);

-- name: unsent_sealed_usage
-- Usage of [since, until) that is sealed and not accepted, by the Stripe customer and meter that it goes to.
SELECT m.stripe_customer_id, m.event_name, u.event_time, u.quantity, u.scale
FROM meter_events AS m
INNER JOIN meter_event_usage AS l ON l.meter_event = m.id AND l.unlinked_at IS NULL
INNER JOIN usage_events AS u ON u.id = l.usage_event
WHERE m.state IN ('pending', 'sending', 'rejected', 'in_doubt')
    AND u.event_time >= :since AND u.event_time < :until
ORDER BY u.id;
