// Meter events over v1, and what their summaries make of them, through stripe-node.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { connect, CUSTOMER, eventOf, HOUR, makeMeter, START } from './desk.mjs';

const stripe = connect();

test('an event comes back as it was sent', async () => {
  await makeMeter(stripe, 'node_echo');
  const sent = eventOf('node_echo', '12.5', { identifier: 'node-echo-1', timestamp: START - 60 });
  const event = await stripe.billing.meterEvents.create(sent);
  assert.deepEqual(
    { ...event },
    { object: 'billing.meter_event', created: START, livemode: false, ...sent },
  );
});

test('events add up in summaries, in pages of the newest hours first', async () => {
  const { id } = await makeMeter(stripe, 'node_hours');
  for (let hour = 1; hour <= 12; hour += 1) {
    const event = eventOf('node_hours', `${hour}.5`, { timestamp: START - hour * HOUR });
    await stripe.billing.meterEvents.create(event);
  }
  const asked = { customer: CUSTOMER, start_time: START - 24 * HOUR, end_time: START };
  const [whole] = (await stripe.billing.meters.listEventSummaries(id, asked)).data;
  assert.equal(whole.object, 'billing.meter_event_summary');
  assert.equal(whole.aggregated_value, 84);
  const hours = [];
  const windows = stripe.billing.meters.listEventSummaries(id, { ...asked, value_grouping_window: 'hour' });
  assert.equal((await windows).data.length, 10);
  for await (const summary of windows) hours.push(summary.aggregated_value);
  assert.deepEqual(hours, Array.from({ length: 12 }, (_, hour) => hour + 1.5));
});

test('an idempotency key replays its answer and refuses other parameters', async () => {
  await makeMeter(stripe, 'node_replay');
  const sent = eventOf('node_replay', '1', { identifier: 'node-replay-1' });
  const options = { idempotencyKey: 'node-key-replay' };
  const first = await stripe.billing.meterEvents.create(sent, options);
  const again = await stripe.billing.meterEvents.create(sent, options);
  assert.deepEqual({ ...again }, { ...first });
  assert.equal(again.lastResponse.headers['idempotent-replayed'], 'true');
  await assert.rejects(stripe.billing.meterEvents.create(eventOf('node_replay', '2'), options), (error) => {
    assert.equal(error.type, 'StripeIdempotencyError');
    assert.equal(error.statusCode, 400);
    return true;
  });
});

test('a duplicate is refused without a code, and is not to be retried', async () => {
  await makeMeter(stripe, 'node_duplicate');
  const sent = eventOf('node_duplicate', '1', { identifier: 'node-dup' });
  await stripe.billing.meterEvents.create(sent);
  await assert.rejects(stripe.billing.meterEvents.create(sent, { maxNetworkRetries: 2 }), (error) => {
    assert.equal(error.type, 'StripeInvalidRequestError');
    assert.equal(error.message, 'An event already exists with identifier node-dup.');
    assert.equal(error.code, undefined);
    assert.equal(error.headers['stripe-should-retry'], 'false');
    return true;
  });
});
