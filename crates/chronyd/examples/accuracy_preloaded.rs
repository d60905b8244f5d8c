//! The accuracy grid with real programs: ours (both estimators) and Debian's chrony in the
//! preloaded world of `tests/preload`, on the same packets and the same oscillator.
//!
//! `cargo build --release -p chronyd && cargo run --release --example accuracy_preloaded -p
//! chronyd -- [seeds]`; Debian's program is looked for in the folder of `scripts/fetch-peers`
//! (variable `ISOCHRONY_PEERS`). Needs root, `setpriv` and a C compiler. 20 seeds take about
//! half a minute on two idle cores.

#[path = "../tests/support/preload.rs"]
mod preload;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use preload::{Report, Situation};

/// The rows of `docs/accuracy.md`: jitter (s) and wander (1/s).
const JITTERS_S: [f64; 5] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2];
const WANDERS: [f64; 4] = [1e-10, 1e-9, 1e-8, 1e-7];
/// The figures of the reference were taken over so many seeds.
const BLOCK: usize = 20;

/// A program and how it is configured.
struct Contender {
    name: &'static str,
    program: PathBuf,
    directives: &'static [&'static str],
}

fn contenders() -> Result<Vec<Contender>, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let ours = own
        .parent()
        .and_then(Path::parent)
        .map(|folder| folder.join("chronyd"))
        .filter(|program| program.exists())
        .ok_or("build chronyd first: cargo build --release -p chronyd")?;
    let peers = std::env::var_os("ISOCHRONY_PEERS")
        .ok_or("ISOCHRONY_PEERS must name the folder of scripts/fetch-peers")?;
    let theirs = PathBuf::from(peers).join("chrony/usr/sbin/chronyd");
    let contender = |name, program: &Path, directives| Contender {
        name,
        program: program.to_owned(),
        directives,
    };
    Ok(vec![
        contender("chrony 4.3", &theirs, &["server 192.0.2.1 iburst"]),
        contender(
            "regression",
            &ours,
            &["server 192.0.2.1 iburst", "estimator regression"],
        ),
        contender(
            "kalman",
            &ours,
            &["server 192.0.2.1 iburst", "estimator kalman"],
        ),
    ])
}

/// Runs `job` for 0 … `count` − 1 on every core.
fn on_every_core<R: Send>(count: usize, job: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let indices = std::iter::from_fn(|| {
            let index = next.fetch_add(1, Ordering::Relaxed);
            (index < count).then_some(index)
        });
        indices.map(|index| (index, job(index))).collect::<Vec<_>>()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut all: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("a run"))
            .collect()
    });
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, result)| result).collect()
}

fn root_mean_square(reports: &[Report], value: fn(&Report) -> f64) -> f64 {
    let squares = reports.iter().map(|report| value(report).powi(2));
    (squares.sum::<f64>() / reports.len() as f64).sqrt()
}

fn time_error_s(reports: &[Report]) -> f64 {
    root_mean_square(reports, |report| report.time_error_s)
}

fn frequency_error(reports: &[Report]) -> f64 {
    root_mean_square(reports, |report| report.frequency_error)
}

fn interval_s(reports: &[Report], duration_s: f64) -> f64 {
    let intervals = reports
        .iter()
        .map(|report| duration_s / report.requests.max(1) as f64);
    intervals.sum::<f64>() / reports.len() as f64
}

/// The reports of one contender over the seeds.
fn cell(
    contender: &Contender,
    situation: Situation,
    seeds: usize,
    world: &Path,
    folder: &Path,
) -> Vec<Report> {
    on_every_core(seeds, |index| {
        let seed = index as u64 + 1;
        let folder = folder.join(format!("{}-{seed}", contender.name));
        let situation = Situation { seed, ..situation };
        let life = situation.live(world, &contender.program, &folder, contender.directives);
        assert_eq!(life.status, Some(0), "{}", life.stderr);
        std::fs::remove_dir_all(&folder).expect("removed");
        life.report
    })
}

fn grid(seeds: usize) -> Result<(), String> {
    let contenders = contenders()?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let world = preload::build(folder.path()).ok_or("no C compiler named cc")?;
    println!(
        "{seeds} seeds; time error (s) of {}; range of its means over {BLOCK} seeds; interval (s); \
         then per estimator of ours: time error (s), ratios of time errors, \
         frequency errors and intervals\n",
        contenders[0].name
    );
    for (jitter_s, wander) in JITTERS_S
        .into_iter()
        .flat_map(|jitter_s| WANDERS.map(|wander| (jitter_s, wander)))
    {
        let situation = Situation {
            jitter_s,
            wander,
            ..Situation::default()
        };
        let duration_s = f64::from(situation.duration_s);
        let mut results = contenders
            .iter()
            .map(|contender| cell(contender, situation, seeds, &world, folder.path()));
        let reference = results.next().ok_or("no contender")?;
        let blocks = reference.chunks_exact(BLOCK).map(time_error_s);
        let (low, high) = blocks.fold((f64::INFINITY, 0.0f64), |(low, high), block| {
            (low.min(block), high.max(block))
        });
        let (error_s, between_s) = (time_error_s(&reference), interval_s(&reference, duration_s));
        print!(
            "| {jitter_s:.0e} | {wander:.0e} | {error_s:.2e} | {low:.2e} … {high:.2e} | {between_s:.1} |"
        );
        for ours in results {
            print!(
                " {:.2e} | {:.2} | {:.2} | {:.3} |",
                time_error_s(&ours),
                time_error_s(&ours) / error_s,
                frequency_error(&ours) / frequency_error(&reference),
                interval_s(&ours, duration_s) / between_s
            );
        }
        println!();
    }
    Ok(())
}

fn main() -> std::process::ExitCode {
    let seeds = std::env::args()
        .nth(1)
        .map_or(Ok(BLOCK), |text| text.parse());
    let result = match seeds {
        Ok(seeds) if seeds > 0 => grid(seeds),
        _ => Err("the argument is a number of seeds".to_owned()),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}
