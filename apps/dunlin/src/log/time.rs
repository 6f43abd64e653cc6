//! [`Timestamp`]: the forms of a time in the log, in UTC.

use std::time::SystemTime;

/// A time of day in UTC.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timestamp {
    year: u64,
    /// From 1.
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    micros: u32,
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

// === impl Timestamp ===

impl Timestamp {
    pub(super) fn new(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        Self { year, month, day, hour, minute, second, micros: since.subsec_micros() }
    }

    /// RFC 3339, with microseconds.
    pub(super) fn iso(&self) -> String {
        let Self { year, month, day, hour, minute, second, micros } = self;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }

    /// The form of the Common Log Format.
    pub(super) fn common(&self) -> String {
        let Self { year, month, day, hour, minute, second, .. } = self;
        let month = MONTHS.get(*month as usize - 1).copied().unwrap_or_default();
        format!("{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
    }
}

/// The year, the month and the day of a number of days since 1970-01-01.
///
/// Years are counted from March, in eras of 400 years, so that the leap day is the last of a year.
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + 400 * era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn forms() {
        #[track_caller]
        fn check(seconds: u64, iso: &str, common: &str) {
            let time = Timestamp::new(SystemTime::UNIX_EPOCH + Duration::new(seconds, 1_234_999));
            assert_eq!((time.iso().as_str(), time.common().as_str()), (iso, common));
        }
        check(0, "1970-01-01T00:00:00.001234Z", "01/Jan/1970:00:00:00 +0000");
        check(951_782_399, "2000-02-28T23:59:59.001234Z", "28/Feb/2000:23:59:59 +0000");
        check(951_782_400, "2000-02-29T00:00:00.001234Z", "29/Feb/2000:00:00:00 +0000");
        check(1_709_251_199, "2024-02-29T23:59:59.001234Z", "29/Feb/2024:23:59:59 +0000");
        check(4_107_542_400, "2100-03-01T00:00:00.001234Z", "01/Mar/2100:00:00:00 +0000");
    }
}
