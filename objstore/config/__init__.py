"""What the operator says: settings and secrets, read once into frozen values, or refused."""

from objstore.config.credentials import PREFIX, SECRET_VARIABLES, Secrets, load_secrets
from objstore.config.identities import IdentitySettings
from objstore.config.pools import LiteralDrive, PoolSettings
from objstore.config.settings import SETTINGS, Settings, load_settings, settings_table

__all__ = (
    "PREFIX",
    "SECRET_VARIABLES",
    "SETTINGS",
    "IdentitySettings",
    "LiteralDrive",
    "PoolSettings",
    "Secrets",
    "Settings",
    "load_secrets",
    "load_settings",
    "settings_table",
)
