//! Prints the accuracy grid of `docs/accuracy.md`: time and frequency error, packet
//! interval, ratio to the reference's figures and to the optimal estimator's bound, and how
//! fast the simulator is.
//!
//! `cargo run --release -p sim --bin accuracy -- [--seeds N] [--fixed-seeds N] [--quick]
//! [--estimator regression|kalman] [--polls default|fixed|all]`

use std::process::ExitCode;
use std::time::Instant;

use discipline::samples::EstimatorKind;
use sim::accuracy::DURATION_S;
use sim::grid::{FIXED_POLLS, Outcome, cells, run};

/// What the command line asks for.
struct Wanted {
    seeds: u64,
    fixed_seeds: u64,
    default_polling: bool,
    fixed_polling: bool,
    estimator: EstimatorKind,
}

impl Wanted {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut wanted = Self {
            seeds: 20,
            fixed_seeds: 5,
            default_polling: true,
            fixed_polling: true,
            estimator: EstimatorKind::Regression,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let missing = || format!("{argument} needs a value");
                arguments.next().ok_or_else(missing)
            };
            match argument.as_str() {
                "--seeds" => wanted.seeds = number(&value()?)?,
                "--fixed-seeds" => wanted.fixed_seeds = number(&value()?)?,
                "--quick" => {
                    wanted.seeds = 3;
                    wanted.fixed_polling = false;
                }
                "--polls" => {
                    let value = value()?;
                    wanted.default_polling = matches!(value.as_str(), "default" | "all");
                    wanted.fixed_polling = matches!(value.as_str(), "fixed" | "all");
                }
                "--estimator" => {
                    wanted.estimator = match value()?.as_str() {
                        "regression" => EstimatorKind::Regression,
                        "kalman" => EstimatorKind::Kalman,
                        other => return Err(format!("no estimator {other}")),
                    }
                }
                other => return Err(format!("unknown argument {other}")),
            }
        }
        Ok(wanted)
    }
}

fn number(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("not a number of seeds: {text}")),
    }
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"))
}

fn print(outcomes: &[Outcome]) {
    println!(
        "| jitter (s) | wander (1/s) | RMS time error (s) | ± | RMS frequency error (ppm) | \
         mean interval (s) | to the reference | to the bound |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for outcome in outcomes {
        let mean = outcome.mean();
        println!(
            "| {:.0e} | {:.0e} | {:.2e} | {:.0} % | {:.4} | {:.1} | {} | {:.2} |",
            outcome.cell.jitter_s,
            outcome.cell.wander,
            mean.time_error_s(),
            100.0 * outcome.relative_error(),
            mean.frequency_error() * 1e6,
            mean.interval_s,
            ratio(outcome.reference_ratio()),
            outcome.bound_ratio(),
        );
    }
}

fn summary(outcomes: &[Outcome]) {
    let logarithms = |values: Vec<f64>| {
        let count = values.len().max(1) as f64;
        (values.iter().map(|value| value.ln()).sum::<f64>() / count).exp()
    };
    let references: Vec<f64> = outcomes
        .iter()
        .filter_map(Outcome::reference_ratio)
        .collect();
    if !references.is_empty() {
        let worst = references.iter().copied().fold(0.0, f64::max);
        let mean = logarithms(references);
        println!("\nTo the reference: geometric mean {mean:.2}, worst {worst:.2}.");
    }
    let bounds = outcomes.iter().map(Outcome::bound_ratio).collect();
    println!("To the bound: geometric mean {:.2}.", logarithms(bounds));
}

fn grid(wanted: &Wanted) -> Result<(), String> {
    let started = Instant::now();
    let mut runs = 0;
    if wanted.default_polling {
        println!("Default polling, {} seeds\n", wanted.seeds);
        let outcomes = run(&cells(None, wanted.estimator), wanted.seeds)?;
        print(&outcomes);
        summary(&outcomes);
        runs += outcomes.len() as u64 * wanted.seeds;
    }
    for poll in FIXED_POLLS.into_iter().filter(|_| wanted.fixed_polling) {
        println!("\nPoll {poll}, {} seeds\n", wanted.fixed_seeds);
        let outcomes = run(&cells(Some(poll), wanted.estimator), wanted.fixed_seeds)?;
        print(&outcomes);
        summary(&outcomes);
        runs += outcomes.len() as u64 * wanted.fixed_seeds;
    }
    let elapsed_s = started.elapsed().as_secs_f64();
    let simulated_s = runs as f64 * DURATION_S;
    println!(
        "\n{runs} runs of {DURATION_S} s in {elapsed_s:.1} s: {:.0} simulated seconds a second.",
        simulated_s / elapsed_s
    );
    Ok(())
}

fn main() -> ExitCode {
    match Wanted::parse(std::env::args().skip(1)).and_then(|wanted| grid(&wanted)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
