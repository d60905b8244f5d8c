//! Comparison with the reference: dumps that chronyd 4.3 loaded, and what it logged about
//! them.

use std::path::PathBuf;

use super::dump::SourceDump;
use super::estimator::StatisticsSettings;
use super::sample::Sample;
use super::selection::{
    Outcome, ReferenceUpdate, SelectOptions, SelectionSettings, Selector, SourceKind, SourceView,
};
use super::statistics::SourceStatistics;
use crate::journal::{Entry, Journal, LogFile};
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

/// One run of selection that the reference logged after it loaded dumps.
#[derive(Default)]
struct Scenario<'a> {
    settings: &'a str,
    sources: Vec<(&'a str, &'a str)>,
    states: Vec<Vec<&'a str>>,
    tracking: Option<Vec<&'a str>>,
}

fn scenarios(table: &str) -> Vec<Scenario<'_>> {
    let mut all: Vec<Scenario<'_>> = Vec::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        if columns[0] == "scenario" {
            all.push(Scenario {
                settings: columns[2],
                ..Scenario::default()
            });
            continue;
        }
        let scenario = all.last_mut().expect("a scenario first");
        match columns[0] {
            "source" => scenario.sources.push((columns[1], columns[2])),
            "state" => scenario.states.push(columns[1..].to_vec()),
            "tracking" if columns[1] != "0.0.0.0" => {
                scenario.tracking = Some(columns[1..].to_vec())
            }
            _ => {}
        }
    }
    all
}

fn settings(text: &str) -> SelectionSettings {
    let mut settings = SelectionSettings::default();
    for directive in text.split(';').filter(|directive| *directive != "-") {
        let (name, value) = directive.split_once(' ').expect("name and value");
        let value: f64 = value.parse().expect("a number");
        match name {
            "minsources" => settings.min_sources = value as u32,
            "combinelimit" => settings.combine_limit = value,
            "reselectdist" => settings.reselect_distance_s = value,
            "stratumweight" => settings.stratum_weight_s = value,
            "maxdistance" => settings.max_distance_s = value,
            _ => panic!("{name}"),
        }
    }
    settings
}

fn options(text: &str) -> SelectOptions {
    let has = |word| text.split(' ').any(|option| option == word);
    SelectOptions {
        noselect: has("noselect"),
        prefer: has("prefer"),
        trust: has("trust"),
        require: has("require"),
    }
}

fn number(word: &str) -> f64 {
    word.parse().expect("a number")
}

/// Checks the update against the line of tracking.log.
fn check_tracking(name: usize, update: &ReferenceUpdate, now: CookedTime, tracking: &[&str]) {
    // The logged leap status is always N: in November no leap second is accepted.
    assert_eq!(
        number(tracking[1]) as u8,
        update.stratum + 1,
        "scenario {name}"
    );
    assert_eq!(
        number(tracking[6]) as u32,
        update.combined_sources,
        "scenario {name}"
    );
    let elapsed = now.since(update.time);
    let offset = update.offset_s + elapsed * update.frequency;
    // The time of the update is known to a millisecond.
    assert!(
        (offset - number(tracking[4])).abs() < 5e-9,
        "scenario {name}: {offset:e}"
    );
    assert!(
        agrees(update.offset_sd_s, number(tracking[7]), 3),
        "scenario {name}: {:e}",
        update.offset_sd_s
    );
    assert!(
        (update.frequency * 1e6 - number(tracking[2])).abs() < 1.5e-3,
        "scenario {name}"
    );
    assert!(
        (update.skew * 1e6 - number(tracking[3])).abs() < 1.5e-3,
        "scenario {name}"
    );
    assert!(
        agrees(update.root_delay_s, number(tracking[9]), 3),
        "scenario {name}"
    );
    // The reference time is moved back by up to a second (section 9.2, step 10).
    let growth = update.skew + 1e-6;
    let dispersion = update.root_dispersion_s + elapsed * growth;
    let excess = number(tracking[10]) - dispersion;
    assert!(
        (-2e-8..growth + 2e-8).contains(&excess),
        "scenario {name}: {excess:e}"
    );
}

#[test]
fn selections_agree_with_the_reference() {
    let table = read("selection/expected.tsv");
    let scenarios = scenarios(&table);
    assert_eq!(scenarios.len(), 12);
    for (index, scenario) in scenarios.iter().enumerate() {
        let name = index + 1;
        let (mut now, mut smallest_age) = (CookedTime::ZERO, f64::INFINITY);
        let loaded: Vec<(SourceDump, SourceStatistics)> = scenario
            .sources
            .iter()
            .map(|(file, _)| {
                let dump = SourceDump::parse(&read(&format!("selection/{file}.dat")), later(), 0)
                    .expect("a dump");
                let mut statistics = SourceStatistics::new(StatisticsSettings::default());
                statistics.restore(&dump.samples, dump.asymmetry_run);
                let newest = statistics.samples().newest().expect("samples").time;
                let state = scenario.states.iter().find(|state| state[0] == *file);
                let age = number(state.expect("a state")[5]);
                // The smallest age has the most digits.
                if age > 0.0 && age < smallest_age {
                    smallest_age = age;
                    now = newest.plus(age);
                }
                (dump, statistics)
            })
            .collect();
        let views: Vec<SourceView<'_>> = (0..)
            .zip(&loaded)
            .zip(&scenario.sources)
            .map(|((key, (dump, statistics)), (file, text))| SourceView {
                key,
                kind: SourceKind::Ntp,
                display_name: file,
                log_name: file,
                statistics,
                options: options(text),
                authenticated: false,
                reachability: dump.reachability,
                max_unreach: 100_000,
                stratum: dump.stratum,
                leap: dump.leap,
                reference_id: key,
                local_reference_id: None,
            })
            .collect();
        let mut selector = Selector::new(settings(scenario.settings));
        for view in &views {
            selector.mark_updated(view.key);
        }
        let mut journal = Journal::new();
        journal.enable(LogFile::Selection, true);
        let selection = selector.select(now, None, &views, &mut journal);
        let lines: Vec<Vec<String>> = journal
            .drain()
            .filter_map(|entry| match entry {
                Entry::Line { text, .. } => {
                    Some(text.split_whitespace().skip(2).map(str::to_owned).collect())
                }
                Entry::Message { .. } => None,
            })
            .collect();
        assert_eq!(lines.len(), scenario.states.len(), "scenario {name}");
        for (line, logged) in lines.iter().zip(&scenario.states) {
            assert_eq!(line[..5], logged[..5], "scenario {name}");
            for (found, logged) in line[6..].iter().zip(&logged[6..]) {
                assert!(
                    (number(found) - number(logged)).abs() < 2e-7 + 1e-3 * number(logged).abs(),
                    "scenario {name}: {found}, logged {logged}"
                );
            }
        }
        match (&selection.outcome, &scenario.tracking) {
            (Outcome::Update(update), Some(tracking)) => {
                check_tracking(name, update, now, tracking);
            }
            (Outcome::None, None) => {}
            (outcome, logged) => panic!("scenario {name}: {outcome:?}, logged {logged:?}"),
        }
    }
}

/// Feeds every sample that the reference had and compares each of its fits: window, runs
/// and asymmetry depend on all samples before.
fn replay(file: &str, settings: StatisticsSettings) -> usize {
    let table = read(&format!("history/{file}.tsv"));
    let mut statistics = SourceStatistics::new(StatisticsSettings {
        precision_s: 1e-7,
        ..settings
    });
    let mut compared = 0;
    for (index, line) in table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .enumerate()
    {
        let columns: Vec<&str> = line.split('\t').collect();
        let (seconds, fraction) = columns[0].split_once('.').expect("a time");
        let sample = Sample {
            time: CookedTime::from_parts(number(seconds) as i64, number(fraction) as i64),
            offset_s: -number(columns[1]),
            peer_delay_s: number(columns[2]),
            peer_dispersion_s: number(columns[3]),
            root_delay_s: number(columns[2]),
            root_dispersion_s: number(columns[3]),
        };
        statistics.accumulate(&sample, file, &mut Journal::new());
        let Some(logged) = columns.get(4..14) else {
            continue;
        };
        let details = statistics.regression().details().expect("a fit");
        let found = [
            details.samples,
            details.dropped,
            statistics.regression().runs() as usize,
        ];
        let expected = [logged[6], logged[7], logged[8]].map(|word| number(word) as usize);
        assert_eq!(found, expected, "{file} sample {index}");
        let fit = statistics.estimate();
        for (found, logged) in [
            fit.sample_sd_s,
            fit.offset_s,
            fit.offset_sd_s,
            fit.frequency,
            fit.skew,
        ]
        .into_iter()
        .zip(logged)
        {
            // The offsets of a dump have seven digits.
            let close = (found - number(logged)).abs() < 2e-12;
            assert!(
                close || agrees(found, number(logged), 3),
                "{file} sample {index}: {found:e}, logged {logged}"
            );
        }
        let asymmetry = statistics.regression().asymmetry();
        assert!(
            (asymmetry - number(logged[9])).abs() < 0.006,
            "{file} sample {index}"
        );
        compared += 1;
    }
    compared
}

#[test]
fn histories_agree_with_the_reference() {
    let defaults = StatisticsSettings::default();
    let without_asymmetry = StatisticsSettings {
        asymmetry: 0.0,
        ..defaults
    };
    assert_eq!(replay("2", defaults), 335);
    assert_eq!(replay("4", without_asymmetry), 360);
    assert_eq!(
        replay(
            "5",
            StatisticsSettings {
                max_samples: 20,
                ..without_asymmetry
            }
        ),
        364
    );
    assert_eq!(
        replay(
            "6",
            StatisticsSettings {
                min_samples: 12,
                ..defaults
            }
        ),
        340
    );
}
