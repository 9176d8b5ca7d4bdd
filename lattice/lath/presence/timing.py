"""How presence is kept, and how long what was is remembered."""

from __future__ import annotations

from typing import Final

RENEWALS_PER_TTL: Final = 3
"""Two renewals may be lost before an instance is taken for gone."""
LOST_KEPT_MS: Final = 600_000
"""How long a view remembers whom it lost."""
WITHDRAWN_KEPT_S: Final = 60
"""How long the mark of a withdrawal stands, for views that are behind."""
