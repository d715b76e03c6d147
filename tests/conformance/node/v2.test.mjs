// Meter events over v2, the stream, cancelations and error reports through stripe-node.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { connect, CUSTOMER, eventOf, HOUR, makeMeter, START, turnClock } from './desk.mjs';

const stripe = connect();
const NO_METER = 'v1.billing.meter.no_meter_found';
const REPORT = 'v1.billing.meter.error_report_triggered';

async function total(meter) {
  const asked = { customer: CUSTOMER, start_time: START - 24 * HOUR, end_time: START + 24 * HOUR };
  const [summary] = (await stripe.billing.meters.listEventSummaries(meter, asked)).data;
  return summary.aggregated_value;
}

// The token takes the place of the key, and `host` that of the stream's own host.
async function stream(events) {
  const session = await stripe.v2.billing.meterEventSession.create();
  return connect(session.authentication_token).v2.billing.meterEventStream.create({ events });
}

test.afterEach(() => turnClock({ now: '2026-11-01T00:00:00Z' }));

test('a v2 event comes back as it was sent', async () => {
  await makeMeter(stripe, 'node_v2');
  const sent = eventOf('node_v2', '12', { identifier: 'node-v2-1', timestamp: '2026-10-31T23:00:00.000Z' });
  const event = await stripe.v2.billing.meterEvents.create(sent);
  assert.deepEqual(
    { ...event },
    { object: 'v2.billing.meter_event', created: '2026-11-01T00:00:00.000Z', livemode: false, ...sent },
  );
});

test('a v2 duplicate has a code', async () => {
  await makeMeter(stripe, 'node_v2_dup');
  const sent = eventOf('node_v2_dup', '1', { identifier: 'node-v2-dup' });
  await stripe.v2.billing.meterEvents.create(sent);
  await assert.rejects(stripe.v2.billing.meterEvents.create(sent), (error) => {
    assert.equal(error.type, 'StripeInvalidRequestError');
    assert.equal(error.code, 'duplicate_meter_event');
    return true;
  });
});

test('a batch counts through the stream', async () => {
  const { id } = await makeMeter(stripe, 'node_stream');
  await stream(Array.from({ length: 100 }, () => eventOf('node_stream', '1')));
  assert.equal(await total(id), 100);
});

test('a session that has expired', async () => {
  const session = await stripe.v2.billing.meterEventSession.create();
  await turnClock({ advance: '15m' });
  const client = connect(session.authentication_token);
  const call = client.v2.billing.meterEventStream.create({ events: [eventOf('node_any', '1')] });
  await assert.rejects(call, (error) => {
    assert.equal(error.type, 'TemporarySessionExpiredError');
    assert.equal(error.code, 'billing_meter_event_session_expired');
    return true;
  });
});

test('events are canceled over v1 and v2', async () => {
  const { id } = await makeMeter(stripe, 'node_cancel');
  for (const identifier of ['node-keep', 'node-cancel-1', 'node-cancel-2']) {
    await stripe.billing.meterEvents.create(eventOf('node_cancel', '1', { identifier }));
  }
  const params = (identifier) => ({ event_name: 'node_cancel', type: 'cancel', cancel: { identifier } });
  const first = await stripe.billing.meterEventAdjustments.create(params('node-cancel-1'));
  assert.equal(first.object, 'billing.meter_event_adjustment');
  const second = await stripe.v2.billing.meterEventAdjustments.create(params('node-cancel-2'));
  assert.equal(second.object, 'v2.billing.meter_event_adjustment');
  assert.match(second.created, /^2026-11-01T00:00:00\.000Z$/);
  assert.equal(await total(id), 1);
});

test('what failed in the stream is reported, by pages', async () => {
  const { id } = await makeMeter(stripe, 'node_reported');
  const nobody = { stripe_customer_id: 'nobody', value: '1' };
  await stream([{ event_name: 'node_reported', identifier: 'node-bad', payload: nobody }]);
  for (let number = 0; number < 3; number += 1) {
    await stream([eventOf(`node_nowhere_${number}`, '1')]);
    await turnClock({ advance: '30s' });
  }
  const [report] = (await stripe.v2.core.events.list({ object_id: id, types: [REPORT] })).data;
  assert.equal(report.data.reason.error_count, 1);
  assert.equal(report.data.reason.error_types[0].code, 'meter_event_customer_not_found');
  assert.equal((await report.fetchRelatedObject()).id, id);
  const ids = [];
  for await (const event of stripe.v2.core.events.list({ types: [NO_METER], limit: 1 })) ids.push(event.id);
  assert.equal(new Set(ids).size, 3);
  assert.equal((await stripe.v2.core.events.retrieve(ids[0])).id, ids[0]);
});
