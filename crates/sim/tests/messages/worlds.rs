//! Small worlds that together say everything.

use control_wire::{
    Address, Local, ModifyMakeStep, ModifySelectOptions, Request, SelectOptions, SetTime,
    SingleAddress, SingleFloat, SingleOption, SourceFlags, Timespec,
};
use discipline::journal::{Entry, Severity};
use engine::engine::Mode;
use ntp_wire::LeapIndicator;
use sim::World;
use sim::clock::TrueTime;
use sim::driver::SimKernel;
use sim::scenario::{ClientSetup, START, add_client, add_server, server_address};
use sim::world::NodeId;

use crate::support::{FAST, command, lan, oscillator, run_for};

/// What was said, and how loud.
type Said = Vec<(Severity, String)>;

/// 2026-07-01 00:00:00 UTC.
const LEAP_DAY_END: TrueTime = TrueTime(1_782_864_000 * 1_000_000_000);

/// A list with the leap second of 2012 that lists are tested with; it ends in 2027.
const LEAP_LIST: &str = "#$ 3676924800\n#@ 4008000000\n2272060800 10\n3439756800 34\n\
    3550089600 35\n3692217600 37\n";

/// Everything that the worlds of this file say.
pub(crate) fn all() -> Said {
    let worlds: [fn(&mut Said); 14] = [
        clock_changes,
        foreign_steps,
        selection_of_one,
        selection_of_many,
        trust_and_requirements,
        limits_of_changes,
        commands,
        manual_input,
        leap_seconds,
        leap_databases,
        saved_state,
        temperature,
        smoothing,
        special_modes,
    ];
    let mut said = Said::new();
    for world in worlds {
        world(&mut said);
    }
    said
}

fn listen(world: &World, id: NodeId, said: &mut Said) {
    let client = world.client(id).expect("a client");
    for (_, entry) in &client.journal {
        if let Entry::Message { severity, text, .. } = entry {
            said.push((*severity, text.clone()));
        }
    }
}

fn with<'a>(directives: &'a [&'a str], offset_s: f64) -> ClientSetup<'a> {
    ClientSetup {
        directives,
        oscillator: oscillator(offset_s, 1e-5),
        ..ClientSetup::default()
    }
}

/// Runs a client of servers with these offsets.
fn run(offsets_s: &[f64], setup: &ClientSetup<'_>, seconds: f64, said: &mut Said) {
    let (mut world, id) = crate::support::world_of(offsets_s, setup, &lan());
    run_for(&mut world, seconds);
    listen(&world, id, said);
}

fn clock_changes(said: &mut Said) {
    let stepping = [FAST[0], "makestep 1 3"];
    run(&[0.0], &with(&stepping, 5.0), 100.0, said);
    let mut refusing = with(&stepping, 5.0);
    refusing.kernel.steps = false;
    run(&[0.0], &refusing, 100.0, said);
    let found = ClientSetup {
        kernel: SimKernel {
            frequency_ppm: 12.5,
            ..SimKernel::default()
        },
        ..with(FAST, 0.0)
    };
    run(&[0.0], &found, 10.0, said);
}

fn foreign_steps(said: &mut Said) {
    let quick = ["server 192.0.2.1 iburst minpoll 0 maxpoll 0"];
    let (mut world, id) = crate::support::world_of(&[0.0], &with(&quick, 0.0), &lan());
    for step_s in [3600.0, -3600.0, -5.0] {
        run_for(&mut world, 60.0);
        world
            .client(id)
            .expect("a client")
            .clock
            .lock()
            .step(step_s);
    }
    run_for(&mut world, 60.0);
    listen(&world, id, said);
}

fn selection_of_one(said: &mut Said) {
    for directives in [
        [FAST[0], "minstratum 5"],
        [FAST[0], "maxdistance 0.00001"],
        [FAST[0], "maxjitter 0.0000001"],
    ] {
        run(&[0.0], &with(&directives, 0.0), 400.0, said);
    }
    let (mut world, id) =
        crate::support::world_of(&[0.0], &with(&[FAST[0], "maxstratum 3"], 0.0), &lan());
    world.server_mut(0).expect("a server").announcement.stratum = 9;
    run_for(&mut world, 400.0);
    listen(&world, id, said);
    // The server dies.
    let (mut world, id) = crate::support::world_of(&[0.0], &with(FAST, 0.0), &lan());
    run_for(&mut world, 200.0);
    world.server_mut(0).expect("a server").answers = false;
    run_for(&mut world, 400.0);
    listen(&world, id, said);
}

fn lines(options: &[&str]) -> Vec<String> {
    let lines = (1..).zip(options).map(|(number, options)| {
        format!("server 192.0.2.{number} iburst minpoll 4 maxpoll 4 {options}")
    });
    lines.collect()
}

fn run_many(offsets_s: &[f64], options: &[&str], more: &[&str], said: &mut Said) {
    let lines = lines(options);
    let directives: Vec<&str> = lines
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect();
    run(offsets_s, &with(&directives, 0.0), 400.0, said);
}

fn selection_of_many(said: &mut Said) {
    run_many(&[0.0, 0.0, 0.0, 1.0], &[""; 4], &[], said);
    run_many(&[0.0, 1.0], &[""; 2], &[], said);
    run_many(&[0.0, 0.0, 1.0, -1.0, 2.0], &[""; 5], &[], said);
}

fn trust_and_requirements(said: &mut Said) {
    run_many(&[0.0, 1.0, 0.0], &["trust", "trust", ""], &[], said);
    run_many(&[0.0, 0.0, 1.0, 2.0], &["trust"; 4], &[], said);
    // A requirement that fails, and too few, after a selection was there.
    for (options, more) in [
        (["", "require"], "minsources 1"),
        (["", ""], "minsources 2"),
    ] {
        let lines = lines(&options);
        let directives = [lines[0].as_str(), &lines[1], more];
        let (mut world, id) =
            crate::support::world_of(&[0.0, 0.0], &with(&directives, 0.0), &lan());
        run_for(&mut world, 200.0);
        world.server_mut(1).expect("a server").answers = false;
        // An unreachable source counts until its samples are older than all of the others'.
        run_for(&mut world, 3000.0);
        listen(&world, id, said);
    }
}

fn limits_of_changes(said: &mut Said) {
    run(
        &[0.0],
        &with(&[FAST[0], "maxchange 0.1 0 2"], 0.5),
        200.0,
        said,
    );
    run(&[0.0], &with(FAST, 5.0), 100.0, said);
}

fn number(value: f64) -> SingleFloat {
    SingleFloat {
        value: value.into(),
    }
}

fn commands(said: &mut Said) {
    let address = Address::from(server_address(1).ip());
    let local = |on_off| Local {
        on_off,
        stratum: 5,
        distance_s: 1.0.into(),
        orphan: 0,
        activate_s: 0.0.into(),
        wait_synced_s: 0.0.into(),
        wait_unsynced_s: 0.0.into(),
    };
    let (mut world, id) = crate::support::world_of(&[0.0], &with(FAST, 0.0), &lan());
    run_for(&mut world, 100.0);
    for request in [
        Request::AdjustFrequency(number(0.5)),
        Request::AdjustFrequency(number(1e9)),
        Request::AdjustOffset(number(1e-3)),
        Request::AdjustOffset(number(1e12)),
        Request::ModifyMakeStep(ModifyMakeStep {
            limit: 3,
            threshold_s: 1.0.into(),
        }),
        Request::ModifyMaxUpdateSkew(number(100.0)),
        Request::ReselectDistance(number(1e-3)),
        Request::ModifySelectOptions(ModifySelectOptions {
            address,
            ref_id: 0,
            mask: SelectOptions::PREFER.0.into(),
            options: SourceFlags::PREFER,
        }),
        Request::Local(local(1)),
        Request::Local(local(0)),
        Request::ResetSources,
        Request::DelSource(SingleAddress { address }),
    ] {
        command(&mut world, id, &request);
        run_for(&mut world, 100.0);
    }
    listen(&world, id, said);
}

fn manual_input(said: &mut Said) {
    let (mut world, id) = crate::support::world_of(&[], &with(&["manual"], 0.1), &lan());
    for _ in 0..3 {
        run_for(&mut world, 100.0);
        let seconds = (world.now().0 / 1_000_000_000) as u64;
        let time = Timespec {
            seconds_high: (seconds >> 32) as u32,
            seconds_low: seconds as u32,
            ..Timespec::default()
        };
        command(&mut world, id, &Request::SetTime(SetTime { time }));
    }
    listen(&world, id, said);
}

/// A client of a server that announces (and makes) a leap second.
fn leap_world(leap: LeapIndicator, setup: &ClientSetup<'_>, said: &mut Said) {
    let mut world = World::new(LEAP_DAY_END.plus(-300.0), 3);
    let server = add_server(&mut world, 1, 0.0);
    world
        .server_mut(server)
        .expect("a server")
        .announcement
        .leap = leap;
    let id = add_client(&mut world, 1, setup, &lan()).expect("configuration");
    run_for(&mut world, 200.0);
    if setup.oscillator.offset_s > 0.0 {
        // It takes its word back.
        world
            .server_mut(server)
            .expect("a server")
            .announcement
            .leap = LeapIndicator::Normal;
    }
    run_for(&mut world, 200.0);
    listen(&world, id, said);
}

fn leap_seconds(said: &mut Said) {
    let insert = LeapIndicator::InsertSecond;
    for mode in ["leapsecmode step", "leapsecmode slew", "leapsecmode ignore"] {
        let directives = ["server 192.0.2.1 iburst minpoll 2 maxpoll 2", mode];
        leap_world(insert, &with(&directives, 0.0), said);
    }
    for (leap, offset_s) in [
        (insert, 0.0),
        (LeapIndicator::DeleteSecond, 0.0),
        (insert, 1e-3),
    ] {
        let mut setup = with(FAST, offset_s);
        setup.kernel.leap_seconds = true;
        leap_world(leap, &setup, said);
    }
}

/// A file of a time zone with the leap seconds up to 2012 and one more (RFC 9636).
fn zone_file() -> Vec<u8> {
    let header = |leaps: u32| {
        let counts = [0, 0, leaps, 0, 1, 4].map(u32::to_be_bytes).concat();
        [b"TZif2".as_slice(), &[0; 15], &counts].concat()
    };
    let types = b"\0\0\0\0\0\0UTC\0";
    let leaps = [
        (1_230_768_023_i64, 24_i32),
        (1_341_100_824, 25),
        (1_483_228_825, 26),
    ];
    let mut file = [&header(0)[..], types, &header(leaps.len() as u32), types].concat();
    for (time, correction) in leaps {
        file.extend(time.to_be_bytes());
        file.extend(correction.to_be_bytes());
    }
    file.extend(b"\nUTC0\n");
    file
}

fn leap_databases(said: &mut Said) {
    let zone = zone_file();
    let ended = LEAP_LIST.replace("4008000000", "3900000000");
    let path = "/usr/share/zoneinfo/right/UTC";
    for (directive, file, content) in [
        ("leapseclist /list", "/list", LEAP_LIST.as_bytes()),
        ("leapseclist /list", "/list", ended.as_bytes()),
        ("leapseclist /list", "/list", b"garbage\n"),
        (
            "leapseclist /list",
            "/list",
            b"#$ 1\n#@ 4000000000\n2272060800 10\n",
        ),
        ("leapseclist /list", "/another", b""),
        ("leapsectz right/UTC", path, &zone),
        ("leapsectz right/UTC", path, b"garbage"),
        ("leapsectz right/UTC", "/another", b""),
    ] {
        let (directives, files) = ([FAST[0], directive], [(file, content)]);
        let mut setup = with(&directives, 0.0);
        setup.files = &files;
        setup.kernel.leap_seconds = true;
        run(&[0.0], &setup, 100.0, said);
    }
}

fn saved_state(said: &mut Said) {
    let directives = [FAST[0], "driftfile /drift"];
    for drift in ["10 0.1\n", "garbage\n"] {
        let files = [("/drift", drift.as_bytes())];
        let mut setup = with(&directives, 0.0);
        setup.files = &files;
        run(&[0.0], &setup, 10.0, said);
    }
    let (mut world, id) = crate::support::world_of(&[0.0], &with(FAST, 0.0), &lan());
    run_for(&mut world, 300.0);
    world.command(id, |engine, _| engine.dump_sources());
    let dumps = world.client(id).expect("a client").files.clone();
    let cut = dumps
        .iter()
        .map(|(name, text)| (name.clone(), text[..text.len() / 2].to_owned()));
    for (number, dumps) in [(2, dumps.clone()), (3, cut.collect())] {
        let setup = ClientSetup {
            dumps,
            ..with(FAST, 0.0)
        };
        let id = add_client(&mut world, number, &setup, &lan()).expect("configuration");
        listen(&world, id, said);
    }
}

fn temperature(said: &mut Said) {
    let directives = [FAST[0], "tempcomp /sensor 10 20 0 1 0"];
    for temperature in [None, Some(25.0), Some(35.0)] {
        let setup = ClientSetup {
            temperature,
            ..with(&directives, 0.0)
        };
        run(&[0.0], &setup, 30.0, said);
    }
    let directives = [FAST[0], "tempcomp /sensor 10 /points"];
    for points in ["20 1.0\n", "20 1.0\nwords\n"] {
        let files = [("/points", points.as_bytes())];
        let mut setup = with(&directives, 0.0);
        setup.files = &files;
        let refused = add_client(&mut World::new(START, 1), 1, &setup, &lan());
        said.push((Severity::Fatal, refused.expect_err("a fatal message")));
    }
}

fn smoothing(said: &mut Said) {
    for directive in ["smoothtime 400 0.01", "smoothtime 400 0.01 leaponly"] {
        let directives = [FAST[0], directive];
        let (mut world, id) = crate::support::world_of(&[0.0], &with(&directives, 0.01), &lan());
        run_for(&mut world, 100.0);
        for option in [1, 0] {
            command(
                &mut world,
                id,
                &Request::SmoothTime(SingleOption { option }),
            );
        }
        listen(&world, id, said);
    }
}

fn special_modes(said: &mut Said) {
    for (mode, address) in [
        (Mode::UpdateOnce, "192.0.2.1"),
        (Mode::PrintOnce, "192.0.2.1"),
        (Mode::PrintOnce, "192.0.2.9"),
    ] {
        let line = format!("server {address} iburst");
        let directives = [line.as_str()];
        let setup = ClientSetup {
            mode,
            ..with(&directives, 0.3)
        };
        run(&[0.0], &setup, 600.0, said);
    }
    for (offset_s, threshold) in [(2.0, 1), (-2.0, 1), (2.0, 10), (-2.0, 10)] {
        let line = format!("initstepslew {threshold} 192.0.2.1 unknown.example");
        run(&[0.0], &with(&[&line], offset_s), 60.0, said);
    }
    run(
        &[0.0],
        &with(&["initstepslew 1 192.0.2.9"], 0.0),
        100.0,
        said,
    );
}
