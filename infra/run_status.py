"""How a run in the tracking store ends."""

from typing import Literal

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]
