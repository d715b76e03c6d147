-- name: add_customer_file
INSERT INTO customer_files (
    file, sha256, size_bytes, input_format, program_version, rows_read, recorded_at
) VALUES (
    :file, :sha256, :size_bytes, :input_format, :program_version, :rows_read, :recorded_at
) RETURNING id;

-- name: add_subscription_state
INSERT INTO subscription_states (
    customer_id, subscription_id, stripe_customer_id, plan, status, billing_cycle_anchor, interval_unit,
    interval_count, effective_at, file, line
) VALUES (
    :customer_id, :subscription_id, :stripe_customer_id, :plan, :status, :billing_cycle_anchor,
    :interval_unit, :interval_count, :effective_at, :file, :line
);

-- name: subscription_states
-- Every state known at an instant, in the order in which it was recorded, which decides between two that begin at once.
SELECT s.customer_id, s.subscription_id, s.stripe_customer_id, s.plan, s.status, s.billing_cycle_anchor,
    s.interval_unit, s.interval_count, s.effective_at, f.recorded_at, f.file, s.line
FROM subscription_states AS s
INNER JOIN customer_files AS f ON f.id = s.file
WHERE f.recorded_at <= :as_of
ORDER BY s.id;

-- name: subscription_states_of
-- The same of one customer, by its own id or by a Stripe customer that it has or had.
SELECT s.customer_id, s.subscription_id, s.stripe_customer_id, s.plan, s.status, s.billing_cycle_anchor,
    s.interval_unit, s.interval_count, s.effective_at, f.recorded_at, f.file, s.line
FROM subscription_states AS s
INNER JOIN customer_files AS f ON f.id = s.file
WHERE f.recorded_at <= :as_of AND EXISTS (
    SELECT 1 FROM subscription_states AS t
    WHERE t.customer_id = s.customer_id AND t.subscription_id = s.subscription_id
        AND (t.customer_id = :customer OR t.stripe_customer_id = :customer)
)
ORDER BY s.id;

-- name: billing_cycles
-- Whose periods begin when, in the order in which it was recorded.
SELECT s.customer_id, s.subscription_id, s.stripe_customer_id, s.billing_cycle_anchor, s.interval_unit,
    s.interval_count
FROM subscription_states AS s
INNER JOIN customer_files AS f ON f.id = s.file
WHERE f.recorded_at <= :as_of
ORDER BY s.id;

-- name: latest_customer_file
SELECT COALESCE(MAX(id), 0) AS id FROM customer_files;
