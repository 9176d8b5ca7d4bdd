"""Dates and times: what PostgreSQL sends and takes, and the records of wasmcloud:postgres.

Python's own dates end where PostgreSQL's go on (before year 1, after 9999, infinity): days are counted here.
"""

from __future__ import annotations

import re
import struct
from typing import Any, Final, TypeAlias

from lath.codec import Record, Variant

DAY_MICROS: Final = 86_400_000_000
ENDLESS_DAYS: Final = 0x7FFF_FFFF
"""`infinity` among dates; one below its negative is `-infinity`."""
ENDLESS_MICROS: Final = 0x7FFF_FFFF_FFFF_FFFF
"""Likewise among timestamps."""
ZONE_SECONDS_MAX: Final = 16 * 3600
"""Farther from UTC PostgreSQL takes no zone."""
_EPOCH_DAY: Final = 730_425
"""2000-01-01, from which PostgreSQL counts, in days from 0000-03-01."""
_ERA_DAYS: Final = 146_097
"""Of 400 years."""
_MONTH_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_ZONE: Final = re.compile(r"([+-])(\d{1,2})(?::?(\d{2})(?::?(\d{2}))?)?\Z")

Date: TypeAlias = Variant
Ymd: TypeAlias = tuple[int, int, int]


# --- days ------------------------------------------------------------------------------------------------


def days_of(year: int, month: int, day: int) -> int:
    """Days from 2000-01-01 to a date of the Gregorian calendar; year 0 is 1 BC.

    Raises:
        ValueError: There is no such date.
    """
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= month <= 12 or not 1 <= day <= _MONTH_DAYS[month - 1] + (leap and month == 2):
        raise ValueError(f"there is no date {year}-{month}-{day}")
    from_march = year - (month <= 2)
    era, of_era = divmod(from_march, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * _ERA_DAYS + of_era * 365 + of_era // 4 - of_era // 100 + of_year - _EPOCH_DAY


def date_of(days: int) -> Ymd:
    """Year, month and day of so many days after 2000-01-01."""
    era, of_era = divmod(days + _EPOCH_DAY, _ERA_DAYS)
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    march_month = (5 * of_year + 2) // 153
    day = of_year - (153 * march_month + 2) // 5 + 1
    month = march_month + 3 if march_month < 10 else march_month - 9
    return year_of_era + era * 400 + (month <= 2), month, day


def decode_date(data: bytes) -> Date:
    (days,) = struct.unpack(">i", data)
    return _endless(days, ENDLESS_DAYS) or Variant("ymd", date_of(days))


def encode_date(date: Date) -> bytes:
    """Raises `ValueError` where there is no such date."""
    return _packed(">i", _days(date), "the date")


def _endless(count: int, most: int) -> Date | None:
    if count == most:
        return Variant("positive-infinity")
    return Variant("negative-infinity") if count == -most - 1 else None


def _days(date: Date) -> int:
    match date.case:
        case "positive-infinity":
            return ENDLESS_DAYS
        case "negative-infinity":
            return -ENDLESS_DAYS - 1
        case _:
            return days_of(*date.payload)


def _packed(form: str, number: int, what: str) -> bytes:
    try:
        return struct.pack(form, number)
    except struct.error:
        raise ValueError(f"{what} is out of PostgreSQL's range") from None


# --- times of day ----------------------------------------------------------------------------------------


def decode_time(data: bytes) -> Record:
    return _time(struct.unpack(">q", data)[0])


def encode_time(time: Any) -> bytes:
    """Raises `ValueError` where there is no such time."""
    return struct.pack(">q", _micros(time))


def decode_time_tz(data: bytes) -> Record:
    micros, west_seconds = struct.unpack(">qi", data)
    return Record(timesonze=zone_text(-west_seconds), time=_time(micros))


def encode_time_tz(value: Any) -> bytes:
    """Raises `ValueError` where there is no such time or zone."""
    return struct.pack(">qi", _micros(value["time"]), -zone_seconds(value["timesonze"]))


def zone_text(east_seconds: int) -> str:
    """Seconds east of UTC as PostgreSQL writes them: `+02`, `-03:30`, `+00:00:07`."""
    hours, rest = divmod(abs(east_seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    text = f"{'-' if east_seconds < 0 else '+'}{hours:02}"
    if minutes or seconds:
        text += f":{minutes:02}"
    return f"{text}:{seconds:02}" if seconds else text


def zone_seconds(text: str) -> int:
    """Seconds east of UTC.

    Raises:
        ValueError: It is no offset such as `+02`, `-03:30`, `Z` or `UTC`.
    """
    if text in ("Z", "UTC"):
        return 0
    found = _ZONE.match(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is no zone: use an offset such as +02 or -03:30, or UTC")
    sign, hours, minutes, seconds = found.groups()
    total = int(hours) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    if total >= ZONE_SECONDS_MAX:
        raise ValueError(f"the zone {text} is more than {ZONE_SECONDS_MAX // 3600} hours from UTC")
    return -total if sign == "-" else total


def _time(micros: int) -> Record:
    seconds, micro = divmod(micros, 1_000_000)
    minutes, sec = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return Record(hour=hour, min=minute, sec=sec, micro=micro)


def _micros(time: Any) -> int:
    hour, minute, sec, micro = time["hour"], time["min"], time["sec"], time["micro"]
    total: int = ((hour * 60 + minute) * 60 + sec) * 1_000_000 + micro
    if minute > 59 or sec > 60 or micro > 999_999 or total > DAY_MICROS:
        raise ValueError(f"there is no time {hour}:{minute}:{sec}.{micro}")
    return total


# --- moments ---------------------------------------------------------------------------------------------


def decode_timestamp(data: bytes) -> Record:
    (micros,) = struct.unpack(">q", data)
    endless = _endless(micros, ENDLESS_MICROS)
    if endless is not None:
        return Record(date=endless, time=_time(0))
    days, rest = divmod(micros, DAY_MICROS)
    return Record(date=Variant("ymd", date_of(days)), time=_time(rest))


def encode_timestamp(value: Any) -> bytes:
    """Raises `ValueError` where there is no such moment."""
    return _packed(">q", _moment(value, 0), "the timestamp")


def decode_timestamp_tz(data: bytes) -> Record:
    """Always at UTC: PostgreSQL keeps the moment, not the place."""
    return Record(timestamp=decode_timestamp(data), offset=Variant("western-hemisphere-secs", 0))


def encode_timestamp_tz(value: Any) -> bytes:
    """The timestamp is what a clock at the offset shows.

    Raises:
        ValueError: There is no such moment.
    """
    offset: Variant = value["offset"]
    east = offset.payload if offset.case == "eastern-hemisphere-secs" else -offset.payload
    return _packed(">q", _moment(value["timestamp"], east * 1_000_000), "the timestamp")


def _moment(value: Any, east_micros: int) -> int:
    date: Variant = value["date"]
    if date.case == "positive-infinity":
        return ENDLESS_MICROS
    if date.case == "negative-infinity":
        return -ENDLESS_MICROS - 1
    return days_of(*date.payload) * DAY_MICROS + _micros(value["time"]) - east_micros
