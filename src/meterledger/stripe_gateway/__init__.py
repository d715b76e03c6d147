"""The only importer of Stripe's SDK: requests out, outcomes back."""
