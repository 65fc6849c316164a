"""A moment as people write it; what time it is, nobody in `core` knows."""

import re

_RFC_3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:[Zz]|\+00:00)", re.ASCII)
_MARCH = 3


def shown(unix_s: float) -> str:
    """`2027-01-31 18:00:00 UTC`, by the calendar's own arithmetic (days from civil, in reverse)."""
    days, second = divmod(int(unix_s), 86_400)
    era, day_of_era = divmod(days + 719_468, 146_097)  # eras of 400 years, from 1 March of the year 0
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * from_march + 2) // 5 + 1
    years, month = divmod(from_march + 2, 12)
    year = year_of_era + era * 400 + years
    month += 1
    hour, minute = divmod(second // 60, 60)
    return f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second % 60:02} UTC"


def parse(text: str) -> float | None:
    """The unix seconds of a moment as Fly writes it, in UTC; None: it is written another way."""
    found = _RFC_3339.fullmatch(text)
    if not found:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups())
    years, from_march = divmod((month - 3) % 12 + 12 * (year - (month < _MARCH)), 12)
    days = years * 365 + years // 4 - years // 100 + years // 400 + (153 * from_march + 2) // 5 + day - 1
    return float((days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second)
