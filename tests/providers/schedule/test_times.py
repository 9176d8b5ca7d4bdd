"""When a schedule is due, and what is no schedule."""

from __future__ import annotations

import pytest
from schedule_office import Office, at

from lath.errors import InvalidArgument
from lath_providers.schedule import ScheduleConfig
from lath_providers.schedule.times import Cron, EveryMs, times_of


@pytest.mark.parametrize(
    ("cron", "timezone", "after", "due"),
    [
        ("* * * * *", "UTC", "2031-03-04T12:00:00+00:00", "2031-03-04T12:01:00+00:00"),
        ("* * * * *", "UTC", "2031-03-04T12:00:59.999+00:00", "2031-03-04T12:01:00+00:00"),
        ("*/20 * * * * *", "UTC", "2031-03-04T12:00:01+00:00", "2031-03-04T12:00:20+00:00"),
        ("0 9 * * MON-FRI", "UTC", "2031-03-07T09:00:00+00:00", "2031-03-10T09:00:00+00:00"),
        ("30 2 * * *", "Europe/Berlin", "2031-03-05T00:00:00+01:00", "2031-03-05T02:30:00+01:00"),
        ("0 0 29 2 *", "UTC", "2031-03-04T12:00:00+00:00", "2032-02-29T00:00:00+00:00"),
    ],
)
def test_a_cron_expression_is_due_when_cron_says(cron: str, timezone: str, after: str, due: str) -> None:
    times = Cron(cron, timezone)
    assert times.after(at(after)) == at(due)
    assert times.until(at(due)) == at(due)
    assert times.until(at(due) + 999) == at(due)
    assert times.until(at(due) - 1) < at(due)


def test_an_interval_is_due_at_the_same_times_for_every_instance() -> None:
    times = EveryMs(250)
    assert [times.after(0), times.after(249), times.after(250)] == [250, 250, 500]
    assert [times.until(249), times.until(250)] == [0, 250]


@pytest.mark.parametrize("cron", ["", "* * * *", "61 * * * *", "0 0 30 2 *", "every day"])
def test_what_is_no_cron_expression_is_refused(cron: str) -> None:
    with pytest.raises(InvalidArgument, match="cron"):
        times_of(ScheduleConfig(cron=cron or "x"))


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({}, "cron"),
        ({"cron": "* * * * *", "every_ms": "1000"}, "every_ms"),
        ({"every_ms": "5"}, "every_ms"),
        ({"cron": "* * * * *", "timezone": "Europe/Atlantis"}, "timezone"),
        ({"cron": "* * * * *", "timezone": "../../etc/passwd"}, "timezone"),
        ({"cron": "sometimes"}, "cron"),
        ({"cron": "* * * * *", "catch_up": "some"}, "catch_up"),
        ({"cron": "* * * * *", "colour": "blue"}, "colour"),
    ],
)
async def test_a_wrong_value_fails_the_link_naming_the_field(
    office: Office, config: dict[str, str], named: str
) -> None:
    async with office.instance() as instance:
        link = await office.put(**config)
        held = await instance.settled(link.key, link.revision)
        assert held.state == "failed"
        assert named in (held.error or "")
