"""The example of docs/writing-a-provider.md does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lath.bus import Bus
from lath.testing.provider import ProviderTest

PAGE = Path(__file__).parents[3] / "docs/writing-a-provider.md"


async def test_the_documented_provider_works_as_documented(bus: Bus) -> None:
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    module: dict[str, Any] = {"__name__": "acme.shelf"}
    exec(compile(code, str(PAGE), "exec"), module)
    async with ProviderTest(bus, module["Shelf"]()) as test:
        linked = await test.link(config={"prefix": "A-"})
        assert await linked.call("acme:shelf/shelf", "label", "7") == "A-7"
        broken = await test.put(name="broken", config={})
        held = await test.settled(broken)
        assert (held.state, held.error) == ("failed", "KeyError: 'prefix'")
