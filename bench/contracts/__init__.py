"""What plug-ins promise, and the registries that find them."""
