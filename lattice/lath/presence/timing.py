"""How long presence holds."""

from __future__ import annotations

from typing import Final

PRESENCE_TTL_MS: Final = 15_000
"""An entry that is not renewed ends after this time."""
PRESENCE_RENEW_MS: Final = 5_000
"""Two renewals may be lost before an instance is taken for gone."""
LOST_KEPT_MS: Final = 600_000
"""How long a view remembers whom it lost."""
WITHDRAWN_KEPT_S: Final = 60
"""How long the mark of a withdrawal stands, for views that are behind."""
