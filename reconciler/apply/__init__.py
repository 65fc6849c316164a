"""The one place that changes Fly: does the actions of a plan, each safe to do twice.

A crash or a lost answer at any call leaves what the next run finds and goes on with: it looks before it
creates, and adopts only what carries our marks. What to do is `core.plan`'s, whose the app is `observe`'s.
"""

from reconciler.apply.run import Failure, apply
from reconciler.core.outcome import StepFailed

__all__ = ["Failure", "StepFailed", "apply"]
