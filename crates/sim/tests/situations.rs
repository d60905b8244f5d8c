//! Whole engines in situations that go wrong: what they say and where their clocks end.

mod support;

use discipline::reference::Mode;
use sim::World;
use sim::clock::TrueTime;
use sim::link::{Jitter, Link, Path};
use sim::scenario::{ClientSetup, START, add_client, add_server, messages};

use support::{FIVE, error_after, has, lan, oscillator, pair, pair_in_mode};

#[test]
fn a_large_offset_is_stepped_when_allowed() {
    let directives = ["server 192.0.2.1 iburst", "makestep 1 3"];
    let (mut world, client) = pair(&directives, oscillator(1000.0, 1e-5), &lan());
    let error_s = error_after(&mut world, client, 10.0);
    assert!(error_s < 1e-3, "{error_s} {:#?}", messages(&world, client));
    assert!(has(&world, client, "System clock wrong by -1000.0"));
    assert!(has(&world, client, "System clock was stepped by -1000.0"));
}

#[test]
fn a_large_offset_is_slewed_otherwise() {
    let (mut world, client) = pair(&["server 192.0.2.1 iburst"], oscillator(10.0, 1e-5), &lan());
    // At 83 333 ppm ten seconds take two minutes.
    assert!(error_after(&mut world, client, 60.0) > 1.0);
    assert!(error_after(&mut world, client, 80.0) < 1e-3);
    assert!(has(&world, client, "System clock wrong by -10.0"));
    assert!(!has(&world, client, "stepped"));
}

#[test]
fn a_frequency_error_of_five_percent() {
    let (mut world, client) = pair(&["server 192.0.2.1 iburst"], oscillator(0.1, 0.05), &lan());
    assert!(error_after(&mut world, client, 2000.0) < 1e-3);
}

#[test]
fn three_false_servers_are_outvoted_only_by_a_majority() {
    for (offsets, majority) in [
        ([0.0, 0.0, 0.0, 0.5, 0.9], true),
        ([0.0, 0.0, 0.5, 0.9, -0.7], false),
    ] {
        let mut world = World::new(START, 3);
        for (number, offset_s) in (1..).zip(offsets) {
            add_server(&mut world, number, offset_s);
        }
        let setup = ClientSetup {
            directives: &FIVE,
            ..ClientSetup::default()
        };
        let client = add_client(&mut world, 1, &setup, &lan()).unwrap();
        let error_s = error_after(&mut world, client, 600.0);
        if majority {
            assert!(error_s < 1e-3, "{error_s}");
            assert!(has(&world, client, "Detected falseticker 192.0.2.4"));
            assert!(has(&world, client, "Detected falseticker 192.0.2.5"));
        } else {
            let text = "Can't synchronise: no majority (only 2 of 5 sources agree)";
            assert!(has(&world, client, text), "{:#?}", messages(&world, client));
        }
    }
}

#[test]
fn a_dead_link_loses_the_selection_eight_polls_later() {
    let directives = ["server 192.0.2.1 iburst minpoll 4 maxpoll 4"];
    let mut link = lan();
    link.outages.push((START.plus(1000.0), START.plus(2000.0)));
    let (mut world, client) = pair(&directives, oscillator(0.01, 1e-5), &link);
    let text = "Can't synchronise: no selectable sources (1 unreachable sources)";
    world.run_until(START.plus(1000.0 + 7.0 * 16.0));
    assert!(!has(&world, client, text));
    world.run_until(START.plus(1000.0 + 9.5 * 16.0));
    assert!(has(&world, client, text), "{:#?}", messages(&world, client));
    assert!(error_after(&mut world, client, 1500.0) < 1e-3);
    let selected = messages(&world, client);
    let selected = selected
        .iter()
        .filter(|text| text.starts_with("Selected source"));
    assert_eq!(selected.count(), 2);
}

#[test]
fn half_of_the_exchanges_lost() {
    let path = Path {
        loss: 0.3,
        ..Path::new(1e-4, Jitter::Exponential(2e-5))
    };
    let (mut world, client) = pair(
        &["server 192.0.2.1 iburst minpoll 4 maxpoll 4"],
        oscillator(0.05, 3e-5),
        &Link::symmetric(path),
    );
    assert!(error_after(&mut world, client, 4000.0) < 1e-3);
}

#[test]
fn a_foreign_step_of_an_hour_is_found_and_undone() {
    let directives = [
        "server 192.0.2.1 iburst minpoll 4 maxpoll 4",
        "makestep 1 -1",
    ];
    for (step_s, text) in [
        (3600.0, "Forward time jump detected!"),
        (-3600.0, "Backward time jump detected!"),
    ] {
        let (mut world, client) = pair(&directives, oscillator(0.01, 1e-5), &lan());
        world.run_until(START.plus(1000.0));
        world.client(client).unwrap().clock.lock().step(step_s);
        let error_s = error_after(&mut world, client, 300.0);
        assert!(has(&world, client, text), "{:#?}", messages(&world, client));
        assert!(error_s < 1e-3, "{error_s} {:#?}", messages(&world, client));
    }
}

#[test]
fn too_large_a_change_ends_the_daemon() {
    let directives = ["server 192.0.2.1 minpoll 4 maxpoll 4", "maxchange 0.1 0 2"];
    let (mut world, client) = pair(&directives, oscillator(0.5, 0.0), &lan());
    world.run_until(START.plus(200.0));
    let said = messages(&world, client);
    let ignored = said.iter().filter(|text| text.ends_with("(ignored) "));
    let exiting = said.iter().filter(|text| text.ends_with("(exiting) "));
    assert_eq!((ignored.count(), exiting.count()), (2, 1), "{said:#?}");
    assert_eq!(world.client(client).unwrap().exit_status, Some(1));
}

#[test]
fn the_ntp_era_rolls_over() {
    // 2036-02-07 06:28:16 UTC
    let rollover = TrueTime(2_085_978_496 * 1_000_000_000);
    let mut world = World::new(rollover.plus(-1000.0), 9);
    add_server(&mut world, 1, 0.0);
    let setup = ClientSetup {
        directives: &["server 192.0.2.1 iburst minpoll 4 maxpoll 4"],
        ..ClientSetup::default()
    };
    let client = add_client(&mut world, 1, &setup, &lan()).unwrap();
    for _ in 0..20 {
        let error_s = error_after(&mut world, client, 100.0);
        assert!(error_s < 1e-3, "{error_s} {:#?}", messages(&world, client));
    }
    assert_eq!(messages(&world, client), ["Selected source 192.0.2.1"]);
}

#[test]
fn setting_the_clock_once() {
    let directives = ["server 192.0.2.1 iburst"];
    let (mut world, client) =
        pair_in_mode(&directives, oscillator(5.0, 0.0), &lan(), Mode::UpdateOnce);
    let error_s = error_after(&mut world, client, 20.0);
    let said = messages(&world, client);
    let amount_s = said.iter().find_map(|text| {
        let rest = text.strip_prefix("System clock wrong by ")?;
        rest.strip_suffix(" seconds (step)")?.parse::<f64>().ok()
    });
    let amount_s = amount_s.unwrap_or_else(|| panic!("no such message in {said:#?}"));
    assert!((amount_s + 5.0).abs() < 1e-3, "{amount_s}");
    assert!(error_s < 1e-3, "{error_s} {:#?}", messages(&world, client));
    assert_eq!(world.client(client).unwrap().exit_status, Some(0));
}

#[test]
fn nobody_answers_a_clock_to_be_set_once() {
    let directives = ["server 192.0.2.9 iburst"];
    let (mut world, client) =
        pair_in_mode(&directives, oscillator(5.0, 0.0), &lan(), Mode::UpdateOnce);
    let error_s = error_after(&mut world, client, 600.0);
    assert!(has(
        &world,
        client,
        "No suitable source for synchronisation"
    ));
    assert!((error_s - 5.0).abs() < 1e-3);
    assert_eq!(world.client(client).unwrap().exit_status, Some(1));
}
