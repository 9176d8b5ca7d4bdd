"""The provider that calls components on time. Cron expressions need the extra `schedule`."""

from lath_providers.schedule.config import ScheduleConfig
from lath_providers.schedule.provider import Schedule
from lath_providers.schedule.rights import schedule_permissions

__all__ = ["Schedule", "ScheduleConfig", "schedule_permissions"]
