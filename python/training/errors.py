"""Errors that the user can correct."""

from __future__ import annotations

from dcsr.model import ModelError


class InputError(ModelError):
    """An error that the user can correct. The tools print its text as one line and exit with status 2."""
