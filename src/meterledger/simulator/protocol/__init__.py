"""What Stripe's API is like whatever it is about: keys, versions, parameters, errors, lists, idempotency."""
