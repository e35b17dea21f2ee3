//! Points in time as the command line takes and tells them: RFC 3339 in UTC, or milliseconds since 1970.

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since 1970 of `2026-01-31`, `2026-01-31T13:00`, `2026-01-31T13:00:00.5Z`, or of themselves.
///
/// # Errors
/// What is accepted.
pub fn parse(text: &str) -> Result<i64, String> {
    if let Ok(ms) = text.parse() {
        return Ok(ms);
    }
    stamp(text).ok_or_else(|| "a time is 2026-01-31T13:00:00Z (UTC), or milliseconds since 1970".to_owned())
}

fn stamp(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00"));
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let mut time = time.splitn(3, ':');
    let (hour, minute) = (time.next()?.parse::<i64>().ok()?, time.next()?.parse::<i64>().ok()?);
    let second: f64 = time.next().unwrap_or("0").parse().ok()?;
    let valid = (0..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0.0..61.0).contains(&second);
    let ms = days(year, month, day) * DAY_MS + (hour * 60 + minute) * 60_000 + (second * 1000.0) as i64;
    valid.then_some(ms)
}

/// The same moment as people write it: `2026-01-31T13:00:00Z`.
#[must_use]
pub fn tell(ms: i64) -> String {
    let (day, of_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS) / 1000);
    // Years begin in March, as below.
    let since = day + 719_468;
    let (era, of_era) = (since.div_euclid(146_097), since.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let (month, year) = if month < 10 { (month + 3, year) } else { (month - 9, year + 1) };
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}Z", year + era * 400)
}

/// Days since 1970 in the Gregorian calendar: years begin in March, so that the leap day is their last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_taken_again() {
        assert_eq!(tell(0), "1970-01-01T00:00:00Z");
        assert_eq!(tell(1_709_209_800_000), "2024-02-29T12:30:00Z");
        for day in (-200_000..200_000).step_by(37) {
            let ms = day * DAY_MS + 86_399_000;
            assert_eq!(parse(&tell(ms)), Ok(ms), "{}", tell(ms));
        }
    }

    #[test]
    fn times_are_dates_with_or_without_hours_or_milliseconds() {
        for (text, ms) in [
            ("0", 0),
            ("1970-01-01", 0),
            ("1970-01-02T00:00:01.5Z", DAY_MS + 1500),
            ("2000-03-01T00:00Z", 951_868_800_000),
            ("2024-02-29T12:30:00Z", 1_709_209_800_000),
            ("-5", -5),
        ] {
            assert_eq!(parse(text), Ok(ms), "{text}");
        }
        for text in ["yesterday", "2026-13-01", "2026-01-01T25:00", "2026-01", ""] {
            assert!(parse(text).unwrap_err().contains("milliseconds since 1970"), "{text}");
        }
    }
}
