"""A moment as people write it; what time it is, nobody in `core` knows."""


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
