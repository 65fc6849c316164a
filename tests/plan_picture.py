"""docs/plan.svg: a plan as a terminal shows it, of a fleet on a laptop's Fly. Draw it again with
`python -m tests.plan_picture`; a test holds the committed one to what is drawn now.
"""

import io
import re
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from reconciler.report.text import plan_lines
from tests import virtual_time
from tests.applying import Applier
from tests.stage import MACHINE, stage, user

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "plan.svg"
COLUMNS = 132
FORMAT = re.sub(
    r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL
)  # asks nobody for a font
OLD, NEW = (f"registry.fly.io/studio@sha256:{digest * 8}" for digest in ("7c1e09ad", "e0b35f62"))
THERE = tuple(f"user-{number:03}" for number in range(1, 41))


async def draw() -> str:
    """The picture, as SVG: a new image for forty users, new ones, a name that is taken, a volume too many."""
    async with stage(*THERE) as scene:
        scene.files["machine.yaml"] = MACHINE.replace("registry.fly.io/studio:1", OLD)
        scene.files["users/user-007.yaml"] = user("user-007").replace("name: web,", "name: web, count: 2,")
        applier = Applier(scene)
        await applier.apply()
        scene.files["machine.yaml"] = MACHINE.replace("registry.fly.io/studio:1", NEW)
        scene.files["users/user-007.yaml"] = user("user-007")
        for name in ("dora", "emil", "frida"):
            scene.files[f"users/{name}.yaml"] = user(name)
        scene.fly.world.add_app("acme-frida", org="rivals")
        console = Console(
            file=io.StringIO(), width=COLUMNS, record=True, highlight=False, force_terminal=True
        )
        console.print(Text("$ reconciler plan specs/"))
        for line in plan_lines(await applier.plan()):
            console.print(Text(_same_ids(line.plain), line.style))
        return console.export_svg(title="reconciler plan", unique_id="plan", code_format=FORMAT)


def _same_ids(text: str) -> str:
    """Fly's ids, and batches made of them, are others each time; in the picture they are always these."""
    text = re.sub(r"vol_[0-9a-z]{17}", "vol_4d3ad5b0bace1f80a", text)
    return re.sub(r"approve [0-9a-f]{12}", "approve 68b9f26aee47", text)


def main() -> None:
    PICTURE.write_text(virtual_time.run(draw()), "utf-8")


if __name__ == "__main__":
    main()
