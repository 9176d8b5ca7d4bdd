"""The config of a schedule: of the link from the provider to the component that it calls."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from lath.errors import InvalidArgument
from lath.names import shown


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidArgument(f"{shown(name)} is no time zone: use a name such as Europe/Berlin") from None
    return name


class ScheduleConfig(BaseModel):
    """The source config of a link. Every value is text in KV; unknown names are refused.

    Attributes:
        cron: Five fields (minute, hour, day, month, weekday), or six with seconds in front.
        every_ms: In place of `cron`: the multiples of so many milliseconds since 1970.
        timezone: Of `cron`.
        payload: What the component is given. `{due}` in it becomes the tick's time (RFC 3339, UTC), `{fence}`
            a number that grows with each call of the schedule.
        timeout_ms: How long a call may take. The schedule's next call waits until it has ended.
        late_ms: How late a tick may be called and still be on time; later it is a missed one.
        catch_up: What is done about missed ticks: `none`; the `last` one is called; or `all`, in their order.
        catch_up_ms: How old a missed tick may be to be called all the same.
        interrupted: What is done about a tick whose instance ended during the call: `skip` it, since the
            component may have run, or call it `again`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: str = ""
    every_ms: Annotated[int, Field(ge=0)] = 0
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    payload: str = ""
    timeout_ms: Annotated[int, Field(ge=1, le=600_000)] = 60_000
    late_ms: Annotated[int, Field(ge=0)] = 5_000
    catch_up: Literal["none", "last", "all"] = "none"
    catch_up_ms: Annotated[int, Field(ge=0)] = 24 * 60 * 60 * 1000
    interrupted: Literal["skip", "again"] = "skip"

    @model_validator(mode="after")
    def _one_of_both(self) -> ScheduleConfig:
        if bool(self.cron) == bool(self.every_ms):
            raise InvalidArgument("give one of cron and every_ms")
        if 0 < self.every_ms < 100:
            raise InvalidArgument(f"every_ms: {self.every_ms} is below 100: each tick is written to the bus")
        return self
