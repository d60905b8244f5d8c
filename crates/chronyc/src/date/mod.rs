//! The dates of `settime` (chronyc chapter, section 10), an old and forgiving language for dates.
//!
//! [`lexer`] makes tokens, [`grammar`] collects items from them, [`evaluate`] makes a point in
//! time of the items. [`local_time`] converts between local time and UTC.

mod evaluate;
mod grammar;
mod lexer;
mod local_time;

use jiff::tz::TimeZone;

/// Seconds since 1970 of the date in `text`, in the local time zone, the time being `now_s`.
/// `None` if it cannot be understood.
pub(crate) fn parse(text: &str, now_s: i64, zone: &TimeZone) -> Option<i64> {
    let items = grammar::parse(&lexer::tokens(text)?)?;
    // The reference cannot tell the second before 1970 from a failure.
    evaluate::evaluate(&items, now_s, zone).filter(|&seconds| seconds != -1)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use jiff::tz::TimeZone;

    /// The recorded table of dates in three time zones.
    #[test]
    fn recorded_dates() {
        const NOW_S: i64 = 1_700_000_000;
        let table = include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/data/chronyc/getdate.tsv"
        ));
        let mut wrong = Vec::new();
        let mut count = 0;
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split('\t').collect();
            let zone = match fields[0] {
                "UTC" => TimeZone::UTC,
                name => match TimeZone::get(name) {
                    Ok(zone) => zone,
                    Err(error) => {
                        eprintln!("skipped, no time zone {name}: {error}");
                        continue;
                    }
                },
            };
            let expected = fields[2].parse::<i64>().ok();
            let found = parse(fields[1], NOW_S, &zone);
            if found != expected {
                wrong.push(format!("{line}: {found:?}"));
            }
            count += 1;
        }
        assert!(
            wrong.is_empty(),
            "{} of {count} wrong: {wrong:#?}",
            wrong.len()
        );
        assert!(count >= 185);
    }

    /// Whatever is typed, there is no panic.
    #[test]
    fn odd_dates() {
        for text in [
            "99999999999999999999",
            "1/2/",
            "-",
            "+1",
            "((((",
            "1 1 1 1 1",
            "é",
            "sat 99999999 years",
        ] {
            let _ = parse(text, 0, &TimeZone::UTC);
        }
        let mut state: u32 = 1;
        let words = [
            "1", "-2", "+3", "mon", "jan", ":", "/", ",", "am", "utc", "dst", "day", "ago", "next",
            "99999999", "20151121", "x", "est", "(", ")", "year", "a",
        ];
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..6 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                text.push_str(words[(state >> 16) as usize % words.len()]);
                if state & 0x40_0000 != 0 {
                    text.push(' ');
                }
            }
            let _ = parse(&text, 1_700_000_000, &TimeZone::UTC);
        }
    }
}
