"""Makes projects: `lath new provider`."""

from lath_control.scaffold.provider_project import MadeProject, new_provider

__all__ = ["MadeProject", "new_provider"]
