//! The rows of the reference's figures (discipline chapter, section 21).

use crate::figures::{Figure, Limit, Servers};

const MILLISECOND: Limit = Limit::Time(1e-3);
const TENTH_MILLISECOND: Limit = Limit::Time(1e-4);
const PPM: Limit = Limit::Frequency(1e-6);

/// A row of the first table: poll, jitter (s), wander, time error (s) and its range over the
/// seeds, frequency error (ppm), convergence (s) to 1 ms, 100 µs, five times the time error
/// and 1 ppm.
type Row = (i8, f64, f64, f64, (f64, f64), f64, [Option<f64>; 4]);

const ROWS: [Row; 27] = [
    (
        4,
        1e-5,
        1e-9,
        2.6e-06,
        (1.9e-06, 2.9e-06),
        0.063,
        [Some(6.0), Some(6.0), Some(24.0), Some(27.0)],
    ),
    (
        4,
        1e-5,
        1e-8,
        5.9e-06,
        (4.9e-06, 6.8e-06),
        0.31,
        [Some(6.0), Some(6.0), Some(8.0), Some(27.0)],
    ),
    (
        4,
        1e-5,
        1e-7,
        1.6e-05,
        (1.5e-05, 1.8e-05),
        1.3,
        [Some(6.0), Some(6.0), Some(6.0), Some(280.0)],
    ),
    (
        4,
        1e-4,
        1e-9,
        1.1e-05,
        (6.8e-06, 1.7e-05),
        0.35,
        [Some(6.0), Some(25.0), Some(59.0), Some(144.0)],
    ),
    (
        4,
        1e-4,
        1e-8,
        2.6e-05,
        (1.9e-05, 2.9e-05),
        0.65,
        [Some(6.0), Some(25.0), Some(25.0), Some(144.0)],
    ),
    (
        4,
        1e-4,
        1e-7,
        5.9e-05,
        (5.2e-05, 6.5e-05),
        3.2,
        [Some(6.0), Some(26.0), Some(6.0), Some(610.0)],
    ),
    (
        4,
        1e-2,
        1e-9,
        0.00056,
        (0.00045, 0.00084),
        18.0,
        [Some(280.0), Some(1670.0), Some(122.0), Some(1250.0)],
    ),
    (
        4,
        1e-2,
        1e-8,
        0.00057,
        (0.00044, 0.0009),
        18.0,
        [Some(280.0), Some(1670.0), Some(122.0), Some(1250.0)],
    ),
    (
        4,
        1e-2,
        1e-7,
        0.00079,
        (0.00049, 0.00105),
        21.0,
        [Some(280.0), Some(4770.0), Some(78.0), Some(7470.0)],
    ),
    (
        6,
        1e-5,
        1e-9,
        5.6e-06,
        (4.7e-06, 6.3e-06),
        0.071,
        [Some(6.0), Some(7.0), Some(74.0), Some(76.0)],
    ),
    (
        6,
        1e-5,
        1e-8,
        1.4e-05,
        (1.2e-05, 1.5e-05),
        0.29,
        [Some(6.0), Some(7.0), Some(8.0), Some(77.0)],
    ),
    (
        6,
        1e-5,
        1e-7,
        0.00011,
        (0.000101, 0.000121),
        2.2,
        [Some(6.0), Some(600.0), Some(6.0), None],
    ),
    (
        6,
        1e-4,
        1e-9,
        2.3e-05,
        (1.8e-05, 2.9e-05),
        0.15,
        [Some(6.0), Some(78.0), Some(77.0), Some(164.0)],
    ),
    (
        6,
        1e-4,
        1e-8,
        5.7e-05,
        (4.6e-05, 6.7e-05),
        0.72,
        [Some(6.0), Some(80.0), Some(74.0), Some(173.0)],
    ),
    (
        6,
        1e-4,
        1e-7,
        0.000141,
        (0.000122, 0.000155),
        2.9,
        [Some(6.0), Some(2540.0), Some(6.0), None],
    ),
    (
        6,
        1e-2,
        1e-9,
        0.00059,
        (0.00041, 0.00091),
        6.0,
        [Some(1030.0), Some(6420.0), Some(466.0), Some(2490.0)],
    ),
    (
        6,
        1e-2,
        1e-8,
        0.00069,
        (0.00049, 0.00116),
        5.8,
        [Some(1020.0), Some(8760.0), Some(400.0), Some(2800.0)],
    ),
    (
        6,
        1e-2,
        1e-7,
        0.0024,
        (0.0017, 0.0031),
        21.0,
        [Some(1520.0), None, Some(6.0), None],
    ),
    (
        10,
        1e-5,
        1e-9,
        7e-05,
        (6e-05, 8e-05),
        0.089,
        [Some(6.0), Some(6770.0), Some(1042.0), Some(1045.0)],
    ),
    (
        10,
        1e-5,
        1e-8,
        0.0007,
        (0.00059, 0.0008),
        0.88,
        [Some(6560.0), None, Some(6.0), Some(34900.0)],
    ),
    (
        10,
        1e-5,
        1e-7,
        0.007,
        (0.0059, 0.008),
        8.8,
        [None, None, Some(6.0), None],
    ),
    (
        10,
        1e-4,
        1e-9,
        0.000105,
        (8.4e-05, 0.000124),
        0.13,
        [Some(1044.0), Some(16700.0), Some(1044.0), Some(1045.0)],
    ),
    (
        10,
        1e-4,
        1e-8,
        0.0007,
        (0.0006, 0.0008),
        0.9,
        [Some(9370.0), None, Some(1041.0), Some(34900.0)],
    ),
    (
        10,
        1e-4,
        1e-7,
        0.007,
        (0.0059, 0.008),
        8.9,
        [None, None, Some(6.0), None],
    ),
    (
        10,
        1e-2,
        1e-9,
        0.0018,
        (0.0008, 0.0034),
        1.0,
        [Some(21100.0), None, Some(1170.0), Some(10800.0)],
    ),
    (
        10,
        1e-2,
        1e-8,
        0.0047,
        (0.0037, 0.0066),
        5.4,
        [Some(149000.0), None, Some(1100.0), Some(29800.0)],
    ),
    (
        10,
        1e-2,
        1e-7,
        0.0115,
        (0.009, 0.0157),
        21.0,
        [None, None, Some(1080.0), None],
    ),
];

/// The situations with a fixed polling interval.
pub fn fixed_polling() -> Vec<Figure> {
    ROWS.into_iter().map(from_row).collect()
}

fn from_row((poll, jitter_s, wander, time_error_s, range_s, frequency, converged): Row) -> Figure {
    let limits = [
        MILLISECOND,
        TENTH_MILLISECOND,
        Limit::Time(5.0 * time_error_s),
        PPM,
    ];
    Figure {
        name: format!("poll {poll}, jitter {jitter_s:.0e}, wander {wander:.0e}"),
        options: format!("minpoll {poll} maxpoll {poll} iburst"),
        poll,
        jitters_s: (jitter_s, jitter_s),
        wander,
        duration_s: match poll {
            ..=4 => 20_000,
            10.. => 400_000,
            _ => 60_000,
        },
        time_error_s,
        range_s: Some(range_s),
        frequency_error_ppm: Some(frequency),
        convergence: limits.into_iter().zip(converged).collect(),
        ..usual("", time_error_s, &[])
    }
}

/// Poll 6, 100 µs of jitter, a wander of 1e-9, 100 ms and 100 ppm off at the start.
fn usual(name: &str, time_error_s: f64, convergence: &[(Limit, f64)]) -> Figure {
    let convergence = convergence.iter();
    Figure {
        name: name.to_owned(),
        options: "minpoll 6 maxpoll 6 iburst".to_owned(),
        directives: &[],
        drift: None,
        servers: Servers::Perfect(1),
        poll: 6,
        jitters_s: (1e-4, 1e-4),
        wander: 1e-9,
        offset_s: 0.1,
        frequency: 1e-4,
        duration_s: 60_000,
        seeds: 20,
        time_error_s,
        range_s: None,
        frequency_error_ppm: None,
        convergence: convergence
            .map(|(limit, seconds)| (*limit, Some(*seconds)))
            .collect(),
    }
}

fn default_polling() -> Vec<Figure> {
    vec![
        Figure {
            options: String::new(),
            duration_s: 200_000,
            range_s: Some((71e-6, 110e-6)),
            frequency_error_ppm: Some(0.15),
            ..usual(
                "default polling, no iburst",
                96e-6,
                &[
                    (Limit::Time(1e-2), 131.0),
                    (TENTH_MILLISECOND, 132.0),
                    (PPM, 267.0),
                ],
            )
        },
        Figure {
            options: "iburst".to_owned(),
            range_s: Some((85e-6, 121e-6)),
            frequency_error_ppm: Some(0.15),
            ..usual(
                "default polling",
                98e-6,
                &[(MILLISECOND, 6.0), (TENTH_MILLISECOND, 78.0)],
            )
        },
        Figure {
            options: "iburst".to_owned(),
            wander: 1e-8,
            range_s: Some((91e-6, 153e-6)),
            frequency_error_ppm: Some(0.77),
            ..usual("default polling, wander 1e-8", 118e-6, &[(PPM, 317.0)])
        },
        Figure {
            options: "iburst".to_owned(),
            jitters_s: (1e-2, 1e-2),
            range_s: Some((0.5e-3, 2.5e-3)),
            frequency_error_ppm: Some(0.68),
            ..usual(
                "default polling, jitter 10 ms",
                1.7e-3,
                &[(MILLISECOND, 2750.0)],
            )
        },
    ]
}

fn starts() -> Vec<Figure> {
    vec![
        Figure {
            directives: &["makestep 1 3"],
            offset_s: 1000.0,
            frequency_error_ppm: Some(0.11),
            ..usual("1000 s off, makestep 1 3", 23e-6, &[(MILLISECOND, 5.0)])
        },
        Figure {
            offset_s: 1000.0,
            duration_s: 40_000,
            frequency_error_ppm: Some(0.17),
            ..usual("1000 s off, slewed", 24e-6, &[(MILLISECOND, 12_005.0)])
        },
        Figure {
            offset_s: 10.0,
            frequency_error_ppm: Some(0.11),
            ..usual("10 s off, slewed", 23e-6, &[(MILLISECOND, 125.0)])
        },
        Figure {
            frequency: 0.05,
            frequency_error_ppm: Some(0.11),
            ..usual(
                "frequency error 5 %",
                22e-6,
                &[(MILLISECOND, 11.0), (TENTH_MILLISECOND, 77.0)],
            )
        },
        Figure {
            // What removes 100 ppm: 1 − 1/1.0001.
            drift: Some("99.990001 0.1"),
            frequency_error_ppm: Some(0.11),
            ..usual("drift file", 23e-6, &[(TENTH_MILLISECOND, 6.0)])
        },
        Figure {
            servers: Servers::Perfect(3),
            seeds: 10,
            range_s: Some((17e-6, 25e-6)),
            frequency_error_ppm: Some(0.049),
            ..usual("three servers", 22e-6, &[(TENTH_MILLISECOND, 146.0)])
        },
    ]
}

fn short_polling() -> Vec<Figure> {
    let ratio = |directives, name, time_error_s, range_s, frequency, converged| Figure {
        options: "minpoll 4 maxpoll 4 iburst".to_owned(),
        directives,
        poll: 4,
        wander: 1e-8,
        duration_s: 20_000,
        range_s: Some(range_s),
        frequency_error_ppm: Some(frequency),
        ..usual(name, time_error_s, &[(TENTH_MILLISECOND, converged)])
    };
    vec![
        Figure {
            options: "minpoll 0 maxpoll 0 iburst".to_owned(),
            poll: 0,
            jitters_s: (1e-5, 1e-5),
            duration_s: 5_000,
            range_s: Some((0.8e-6, 1.4e-6)),
            frequency_error_ppm: Some(0.28),
            ..usual("poll 0, jitter 10 µs", 1.1e-6, &[(TENTH_MILLISECOND, 4.0)])
        },
        Figure {
            options: "minpoll -4 maxpoll -4 iburst xleave".to_owned(),
            servers: Servers::Interleaved,
            poll: -4,
            jitters_s: (1e-6, 1e-6),
            duration_s: 5_000,
            range_s: Some((0.096e-6, 0.11e-6)),
            frequency_error_ppm: Some(0.15),
            ..usual(
                "poll -4, jitter 1 µs, interleaved",
                0.1e-6,
                &[(TENTH_MILLISECOND, 7.0)],
            )
        },
        ratio(
            &["corrtimeratio 1"],
            "poll 4, wander 1e-8, corrtimeratio 1",
            24e-6,
            (18e-6, 27e-6),
            1.0,
            24.0,
        ),
        ratio(
            &["corrtimeratio 10"],
            "poll 4, wander 1e-8, corrtimeratio 10",
            29e-6,
            (22e-6, 34e-6),
            0.40,
            33.0,
        ),
    ]
}

fn one_sided_jitter() -> Vec<Figure> {
    let one_sided = |options: &str, name, time_error_s, range_s, frequency, converged| Figure {
        options: format!("minpoll 6 maxpoll 6 iburst{options}"),
        jitters_s: (0.0, 1e-3),
        seeds: 10,
        range_s: Some(range_s),
        frequency_error_ppm: Some(frequency),
        ..usual(name, time_error_s, &[converged])
    };
    vec![
        one_sided(
            "",
            "jitter of 1 ms in responses only",
            17e-6,
            (13e-6, 21e-6),
            0.19,
            (TENTH_MILLISECOND, 440.0),
        ),
        one_sided(
            " asymmetry 0",
            "the same, asymmetry 0",
            182e-6,
            (133e-6, 216e-6),
            2.7,
            (MILLISECOND, 74.0),
        ),
        one_sided(
            " asymmetry 0.5",
            "the same, asymmetry 0.5",
            16e-6,
            (13e-6, 21e-6),
            0.22,
            (TENTH_MILLISECOND, 40.0),
        ),
    ]
}

fn reference_clocks() -> Vec<Figure> {
    let clock = |poll, name, time_error_s, range_s, frequency, converged| Figure {
        options: format!("SHM 0 poll {poll} dpoll 0"),
        servers: Servers::ReferenceClock,
        poll,
        jitters_s: (1e-6, 1e-6),
        seeds: 10,
        duration_s: 20_000,
        range_s: Some(range_s),
        frequency_error_ppm: Some(frequency),
        ..usual(name, time_error_s, &[(TENTH_MILLISECOND, converged)])
    };
    vec![
        clock(
            4,
            "SHM clock, noise 1 µs",
            0.41e-6,
            (0.38e-6, 0.46e-6),
            0.025,
            49.0,
        ),
        Figure {
            wander: 1e-8,
            ..clock(
                4,
                "SHM clock, wander 1e-8",
                1.8e-6,
                (1.6e-6, 1.9e-6),
                0.10,
                49.0,
            )
        },
        clock(
            0,
            "SHM clock, poll 0",
            0.28e-6,
            (0.26e-6, 0.30e-6),
            0.080,
            14.0,
        ),
    ]
}

/// The other situations.
pub fn others() -> Vec<Figure> {
    [
        default_polling(),
        starts(),
        short_polling(),
        one_sided_jitter(),
        reference_clocks(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use discipline::samples::EstimatorKind;

    #[test]
    fn every_situation_can_be_set_up() {
        for figure in fixed_polling().into_iter().chain(others()) {
            let short = Figure {
                duration_s: 100,
                ..figure
            };
            let run = short.run(EstimatorKind::Regression, 1);
            let run = run.unwrap_or_else(|error| panic!("{}: {error}", short.name));
            assert!(run.time_square.is_finite(), "{}", short.name);
            assert_eq!(run.converged_s.len(), short.convergence.len());
        }
    }

    #[test]
    fn a_drift_file_saves_the_first_minutes() {
        let figures = others();
        let figure = figures.iter().find(|figure| figure.drift.is_some());
        let figure = figure.expect("a situation with a drift file").clone();
        let short = Figure {
            duration_s: 1_000,
            ..figure
        };
        let run = short.run(EstimatorKind::Regression, 1).expect("run");
        assert_eq!(run.converged_s.len(), 1);
        assert!(
            run.converged_s[0].is_some_and(|second| second < 20),
            "{run:?}"
        );
    }
}
