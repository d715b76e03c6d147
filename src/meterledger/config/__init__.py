"""The config: meterledger.toml and the environment, read and checked once."""

from meterledger.config.loading import CONFIG_NAME, find_config, load_settings
from meterledger.config.settings import Invoicing, Plan, PlanFeature, Settings, StripeSettings
from meterledger.domain.source import Source

__all__ = [
    "CONFIG_NAME",
    "Invoicing",
    "Plan",
    "PlanFeature",
    "Settings",
    "Source",
    "StripeSettings",
    "find_config",
    "load_settings",
]
