"""What the user can put right."""

from __future__ import annotations

from dcsr.model import ModelError


class InputError(ModelError):
    """Something the user can put right; its text is the one line to print, and the tools then exit with status 2."""
