//! Values of flags that load runs and drills share.

use std::time::Duration;

use clap::ValueEnum;

/// Form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Form of the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnswerArg {
    /// The file itself
    Png,
    /// JSON, whose base64 is verified too
    Json,
}

/// Parses a time such as `30s`, `500ms` or `1m30s`.
///
/// # Errors
/// If the text is not a time, or the time is zero or more than a week.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    const MAX: Duration = Duration::from_secs(7 * 24 * 3600);
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("the time must be more than zero".into()),
        Ok(duration) if duration <= MAX => Ok(duration),
        Ok(_) => Err("the time must be at most a week".into()),
        Err(error) => Err(format!("{error}; write a time such as 30s, 500ms or 1m30s")),
    }
}

/// Parses requests per second.
///
/// # Errors
/// If the text is no number, or out of range.
pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    const MIN: f64 = 0.001;
    const MAX: f64 = 100_000.0;
    match text.parse::<f64>() {
        Ok(rate) if (MIN..=MAX).contains(&rate) => Ok(rate),
        _ => Err(format!("write requests per second as a number from {MIN} to {MAX}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(parse_duration(text).ok(), expected.map(Duration::from_millis), "{text}");
        };
        check("30s", Some(30_000));
        check("500ms", Some(500));
        check("1m30s", Some(90_000));
        check("168h", Some(604_800_000));
        for wrong in ["", "s", "30", "-1s", "0s", "169h", "99999999999999999999s"] {
            check(wrong, None);
        }
    }
}
