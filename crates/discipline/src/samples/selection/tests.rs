//! Scenarios of source selection.

use ntp_wire::LeapIndicator;
use proptest::prelude::*;

use super::*;
use crate::journal::{Entry, LogFile, Severity};
use crate::samples::estimator::StatisticsSettings;
use crate::samples::reachability::Reachability;
use crate::samples::sample::Sample;
use crate::samples::statistics::SourceStatistics;

const START_S: i64 = 1_790_000_000;

/// A source and all that a view of it borrows.
struct Source {
    key: u32,
    kind: SourceKind,
    name: String,
    statistics: SourceStatistics,
    options: SelectOptions,
    authenticated: bool,
    reachability: Reachability,
    stratum: u8,
    leap: LeapIndicator,
    local_reference_id: Option<u32>,
    max_unreach: u32,
    /// Offset (F+) and root distance of its samples, seconds.
    fast_s: f64,
    distance_s: f64,
    jitter_s: f64,
}

impl Source {
    fn new(key: u32, fast_s: f64, distance_s: f64) -> Self {
        Self {
            key,
            kind: SourceKind::Ntp,
            name: format!("192.0.2.{key}"),
            statistics: SourceStatistics::new(StatisticsSettings::default()),
            options: SelectOptions::default(),
            authenticated: false,
            reachability: Reachability::default(),
            stratum: 2,
            leap: LeapIndicator::Normal,
            local_reference_id: Some(u32::MAX),
            max_unreach: 100_000,
            fast_s,
            distance_s,
            jitter_s: 0.0,
        }
    }

    fn view(&self) -> SourceView<'_> {
        SourceView {
            key: self.key,
            kind: self.kind,
            display_name: &self.name,
            log_name: &self.name,
            statistics: &self.statistics,
            options: self.options,
            authenticated: self.authenticated,
            reachability: self.reachability,
            max_unreach: self.max_unreach,
            stratum: self.stratum,
            leap: self.leap,
            reference_id: 0xC000_0200 + self.key,
            local_reference_id: self.local_reference_id,
        }
    }
}

/// Sources that are polled together every 16 s.
struct World {
    sources: Vec<Source>,
    selector: Selector,
    journal: Journal,
    polls: i64,
    outcome: Outcome,
    replace: Option<u32>,
}

impl World {
    fn new(sources: Vec<Source>) -> Self {
        Self::with(sources, SelectionSettings::default())
    }

    fn with(sources: Vec<Source>, settings: SelectionSettings) -> Self {
        Self {
            sources,
            selector: Selector::new(settings),
            journal: Journal::new(),
            polls: 0,
            outcome: Outcome::None,
            replace: None,
        }
    }

    fn now(&self) -> CookedTime {
        CookedTime::from_parts(START_S + 16 * self.polls, 500_000_000)
    }

    fn select(&mut self, trigger: Option<u32>) {
        let views: Vec<_> = self.sources.iter().map(Source::view).collect();
        let now = CookedTime::from_parts(START_S + 16 * self.polls, 500_000_000);
        let selection = self
            .selector
            .select(now, trigger, &views, &mut self.journal);
        self.outcome = selection.outcome;
        self.replace = selection.replace.or(self.replace);
    }

    fn sample(&mut self, index: usize) {
        let sign = if self.polls % 2 == 0 { 1.0 } else { -1.0 };
        let time = CookedTime::from_parts(START_S + 16 * self.polls, 0);
        let source = &mut self.sources[index];
        let sample = Sample {
            time,
            offset_s: -(source.fast_s + sign * source.jitter_s),
            peer_delay_s: source.distance_s,
            peer_dispersion_s: 1e-6,
            root_delay_s: source.distance_s,
            root_dispersion_s: source.distance_s / 2.0,
        };
        source
            .statistics
            .accumulate(&sample, &source.name, &mut self.journal);
        source.reachability.update(true);
        let key = source.key;
        self.select(Some(key));
    }

    /// One poll of the sources in `indices`, the others miss theirs.
    fn poll(&mut self, indices: &[usize]) {
        self.polls += 1;
        for i in 0..self.sources.len() {
            if indices.contains(&i) {
                self.sample(i);
            } else {
                self.sources[i].reachability.update(false);
                if !self.sources[i].reachability.is_reachable() {
                    self.select(None);
                }
            }
        }
    }

    fn poll_all(&mut self, times: usize) {
        let all: Vec<usize> = (0..self.sources.len()).collect();
        for _ in 0..times {
            self.poll(&all);
        }
    }

    fn states(&self) -> String {
        self.sources
            .iter()
            .map(|source| self.selector.state(source.key).letter())
            .collect()
    }

    fn messages(&mut self) -> Vec<String> {
        self.journal
            .drain()
            .filter_map(|entry| match entry {
                Entry::Message { text, .. } => Some(text),
                Entry::Line { .. } => None,
            })
            .collect()
    }
}

fn sources(offsets_and_distances: &[(f64, f64)]) -> Vec<Source> {
    (1..)
        .zip(offsets_and_distances)
        .map(|(key, &(o, d))| Source::new(key, o, d))
        .collect()
}

#[test]
fn one_source_is_selected_with_its_third_sample() {
    let mut world = World::new(sources(&[(0.1, 0.01)]));
    world.poll_all(2);
    assert_eq!(world.states(), "M");
    world.poll_all(1);
    assert_eq!(world.states(), "*");
    assert_eq!(world.messages(), ["Selected source 192.0.2.1"]);
    let Outcome::Update(update) = world.outcome else {
        panic!("{:?}", world.outcome)
    };
    assert!((update.offset_s - 0.1).abs() < 1e-9);
    assert_eq!(
        (update.stratum, update.reference_id, update.combined_sources),
        (2, 0xC000_0201, 1)
    );
    assert_eq!(update.root_delay_s, 0.01);
}

#[test]
fn two_sources_polled_together_wait_for_both() {
    // Section 20: the first selection comes with the third response of both.
    let mut world = World::new(sources(&[(0.0, 0.01), (0.0, 0.02)]));
    world.poll_all(2);
    world.polls += 1;
    world.sample(0);
    assert_eq!(world.states(), "wM");
    world.sample(1);
    assert_eq!(world.states().matches('*').count(), 1);
}

#[test]
fn two_true_against_three_false() {
    // The three falsetickers disagree with each other.
    let all = [
        (0.0, 0.01),
        (0.001, 0.01),
        (3.0, 0.01),
        (-5.0, 0.01),
        (9.0, 0.01),
    ];
    let mut world = World::new(sources(&all));
    world.poll_all(6);
    assert_eq!(world.states(), "xxxxx");
    assert_eq!(
        world.messages(),
        ["Can't synchronise: no majority (only 2 of 5 sources agree)"]
    );
    // The three agree: they are the majority, and the two are reported.
    let all = [
        (0.0, 0.01),
        (0.001, 0.01),
        (3.0, 0.01),
        (3.001, 0.01),
        (3.0, 0.011),
    ];
    let mut world = World::new(sources(&all));
    world.poll_all(6);
    assert_eq!(&world.states()[..2], "xx");
    let messages = world.messages();
    assert!(
        messages.contains(&"Detected falseticker 192.0.2.1".into()),
        "{messages:?}"
    );
    // Each once before the first selection and once after it, however many polls follow.
    let reports = messages
        .iter()
        .filter(|text| text.contains("falseticker"))
        .count();
    assert_eq!(reports, 4);
    world.poll_all(20);
    assert!(world.messages().is_empty());
    // Trust in the two decides against the three.
    let mut trusted = sources(&all);
    trusted[0].options.trust = true;
    trusted[1].options.trust = true;
    let mut world = World::new(trusted);
    world.poll_all(6);
    assert_eq!(&world.states()[2..], "xxx");
    assert!(world.states()[..2].contains('*'));
}

#[test]
fn two_that_disagree_have_no_majority() {
    let mut world = World::new(sources(&[(0.0, 0.01), (1.0, 0.01)]));
    world.poll_all(20);
    assert_eq!(world.states(), "xx");
    assert_eq!(
        world.messages(),
        ["Can't synchronise: no majority (no agreement among 2 sources)"]
    );
    let mut trusted = sources(&[(0.0, 0.01), (1.0, 0.01)]);
    for source in &mut trusted {
        source.options.trust = true;
    }
    let mut world = World::new(trusted);
    world.poll_all(4);
    assert_eq!(
        world.messages(),
        ["Can't synchronise: no majority (no agreement among 2 trusted sources)"]
    );
}

#[test]
fn a_lost_majority_makes_the_reference_unsynchronised() {
    let mut world = World::new(sources(&[(0.0, 0.01), (0.0, 0.01)]));
    world.poll_all(4);
    assert!(matches!(world.outcome, Outcome::Update(_) | Outcome::None));
    world.messages();
    world.sources[1].statistics.correct_offset(2.0);
    world.select(None);
    assert_eq!(world.outcome, Outcome::Unsynchronise);
    assert_eq!(world.selector.selected(), None);
    world.select(None);
    assert_eq!(world.outcome, Outcome::None);
    assert_eq!(world.messages().len(), 1);
}

#[test]
fn a_source_that_falls_silent_is_lost_after_eight_polls() {
    // Section 20: loss of the only server.
    let mut world = World::new(sources(&[(0.0, 0.01)]));
    world.poll_all(4);
    world.messages();
    for _ in 0..7 {
        world.poll(&[]);
        assert_eq!(world.states(), "*");
    }
    assert!(world.messages().is_empty());
    world.poll(&[]);
    assert_eq!(world.states(), "S");
    assert_eq!(world.selector.selected(), None);
    world.poll(&[]);
    assert_eq!(
        world.messages(),
        ["Can't synchronise: no selectable sources (1 unreachable sources)"]
    );
}

#[test]
fn a_first_failure_is_reported_once() {
    let mut world = World::new(sources(&[(0.0, 0.01)]));
    for _ in 0..20 {
        world.poll(&[]);
    }
    assert_eq!(
        world.messages(),
        ["Can't synchronise: no selectable sources (1 unreachable sources)"]
    );
    // No sources, nothing lost: nothing said.
    let mut world = World::new(Vec::new());
    world.select(None);
    assert!(world.messages().is_empty());
}

#[test]
fn removing_the_last_source_is_a_loss() {
    let mut world = World::new(sources(&[(0.0, 0.01)]));
    world.poll_all(3);
    world.messages();
    world.sources.clear();
    world.selector.remove(1);
    world.select(None);
    assert_eq!(world.messages(), ["Can't synchronise: no sources"]);
}

#[test]
fn minsources_counts_survivors() {
    let settings = SelectionSettings {
        min_sources: 2,
        ..SelectionSettings::default()
    };
    let mut world = World::with(sources(&[(0.0, 0.01), (0.0, 0.01)]), settings);
    for _ in 0..9 {
        world.poll(&[0]);
    }
    assert_eq!(world.states(), "WM");
    assert_eq!(
        world.messages(),
        ["Can't synchronise: not enough selectable sources"]
    );
    world.poll_all(3);
    assert!(world.states().contains('*'), "{}", world.states());
}

#[test]
fn a_required_source_must_survive() {
    let mut all = sources(&[(0.0, 0.01), (0.0, 0.01)]);
    all[1].options.require = true;
    let mut world = World::new(all);
    for _ in 0..9 {
        world.poll(&[0]);
    }
    assert_eq!(world.states(), "WM");
    assert_eq!(
        world.messages(),
        ["Can't synchronise: no required source in selectable sources"]
    );
    world.poll_all(3);
    assert!(world.states().contains('*'));
    // Also with noselect, which makes selection impossible.
    world.sources[1].options.noselect = true;
    world.poll_all(1);
    assert_eq!(world.states(), "WN");
}

#[test]
fn prefer_outranks_distance() {
    let mut all = sources(&[(0.0, 0.001), (0.0, 0.1)]);
    all[1].options.prefer = true;
    let mut world = World::new(all);
    world.poll_all(4);
    assert_eq!(world.states(), "P*");
}

#[test]
fn noselect_is_never_selected() {
    let mut all = sources(&[(0.0, 0.001), (0.0, 0.1)]);
    all[0].options.noselect = true;
    let mut world = World::new(all);
    world.poll_all(4);
    assert_eq!(world.states(), "N*");
}

#[test]
fn the_nearer_of_two_is_selected_and_the_other_combined_or_not() {
    let mut world = World::new(sources(&[(0.0, 0.02), (0.0, 0.01)]));
    world.poll_all(8);
    assert_eq!(world.states(), "+*");
    let mut world = World::new(sources(&[(0.0, 0.2), (0.0, 0.01)]));
    world.poll_all(8);
    assert_eq!(world.states(), "D*");
    let settings = SelectionSettings {
        combine_limit: 0.0,
        ..SelectionSettings::default()
    };
    let mut world = World::with(sources(&[(0.0, 0.01), (0.0, 0.01)]), settings);
    world.poll_all(8);
    assert!(world.states().contains('D') && world.states().contains('*'));
}

#[test]
fn a_stratum_weighs_as_much_as_distance() {
    for (stratum_weight_s, states) in [(0.0, "+*"), (1e-2, "*+")] {
        let mut both = sources(&[(0.0, 2e-3), (0.0, 1e-3)]);
        both[1].stratum = 3;
        let settings = SelectionSettings {
            stratum_weight_s,
            ..SelectionSettings::default()
        };
        let mut world = World::with(both, settings);
        world.poll_all(10);
        assert_eq!(world.states(), states, "{stratum_weight_s}");
    }
}

#[test]
fn maxunreach_gives_an_unreachable_source_up_early() {
    for (max_unreach, state) in [(100_000, '+'), (3, 'S')] {
        let mut both = sources(&[(0.0, 1e-3), (0.0, 1e-3)]);
        both[1].max_unreach = max_unreach;
        let mut world = World::new(both);
        world.poll_all(30);
        // The eighth miss empties the register and is the first that counts; the samples of
        // the other source are older still.
        for _ in 0..7 + 3 {
            world.poll(&[0]);
        }
        assert_eq!(world.states(), "*+");
        world.poll(&[0]);
        assert_eq!(world.states().chars().last(), Some(state), "{max_unreach}");
    }
}

#[test]
fn combinelimit_leaves_distant_sources_out() {
    for (combine_limit, states) in [(3.0, "*D"), (20.0, "*+"), (0.0, "*D")] {
        let settings = SelectionSettings {
            combine_limit,
            ..SelectionSettings::default()
        };
        let mut world = World::with(sources(&[(0.0, 1e-3), (0.0, 1e-2)]), settings);
        world.poll_all(40);
        assert_eq!(world.states(), states, "{combine_limit}");
        let Outcome::Update(update) = &world.outcome else {
            continue;
        };
        assert_eq!(update.combined_sources, 1 + u32::from(states == "*+"));
    }
}

#[test]
fn hysteresis_takes_log_ten_over_log_k_updates() {
    // The far one is alone first, then a source of a tenth of its distance joins.
    let settings = SelectionSettings {
        reselect_distance_s: 0.0,
        ..SelectionSettings::default()
    };
    let mut world = World::with(sources(&[(0.0, 0.4), (0.0, 0.1)]), settings);
    world.poll(&[0]);
    world.poll(&[0]);
    world.poll(&[0]);
    world.poll(&[0]);
    world.poll(&[0]);
    assert_eq!(world.selector.selected(), Some(1));
    let mut runs = 0;
    while world.selector.selected() == Some(1) {
        world.poll(&[0, 1]);
        runs += 1;
        assert!(runs < 20);
    }
    // Both trigger updates: k ≈ 4 per run, two runs a poll, from its third sample on.
    assert!((3..=5).contains(&runs), "{runs}");
    assert!(
        world
            .messages()
            .contains(&"Selected source 192.0.2.2".into())
    );
}

#[test]
fn equal_distances_never_switch() {
    let mut world = World::new(sources(&[(0.0, 0.01), (0.0, 0.01)]));
    world.poll_all(4);
    let first = world.selector.selected();
    world.poll_all(100);
    assert_eq!(world.selector.selected(), first);
}

#[test]
fn a_new_source_needs_a_pending_update() {
    let mut all = sources(&[(0.0, 0.01), (0.0, 0.1)]);
    all[0].options.prefer = true;
    let mut world = World::new(all);
    world.poll_all(4);
    // The reference was updated by the selected source after the other's last sample.
    world.polls += 1;
    world.sample(0);
    assert_eq!(world.states(), "*P");
    world.sources[0].options.noselect = true;
    world.select(None);
    assert_eq!(world.states(), "NU");
    assert_eq!(world.selector.selected(), None);
    world.poll(&[1]);
    assert_eq!(world.states(), "N*");
}

#[test]
fn leap_votes_need_more_than_half() {
    let mut world = World::new(sources(&[
        (0.0, 0.01),
        (0.0, 0.01),
        (0.0, 0.01),
        (0.0, 0.01),
    ]));
    world.sources[0].leap = LeapIndicator::InsertSecond;
    world.sources[1].leap = LeapIndicator::InsertSecond;
    world.poll_all(4);
    let leap = |world: &World| {
        let views: Vec<_> = world.sources.iter().map(Source::view).collect();
        world.selector.voted_leap(&views)
    };
    assert_eq!(leap(&world), LeapIndicator::Normal);
    world.sources[2].leap = LeapIndicator::InsertSecond;
    assert_eq!(leap(&world), LeapIndicator::InsertSecond);
    for source in &mut world.sources {
        source.leap = LeapIndicator::DeleteSecond;
    }
    world.poll_all(1);
    assert_eq!(leap(&world), LeapIndicator::DeleteSecond);
}

#[test]
fn unsynchronised_far_jittery_and_bad_strata_are_left_out() {
    let mut all = sources(&[
        (0.0, 0.01),
        (0.0, 0.01),
        (0.0, 4.0),
        (0.0, 0.01),
        (0.0, 0.01),
    ]);
    all[1].leap = LeapIndicator::Unsynchronised;
    all[3].jitter_s = 2.0;
    all[4].stratum = 12;
    let settings = SelectionSettings {
        max_stratum: 10,
        ..SelectionSettings::default()
    };
    let mut world = World::with(all, settings);
    world.poll_all(4);
    assert_eq!(world.states(), "*sd~r");
    assert_eq!(world.messages(), ["Selected source 192.0.2.1"]);
    // The message needs four selections of that source in a row.
    for _ in 0..6 {
        world.polls += 1;
        world.sample(2);
    }
    assert_eq!(
        world.messages(),
        ["Root distance of 192.0.2.3 exceeds maxdistance of 3.000 seconds"]
    );
    assert_eq!(world.replace, Some(3));
    for _ in 0..6 {
        world.polls += 1;
        world.sample(3);
        world.polls += 1;
    }
    for _ in 0..6 {
        world.polls += 1;
        world.sample(4);
    }
    let messages = world.messages();
    assert_eq!(
        messages,
        [
            "Jitter of 192.0.2.4 exceeds maxjitter of 1.000 seconds",
            "Stratum of 192.0.2.5 above maxstratum of 10"
        ]
    );
}

#[test]
fn messages_are_silent_outside_normal_mode() {
    let settings = SelectionSettings {
        messages: false,
        ..SelectionSettings::default()
    };
    let mut world = World::with(sources(&[(0.0, 0.01)]), settings);
    world.poll_all(4);
    assert_eq!(world.states(), "*");
    for _ in 0..12 {
        world.poll(&[]);
    }
    assert!(world.messages().is_empty());
}

#[test]
fn the_smallest_reference_id_serves_in_orphan_mode() {
    let orphan = |local_reference_id| {
        let mut all = sources(&[(0.0, 0.01), (0.0, 0.01)]);
        for source in &mut all {
            source.stratum = 10;
            source.local_reference_id = local_reference_id;
        }
        let settings = SelectionSettings {
            orphan_stratum: Some(10),
            ..SelectionSettings::default()
        };
        let mut world = World::with(all, settings);
        world.poll_all(4);
        world
    };
    assert_eq!(orphan(Some(u32::MAX)).states(), "*O");
    assert_eq!(orphan(Some(0)).states(), "OO");
    let mut unknown = orphan(None);
    assert_eq!(unknown.states(), "OO");
    assert!(unknown.journal.drain().any(|entry| entry
        == Entry::Message {
            severity: Severity::Error,
            text: "Unknown local refid in orphan mode".into(),
            stepped_s: 0.0,
        }));
    // A source of a better stratum makes orphans unnecessary.
    let mut all = sources(&[(0.0, 0.01), (0.0, 0.01)]);
    all[0].stratum = 10;
    let settings = SelectionSettings {
        orphan_stratum: Some(10),
        ..SelectionSettings::default()
    };
    let mut world = World::with(all, settings);
    world.poll_all(4);
    assert_eq!(world.states(), "O*");
}

#[test]
fn authentication_changes_options() {
    let effective = |mode, authenticated: [bool; 2]| {
        let mut all = sources(&[(0.0, 0.01), (0.0, 0.01), (0.0, 0.01)]);
        all[0].authenticated = authenticated[0];
        all[1].authenticated = authenticated[1];
        all[2].kind = SourceKind::ReferenceClock;
        let settings = SelectionSettings {
            auth_select_mode: mode,
            ..SelectionSettings::default()
        };
        let world = World::with(all, settings);
        let mut selector = world.selector.clone();
        let views: Vec<_> = world.sources.iter().map(Source::view).collect();
        selector.refresh_options(&views);
        let letters =
            |view| -> String { selector.report(view).effective.letters().iter().collect() };
        views.iter().map(letters).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        effective(AuthSelectMode::Mix, [true, false]),
        "--TR ---- --TR"
    );
    assert_eq!(
        effective(AuthSelectMode::Mix, [true, true]),
        "---- ---- ----"
    );
    assert_eq!(
        effective(AuthSelectMode::Mix, [false, false]),
        "---- ---- ----"
    );
    assert_eq!(
        effective(AuthSelectMode::Prefer, [true, false]),
        "---- N--- ----"
    );
    assert_eq!(
        effective(AuthSelectMode::Prefer, [false, false]),
        "---- ---- ----"
    );
    assert_eq!(
        effective(AuthSelectMode::Require, [true, false]),
        "---- N--- ----"
    );
    assert_eq!(
        effective(AuthSelectMode::Require, [false, false]),
        "N--- N--- ----"
    );
    assert_eq!(
        effective(AuthSelectMode::Ignore, [true, false]),
        "---- ---- ----"
    );
}

#[test]
fn the_line_of_the_selection_log() {
    let mut world = World::new(sources(&[(0.25, 0.01)]));
    world.poll_all(2);
    world.journal.enable(LogFile::Selection, true);
    world.journal.drain();
    world.poll_all(1);
    let lines: Vec<_> = world.journal.drain().collect();
    let [
        _,
        Entry::Line {
            file: LogFile::Selection,
            text,
        },
    ] = lines.as_slice()
    else {
        panic!("{lines:?}")
    };
    assert!(
        text.starts_with("2026-09-21 14:14:08 192.0.2.1       * -----    7  1.00  5.000e-01  "),
        "{text}"
    );
    let ends: Vec<f64> = text
        .split_whitespace()
        .skip(8)
        .map(|word| word.parse().expect("number"))
        .collect();
    assert!(
        (ends[0] - 0.24).abs() < 2e-3 && (ends[1] - 0.26).abs() < 2e-3,
        "{text}"
    );
}

#[test]
fn a_single_sample_suffices_with_maxsamples_one() {
    let mut all = sources(&[(0.5, 0.01)]);
    all[0].statistics = SourceStatistics::new(StatisticsSettings {
        max_samples: 1,
        ..StatisticsSettings::default()
    });
    let mut world = World::new(all);
    world.poll_all(1);
    assert_eq!(world.states(), "*");
    let Outcome::Update(update) = world.outcome else {
        panic!()
    };
    assert_eq!(update.offset_s, 0.5);
    assert_eq!(update.skew, 2000e-6);
}

#[test]
fn the_reselect_distance_command() {
    let mut journal = Journal::new();
    let mut selector = Selector::default();
    selector.set_reselect_distance(1e-4, &mut journal);
    assert!(journal.is_empty());
    selector.set_reselect_distance(0.01, &mut journal);
    let text = "New reselect distance 0.010000".to_owned();
    assert!(journal.drain().eq([Entry::Message {
        severity: Severity::Info,
        text,
        stepped_s: 0.0,
    }]));
}

#[test]
fn reselect_forgets_and_chooses_again() {
    let mut world = World::new(sources(&[(0.0, 0.2)]));
    world.poll_all(4);
    assert!(world.now() > CookedTime::ZERO);
    world.selector.reselect();
    world.select(None);
    assert_eq!(world.states(), "U");
    world.poll_all(1);
    assert_eq!(world.states(), "*");
}

fn any_source() -> impl Strategy<Value = (f64, f64, f64, u8, u8, u8)> {
    let offset = prop_oneof![Just(0.0), -1.0..1.0_f64, -1e9..1e9_f64];
    (
        offset,
        1e-6..2.0_f64,
        0.0..0.01_f64,
        0..16_u8,
        0..16_u8,
        0..4_u8,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_selection_is_sane(
        descriptions in proptest::collection::vec(any_source(), 0..7),
        events in proptest::collection::vec((0..7_usize, any::<bool>()), 1..60),
        orphan_stratum in proptest::option::of(1..16_u8),
        min_sources in 0..3_u32,
    ) {
        let mut all = Vec::new();
        for (key, (offset, distance, jitter, stratum, options, leap)) in (1..).zip(descriptions) {
            let mut source = Source::new(key, offset, distance);
            source.jitter_s = jitter;
            source.stratum = stratum;
            source.leap = LeapIndicator::from_bits(leap);
            source.options = SelectOptions {
                noselect: options & 7 == 7,
                prefer: options & 2 != 0,
                trust: options & 4 != 0,
                require: options & 9 == 9,
            };
            all.push(source);
        }
        let settings =
            SelectionSettings { orphan_stratum, min_sources, ..SelectionSettings::default() };
        let mut world = World::with(all, settings);
        for (index, all_at_once) in events {
            if all_at_once {
                world.poll_all(1);
            } else {
                world.poll(&[index]);
            }
            let states = world.states();
            prop_assert!(states.matches('*').count() <= 1, "{}", states);
            let selected = world.sources.iter().find(|source| {
                world.selector.state(source.key) == SourceState::Selected
            });
            if let Some(source) = selected {
                prop_assert_eq!(world.selector.selected(), Some(source.key));
            }
            if let Outcome::Update(update) = world.outcome {
                prop_assert_eq!(world.selector.selected(), Some(update.key));
                let numbers = [
                    update.offset_s, update.offset_sd_s, update.frequency, update.frequency_sd,
                    update.skew, update.root_delay_s, update.root_dispersion_s,
                ];
                prop_assert!(numbers.iter().all(|number| number.is_finite()), "{:?}", update);
            }
            for source in &world.sources {
                prop_assert!(world.selector.report(&source.view()).score.is_finite());
            }
        }
    }
}
