"""Tell the wheel where its site and its repository are, if whoever builds it knows."""

import os
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

ADDRESSES = {
    "Documentation": "SMALLPORT_SITE_URL",
    "Source": "SMALLPORT_REPOSITORY_URL",
}
"""The environment variable that holds the address, by the label that it gets."""


class Addresses(MetadataHookInterface):
    """Fill in the project's URLs."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the addresses that are known."""
        metadata["urls"] = {
            label: address
            for label, variable in ADDRESSES.items()
            if (address := os.environ.get(variable))
        }
