"""The error that users of the tools and of the library see."""

from __future__ import annotations


class ModelError(Exception):
    """A model that cannot be processed. The message names the model, the place in it, the reason, and a remedy."""
