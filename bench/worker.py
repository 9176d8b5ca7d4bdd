"""One rig in a process of its own, round by round: `python -m bench.worker RIG SETTINGS`, for comparisons.

Which `lath` is there is decided by PYTHONPATH, so the same rig measures any tree. Answers each question with
one round's sample.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bench.child import answer
from bench.load import run
from bench.measurement import Settings
from bench.rigs import RIGS
from bench.runner import one_round


async def _main(rig_name: str, settings: Settings) -> None:
    rig = next(each for each in RIGS if each.name == rig_name)
    async with rig.open(settings) as opened:

        async def reply(question: Any) -> dict[str, Any]:
            found = await one_round(rig, opened)
            return {"sample": found, "notes": opened.notes}

        await answer(reply)


def _settings(text: str) -> Settings:
    given = json.loads(text)
    return Settings(**given | {name: Path(given[name]) for name in ("folder", "compiled")})


if __name__ == "__main__":
    run(_main(sys.argv[1], _settings(sys.argv[2])))
