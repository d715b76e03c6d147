// Meters through stripe-node.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { connect, makeMeter, START } from './desk.mjs';

const stripe = connect();

test('a new meter has what was sent, and defaults for the rest', async () => {
  const meter = await makeMeter(stripe, 'node_made', { event_time_window: 'hour' });
  assert.equal(meter.object, 'billing.meter');
  assert.match(meter.id, /^mtr_/);
  assert.equal(meter.created, START);
  assert.equal(meter.livemode, false);
  assert.equal(meter.event_time_window, 'hour');
  assert.deepEqual(meter.customer_mapping, { type: 'by_id', event_payload_key: 'stripe_customer_id' });
  assert.deepEqual(meter.value_settings, { event_payload_key: 'value' });
  assert.deepEqual(meter.default_aggregation, { formula: 'sum' });
  assert.equal(meter.lastResponse.statusCode, 200);
  assert.match(meter.lastResponse.requestId, /^req_/);
  assert.deepEqual({ ...(await stripe.billing.meters.retrieve(meter.id)) }, { ...meter });
});

test('a meter is renamed, deactivated and reactivated', async () => {
  const { id } = await makeMeter(stripe, 'node_life');
  assert.equal((await stripe.billing.meters.update(id, { display_name: 'Other' })).display_name, 'Other');
  const inactive = await stripe.billing.meters.deactivate(id);
  assert.equal(inactive.status, 'inactive');
  assert.equal(inactive.status_transitions.deactivated_at, START);
  assert.equal((await stripe.billing.meters.reactivate(id)).status, 'active');
});

test('auto-paging finds every meter once, the newest first', async () => {
  const made = [];
  for (let number = 0; number < 7; number += 1) {
    made.push((await makeMeter(stripe, `node_paged_${number}`)).id);
  }
  const listed = [];
  for await (const meter of stripe.billing.meters.list({ limit: 3 })) listed.push(meter.id);
  assert.deepEqual(listed.slice(0, 7), made.toReversed());
  assert.equal(new Set(listed).size, listed.length);
});
