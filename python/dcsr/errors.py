"""The error that users of the tools and of the library see."""

from __future__ import annotations


class ModelError(Exception):
    """A model that cannot be processed. The message names the model, the place in it, the reason, and a remedy."""


class WheelError(ModelError, ImportError):
    """The tflite-micro wheel of this Python does not serve."""

    def __init__(self, cause: str) -> None:
        """Makes the message: `cause` is a clause about the wheel, `it is not installed`."""
        super().__init__(
            f"the tflite-micro wheel of this Python does not serve: {cause}; install the version that dcsr requires,"
            " which `pip check` names"
        )
        self._cause = cause

    def __reduce__(self) -> tuple[type[WheelError], tuple[str]]:
        """Lets the exception pass from one process to another."""
        return WheelError, (self._cause,)
