"""The adapter for banks that speak the Central Bank's document (pix-rail.md §6)."""

from opentill.pix.providers.bacen.profile import Credentials, Profile, Profiles, load_profile
from opentill.pix.providers.bacen.receiver import BacenReceiver

__all__ = ["BacenReceiver", "Credentials", "Profile", "Profiles", "load_profile"]
