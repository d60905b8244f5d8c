//! Comparison with the reference: dumps that chronyd 4.3 loaded, and what it logged about
//! them.

use std::path::PathBuf;

use super::dump::SourceDump;
use super::estimator::StatisticsSettings;
use super::statistics::SourceStatistics;
use crate::time::CookedTime;

fn data(path: &str) -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/discipline"
    ))
    .join(path)
}

fn read(path: &str) -> String {
    let path = data(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A time later than every dump.
fn later() -> CookedTime {
    CookedTime::from_parts(1_900_000_000, 0)
}

/// Whether a value prints as the logged one, up to one unit of its last digit.
fn agrees(found: f64, logged: f64, digits: i32) -> bool {
    let unit = 10_f64.powi(logged.abs().max(1e-300).log10().floor() as i32 - digits);
    (found - logged).abs() <= unit
}

struct Row<'a> {
    file: &'a str,
    numbers: Vec<f64>,
    state: &'a str,
}

fn rows(table: &str) -> Vec<Row<'_>> {
    table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let numbers = columns[1..columns.len() - 1]
                .iter()
                .map(|word| word.parse().expect("a number"))
                .collect();
            Row {
                file: columns[0],
                numbers,
                state: columns[columns.len() - 1],
            }
        })
        .collect()
}

fn load(row: &Row<'_>) -> SourceStatistics {
    let dump = SourceDump::parse(&read(&format!("dumps/{}.dat", row.file)), later(), 0)
        .unwrap_or_else(|error| panic!("{}: {error}", row.file));
    assert_eq!(dump.name, row.file);
    let mut statistics = SourceStatistics::new(StatisticsSettings {
        asymmetry: row.numbers[0],
        min_samples: row.numbers[1] as u32,
        min_delay_s: row.numbers[2],
        precision_s: 1e-7,
        ..StatisticsSettings::default()
    });
    statistics.restore(&dump.samples, dump.asymmetry_run);
    statistics
}

#[test]
fn fits_agree_with_the_reference() {
    let table = read("statistics.tsv");
    let rows = rows(&table);
    assert_eq!(rows.len(), 32);
    for row in &rows {
        let statistics = load(row);
        let fit = statistics.estimate();
        let details = statistics.regression().details().expect("a fit");
        let logged = &row.numbers[3..13];
        let found = [
            fit.sample_sd_s,
            fit.offset_s,
            fit.offset_sd_s,
            fit.frequency,
            fit.skew,
        ];
        for (column, (found, logged)) in found.iter().zip(logged).enumerate() {
            // The times of the reference have the resolution of a double (0.2 µs).
            assert!(
                agrees(*found, *logged, 3),
                "{} column {column}: {found:e}, logged {logged:e}",
                row.file
            );
        }
        let counts = [
            details.samples,
            details.dropped,
            statistics.regression().runs() as usize,
        ];
        let logged_counts = [logged[6], logged[7], logged[8]].map(|count| count as usize);
        assert_eq!(counts, logged_counts, "{}", row.file);
        assert!(
            (statistics.regression().asymmetry() - logged[9]).abs() < 0.006,
            "{}",
            row.file
        );
        assert!(agrees(details.stress, logged[5], 1), "{}", row.file);
    }
}

#[test]
fn intervals_agree_with_the_reference() {
    let table = read("statistics.tsv");
    for row in &rows(&table) {
        let statistics = load(row);
        let newest = statistics.samples().newest().expect("samples").time;
        let [age, low, high] = row.numbers[13..16] else {
            panic!("columns")
        };
        let data = statistics
            .selection_data(newest.plus(age), 1e-6)
            .expect("samples");
        let found = [
            data.offset_s - data.root_distance_s,
            data.offset_s + data.root_distance_s,
        ];
        // The age is logged with four digits only.
        let slack = age * 1e-3 * (statistics.skew() + statistics.estimate().frequency.abs());
        for (found, logged) in found.into_iter().zip([low, high]) {
            assert!(
                agrees(found, logged, 3) || (found - logged).abs() <= slack,
                "{}: {found:e}, logged {logged:e}",
                row.file
            );
        }
        assert_eq!(data.root_distance_s > 3.0, row.state == "d", "{}", row.file);
    }
}
