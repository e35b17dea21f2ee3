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
