"""What was decided about one slot: its actions in their order, and why nothing more is done to it."""

from dataclasses import dataclass, replace

from reconciler.core.action import (
    Action,
    Class,
    CreateMachine,
    DestroyMachine,
    MarkMachine,
    StartMachine,
    UpdateMachine,
)
from reconciler.core.data_loss import Loss
from reconciler.core.hold import Hold, Note


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotPlan:
    """Everything decided about one slot; `after` of its actions names each other and nothing else."""

    actions: tuple[Action, ...] = ()
    holds: tuple[Hold, ...] = ()
    notes: tuple[Note, ...] = ()
    waiting: str = ""
    losses: tuple[Loss, ...] = ()
    changed_by_hand: tuple[str, ...] = ()
    uses_volume: str = ""  # id of a free volume that the new machine mounts, now or soon
    is_warm: bool = False  # its machine runs, so somebody may be there now

    @property
    def launches(self) -> bool:
        return any(isinstance(action, CreateMachine | UpdateMachine) for action in self.actions)

    @property
    def takes_turns(self) -> bool:
        """Whether a machine that is there may be away for a while, so that the others have to wait."""
        return any(
            isinstance(action, UpdateMachine | DestroyMachine) or action.klass is Class.RESTART
            for action in self.actions
        )


def without_launch(plan: SlotPlan) -> SlotPlan:
    """What is left of it while nothing of the app may be launched."""
    kept = [action for action in plan.actions if isinstance(action, StartMachine | MarkMachine)]
    keys = {action.key for action in kept}
    return replace(
        plan,
        actions=tuple(
            replace(action, after=tuple(key for key in action.after if key in keys)) for action in kept
        ),
    )
