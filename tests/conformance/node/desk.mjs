// Stripe's own Node client, pointed at the simulator that test_node.py started.
import Stripe from 'stripe';

export const KEY = 'sk_test_conformance';
export const CUSTOMER = 'cus_TestAlpha';
export const START = 1_793_491_200; // 2026-11-01T00:00:00Z, where the simulator's clock stands
export const HOUR = 3600;

const simulator = new URL(process.env.SIMULATOR_URL);

// `host` stands for both of Stripe's hosts: the client sends the stream to it too.
export function connect(key = KEY, more = {}) {
  return new Stripe(key, {
    host: simulator.hostname,
    port: simulator.port,
    protocol: 'http',
    telemetry: false,
    maxNetworkRetries: 0,
    ...more,
  });
}

export function makeMeter(stripe, eventName, more = {}) {
  return stripe.billing.meters.create({
    display_name: `Meter of ${eventName}`,
    event_name: eventName,
    default_aggregation: { formula: 'sum' },
    ...more,
  });
}

export function eventOf(eventName, value, more = {}) {
  return { event_name: eventName, payload: { stripe_customer_id: CUSTOMER, value }, ...more };
}

export async function turnClock(document) {
  const answer = await fetch(new URL('/_simulator/clock', simulator), {
    method: 'POST',
    body: JSON.stringify(document),
  });
  if (!answer.ok) throw new Error(await answer.text());
}
