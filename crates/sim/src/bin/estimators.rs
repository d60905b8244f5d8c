//! Prints the third table of `docs/accuracy.md`: both estimators where the Kalman bank's model
//! is wrong.
//!
//! `cargo run --release -p sim --bin estimators -- [seeds]`

use std::process::ExitCode;

use discipline::samples::EstimatorKind;
use sim::beyond::{Beyond, situations};
use sim::grid::on_every_core;

fn error_s(situation: &Beyond, estimator: EstimatorKind, seeds: usize) -> Result<f64, String> {
    let squares = on_every_core(seeds, |seed| situation.run(estimator, seed as u64 + 1));
    let squares: Vec<f64> = squares.into_iter().collect::<Result<_, _>>()?;
    Ok((squares.iter().sum::<f64>() / seeds as f64).sqrt())
}

fn print(seeds: usize) -> Result<(), String> {
    println!(
        "| situation, {seeds} seeds | regression (s) | Kalman (s) | ratio |\n|---|---|---|---|"
    );
    for situation in situations() {
        let regression = error_s(&situation, EstimatorKind::Regression, seeds)?;
        let kalman = error_s(&situation, EstimatorKind::Kalman, seeds)?;
        println!(
            "| {} | {regression:.2e} | {kalman:.2e} | {:.2} |",
            situation.name,
            kalman / regression
        );
    }
    Ok(())
}

fn main() -> ExitCode {
    let seeds = std::env::args().nth(1).map_or(Ok(20), |text| text.parse());
    let result = match seeds {
        Ok(seeds) if seeds > 0 => print(seeds),
        _ => Err("the argument is a number of seeds".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
