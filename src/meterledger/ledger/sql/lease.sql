-- name: read_lease
SELECT token, holder, host, pid, process_started, acquired_at, expires_at, released FROM lease WHERE id = 1;

-- name: take_lease
INSERT INTO lease (
    id, token, holder, host, pid, process_started, acquired_at, expires_at, released
) VALUES (
    1, 1, :holder, :host, :pid, :process_started, :now, :expires_at, 0
) ON CONFLICT (id) DO UPDATE SET
    token = lease.token + 1, holder = excluded.holder, host = excluded.host, pid = excluded.pid,
    process_started = excluded.process_started, acquired_at = excluded.acquired_at,
    expires_at = excluded.expires_at, released = 0
RETURNING token;

-- name: renew_lease_if_held
UPDATE lease SET expires_at = :expires_at WHERE id = 1 AND token = :token AND released = 0;

-- name: lease_is_held
SELECT token FROM lease WHERE id = 1 AND token = :token AND released = 0;

-- name: release_lease_if_held
UPDATE lease SET released = 1 WHERE id = 1 AND token = :token;

-- name: read_binding
SELECT account_id, stripe_account, mode, host, meter_events_host, bound_at FROM binding WHERE id = 1;

-- name: bind
INSERT INTO binding (id, account_id, stripe_account, mode, host, bound_at)
VALUES (1, :account_id, :stripe_account, :mode, :host, :bound_at);

-- name: bind_meter_events_host
UPDATE binding SET meter_events_host = :host WHERE id = 1 AND meter_events_host IS NULL;

-- name: learn_account
UPDATE binding SET account_id = :account_id WHERE id = 1 AND account_id IS NULL;
