// The errors that stripe-node makes of refusals.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { connect, eventOf, makeMeter } from './desk.mjs';

const stripe = connect();

async function refusal(call) {
  try {
    await call;
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: 'the call was not refused' });
}

test('a wrong key', async () => {
  const error = await refusal(connect('nonsense').accounts.retrieveCurrent());
  assert.equal(error.type, 'StripeAuthenticationError');
  assert.equal(error.statusCode, 401);
});

test('an account without access', async () => {
  const error = await refusal(stripe.accounts.retrieveCurrent({}, { stripeAccount: 'nonsense' }));
  assert.equal(error.type, 'StripePermissionError');
  assert.equal(error.statusCode, 403);
});

test('an unknown id', async () => {
  const error = await refusal(stripe.billing.meters.retrieve('mtr_none'));
  assert.equal(error.type, 'StripeInvalidRequestError');
  assert.deepEqual([error.statusCode, error.code], [404, 'resource_missing']);
});

test('an unknown path', async () => {
  const error = await refusal(stripe.rawRequest('GET', '/v1/billing/analytics/meter_usage'));
  assert.equal(error.type, 'StripeInvalidRequestError');
  assert.equal(error.statusCode, 404);
});

test('no active meter', async () => {
  const error = await refusal(stripe.billing.meterEvents.create(eventOf('node_nowhere', '1')));
  assert.equal(error.message, 'No active meter found for event name "node_nowhere".');
});

test('parameters that are missing, unknown or nested', async () => {
  await makeMeter(stripe, 'node_parameters');
  const create = (params) => refusal(stripe.billing.meterEvents.create(params));
  const missing = await create({ event_name: 'node_parameters' });
  assert.deepEqual([missing.code, missing.param], ['parameter_missing', 'payload']);
  const unknown = await create(eventOf('node_parameters', '1', { color: 'red' }));
  assert.deepEqual([unknown.code, unknown.param], ['parameter_unknown', 'color']);
  const nested = await create(eventOf('node_parameters', { amount: '1' }));
  assert.equal(nested.param, 'payload[value][amount]');
});
