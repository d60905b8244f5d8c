//! Prints the second table of `docs/accuracy.md`: every situation of the reference's figures
//! (discipline chapter, section 21), ours beside the reference.
//!
//! `cargo run --release -p sim --bin scenarios -- [--estimator regression|kalman] [--seeds N]
//! [--only TEXT]`

use std::process::ExitCode;

use discipline::samples::EstimatorKind;
use sim::figure_rows::{fixed_polling, others};
use sim::figures::{Figure, Limit, Run, median_convergence};
use sim::grid::on_every_core;

/// What the command line asks for.
struct Wanted {
    estimator: EstimatorKind,
    seeds: Option<u64>,
    only: Option<String>,
}

impl Wanted {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut wanted = Self {
            estimator: EstimatorKind::Regression,
            seeds: None,
            only: None,
        };
        while let Some(argument) = arguments.next() {
            let missing = || format!("{argument} needs a value");
            let mut value = || arguments.next().ok_or_else(missing);
            match argument.as_str() {
                "--estimator" => {
                    wanted.estimator = match value()?.as_str() {
                        "regression" => EstimatorKind::Regression,
                        "kalman" => EstimatorKind::Kalman,
                        other => return Err(format!("no estimator {other}")),
                    }
                }
                "--seeds" => {
                    let text = value()?;
                    let number = text.parse().ok().filter(|number| *number > 0);
                    wanted.seeds = Some(number.ok_or(format!("not a number of seeds: {text}"))?);
                }
                "--only" => wanted.only = Some(value()?),
                other => return Err(format!("unknown argument {other}")),
            }
        }
        Ok(wanted)
    }
}

fn limit_name(limit: Limit, figure: &Figure) -> String {
    match limit {
        Limit::Time(limit_s) if limit_s == 5.0 * figure.time_error_s => "5 × error".to_owned(),
        Limit::Time(limit_s) if limit_s >= 1e-3 => format!("{:.0} ms", limit_s * 1e3),
        Limit::Time(limit_s) => format!("{:.0} µs", limit_s * 1e6),
        Limit::Frequency(limit) => format!("{:.0} ppm", limit * 1e6),
    }
}

fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.0}"))
}

fn convergence(figure: &Figure, runs: &[Run]) -> String {
    let limits = figure.convergence.iter().enumerate();
    let texts: Vec<String> = limits
        .map(|(index, (limit, reference))| {
            let ours = median_convergence(runs, index);
            let name = limit_name(*limit, figure);
            format!("{name}: {} ({})", seconds(ours), seconds(*reference))
        })
        .collect();
    texts.join(", ")
}

fn row(figure: &Figure, runs: &[Run]) -> (String, f64) {
    let mean = |value: fn(&Run) -> f64| runs.iter().map(value).sum::<f64>() / runs.len() as f64;
    let time_error_s = mean(|run| run.time_square).sqrt();
    let frequency_ppm = mean(|run| run.frequency_square).sqrt() * 1e6;
    let errors = runs.iter().map(|run| run.time_square.sqrt());
    let (low, high) = errors.fold((f64::INFINITY, 0.0f64), |(low, high), error| {
        (low.min(error), high.max(error))
    });
    let ratio = time_error_s / figure.time_error_s;
    let range = |(low, high): (f64, f64)| format!(" [{low:.1e} … {high:.1e}]");
    let frequency = figure
        .frequency_error_ppm
        .map_or_else(String::new, |reference| format!(" ({reference})"));
    let text = format!(
        "| {} | {time_error_s:.2e}{} | {:.2e}{} | {ratio:.2} | {frequency_ppm:.3}{frequency} | {} |",
        figure.name,
        range((low, high)),
        figure.time_error_s,
        figure.range_s.map_or_else(String::new, range),
        convergence(figure, runs),
    );
    (text, ratio)
}

fn print(wanted: &Wanted) -> Result<(), String> {
    println!(
        "| situation | time error (s) [range over the seeds] | the reference's | ratio | frequency \
         error (ppm; the reference's) | seconds to converge (the reference's) |\n|---|---|---|---|---|---|"
    );
    let figures = fixed_polling().into_iter().chain(others());
    let figures = figures.filter(|figure| {
        let only = wanted.only.as_deref();
        only.is_none_or(|only| figure.name.contains(only))
    });
    let mut ratios = Vec::new();
    for figure in figures {
        let seeds = usize::try_from(wanted.seeds.unwrap_or(figure.seeds)).unwrap_or(1);
        let runs = on_every_core(seeds, |seed| figure.run(wanted.estimator, seed as u64 + 1));
        let runs: Vec<Run> = runs.into_iter().collect::<Result<_, _>>()?;
        let (text, ratio) = row(&figure, &runs);
        println!("{text}");
        ratios.push(ratio);
    }
    let logarithms = ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64;
    let worst = ratios.iter().copied().fold(0.0, f64::max);
    println!(
        "\nTo the reference: geometric mean {:.2}, worst {worst:.2}.",
        logarithms.exp()
    );
    Ok(())
}

fn main() -> ExitCode {
    match Wanted::parse(std::env::args().skip(1)).and_then(|wanted| print(&wanted)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
