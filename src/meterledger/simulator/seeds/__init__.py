"""What every account starts with: the meters of a meterledger.toml, the customers of a customers file."""
