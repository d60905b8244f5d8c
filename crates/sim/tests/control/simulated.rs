//! `sim.tsv`: daemons that steer their clocks.

use std::net::IpAddr;

use control_wire::Reply;
use engine::event::TimestampSource;
use ntp_wire::LeapIndicator;
use sim::World;
use sim::clock::{Oscillator, SimClock, TrueTime};
use sim::equipment::Chip;
use sim::link::{Jitter, Link, Path};
use sim::scenario::{ClientSetup, add_client};
use sim::server::{Announcement, SimServer};
use sim::world::NodeId;

use super::exchanges::lines;
use super::replay::{Exchange, Replay, Tally, run_for};

/// 2010-01-01 00:00:00 UTC.
const NEW_YEAR_2010: TrueTime = TrueTime(1_262_304_000 * 1_000_000_000);
/// 2008-12-31 08:00:00 UTC, before a leap second.
const BEFORE_LEAP: TrueTime = TrueTime(1_230_710_400 * 1_000_000_000);

/// A leap second list with the leap second at the end of 2008.
const LEAP_SECONDS: &str =
    "#$ 3676924800\n#@ 4102444800\n3345062400 33\n3439756800 34\n3550089600 35\n";
const LEAP_FILE: &str = "/leap-seconds.list";

/// A server with a perfect clock.
#[derive(Clone, Copy)]
struct Server {
    /// Last number of its address.
    number: u8,
    stratum: u8,
    offset_s: f64,
    leap: LeapIndicator,
    reference: [u8; 4],
}

const fn server(number: u8, stratum: u8) -> Server {
    Server {
        number,
        stratum,
        offset_s: 0.0,
        leap: LeapIndicator::Normal,
        reference: [127, 127, 1, 1],
    }
}

const PRIMARY: &[Server] = &[server(1, 1)];

/// A daemon in a state of the recordings.
struct State {
    note: &'static str,
    start: TrueTime,
    /// How long it runs before the first command, seconds.
    after_s: f64,
    /// Last number of the daemon's address.
    number: u8,
    directives: &'static str,
    servers: &'static [Server],
    offset_s: f64,
    delay_s: f64,
    stamps: TimestampSource,
    /// For how long cards are not known well enough to stamp at first, and for how long at the
    /// end the stamps of requests are lost, seconds.
    kernel_stamps_s: f64,
    without_stamps_s: f64,
    /// Offset of the real-time clock chip.
    chip_s: Option<f64>,
    precision_s: f64,
    /// Another daemon: its directives and the last number of its address.
    peer: Option<&'static str>,
    peer_number: u8,
    seed: u64,
}

impl State {
    const fn new(note: &'static str, after_s: f64, number: u8, directives: &'static str) -> Self {
        Self {
            note,
            start: NEW_YEAR_2010,
            after_s,
            number,
            directives,
            servers: PRIMARY,
            offset_s: 0.0,
            delay_s: 1e-3,
            stamps: TimestampSource::Kernel,
            kernel_stamps_s: 0.0,
            without_stamps_s: 0.0,
            chip_s: None,
            precision_s: 1.0 / 8_388_608.0,
            peer: None,
            peer_number: 3,
            seed: 0,
        }
    }

    fn build(&self, world: &mut World) -> NodeId {
        for server in self.servers {
            let oscillator = Oscillator {
                offset_s: server.offset_s,
                ..PERFECT
            };
            world.add_server(SimServer {
                address: (address(server.number), 123).into(),
                clock: SimClock::new(world.now(), oscillator, 0),
                announcement: Announcement {
                    leap: server.leap,
                    stratum: server.stratum,
                    reference_id: u32::from_be_bytes(server.reference),
                    precision: -23,
                    root_delay_s: 0.0,
                    root_dispersion_s: 0.0,
                },
                answers: true,
                leap: None,
            });
        }
        let directives: Vec<&str> = self.directives.lines().collect();
        let setup = ClientSetup {
            directives: &directives,
            oscillator: Oscillator {
                offset_s: self.offset_s,
                frequency: 1e-4,
                wander: 1e-9,
            },
            addresses: &[address(self.number)],
            files: &[(LEAP_FILE, LEAP_SECONDS.as_bytes())],
            chip: self.chip_s.map(Chip::new),
            seed: self.seed,
            precision_s: self.precision_s,
            ..ClientSetup::default()
        };
        let link = Link::symmetric(Path::new(self.delay_s, Jitter::Exponential(1e-5)));
        let id = add_client(world, self.number, &setup, &link).unwrap();
        let client = world.client_mut(id).unwrap();
        client.stamps = self.stamps;
        if let Some(directives) = self.peer {
            let directives: Vec<&str> = directives.lines().collect();
            let setup = ClientSetup {
                directives: &directives,
                oscillator: PERFECT,
                addresses: &[address(self.peer_number)],
                precision_s: self.precision_s,
                ..ClientSetup::default()
            };
            let peer = add_client(world, self.peer_number, &setup, &link).unwrap();
            // Cards stamp when their clocks are known.
            world.client_mut(peer).unwrap().stamps = TimestampSource::Kernel;
            run_for(world, 0.9);
            world.client_mut(peer).unwrap().stamps = self.stamps;
        }
        id
    }
}

const PERFECT: Oscillator = Oscillator {
    offset_s: 0.0,
    frequency: 0.0,
    wander: 0.0,
};

fn address(number: u8) -> IpAddr {
    [192, 168, 123, number].into()
}

const ONE_SERVER: &str = "server 192.168.123.1 iburst";
const TWO_SERVERS: &str = "server 192.168.123.1\nserver 192.168.123.2 minpoll 7";

/// Both daemons have cards that stamp; the second is the server.
const HARDWARE: State = State {
    servers: &[],
    stamps: TimestampSource::Hardware,
    // Those of the last requests came too late in the recording.
    kernel_stamps_s: 1.0,
    without_stamps_s: 2.0,
    precision_s: 1.0 / 1_073_741_824.0,
    peer: Some("local stratum 1\nallow"),
    peer_number: 1,
    ..State::new(
        "hardware timestamping, interleaved; client",
        200.0,
        2,
        "server 192.168.123.1 minpoll 0 maxpoll 0 xleave",
    )
};

const STATES: &[State] = &[
    State::new("one server, 1 ms delay, 100 ppm", 3000.0, 2, ONE_SERVER),
    State {
        offset_s: 6.0,
        ..State::new(
            "large offset being slewed slowly",
            1000.0,
            2,
            "server 192.168.123.1 iburst maxpoll 6\nmaxslewrate 1000",
        )
    },
    State {
        chip_s: Some(-10.0),
        ..State::new("RTC driver running", 9900.0, 2, ONE_SERVER)
    },
    State {
        chip_s: Some(-0.3),
        ..State::new("RTC driver running, start of sampling", 60.0, 2, ONE_SERVER)
    },
    State {
        chip_s: Some(-10.0),
        ..State::new("RTC parameters cannot be written", 9900.0, 2, ONE_SERVER)
    },
    HARDWARE,
    State {
        note: "hardware timestamping, interleaved; server",
        kernel_stamps_s: 0.0,
        without_stamps_s: 0.0,
        ..HARDWARE
    },
    State {
        start: BEFORE_LEAP,
        ..State::new(
            "before an inserted leap second (2008-12-31), known from a leap second file",
            3000.0,
            2,
            "server 192.168.123.1 iburst\nleapseclist /leap-seconds.list",
        )
    },
    State {
        start: BEFORE_LEAP,
        servers: &[Server {
            leap: LeapIndicator::InsertSecond,
            reference: [192, 168, 123, 1],
            ..server(2, 2)
        }],
        ..State::new(
            "before an inserted leap second (2008-12-31), announced by the server",
            3000.0,
            3,
            "server 192.168.123.2 iburst",
        )
    },
    State {
        start: BEFORE_LEAP,
        servers: &[Server {
            leap: LeapIndicator::DeleteSecond,
            reference: [192, 168, 123, 1],
            ..server(2, 2)
        }],
        ..State::new(
            "before a deleted leap second, announced by the server",
            3000.0,
            3,
            "server 192.168.123.2 iburst",
        )
    },
    State {
        start: BEFORE_LEAP,
        ..State::new(
            "during the inserted leap second (leapsecmode ignore: clock not corrected)",
            57_600.5,
            2,
            "server 192.168.123.1 iburst\nleapseclist /leap-seconds.list\nleapsecmode ignore",
        )
    },
    State {
        start: BEFORE_LEAP,
        servers: &[Server {
            reference: [192, 168, 123, 1],
            ..server(2, 5)
        }],
        ..State::new(
            "smoothing of a leap second, server with smoothtime leaponly",
            60_000.0,
            3,
            "server 192.168.123.2 iburst\nleapseclist /leap-seconds.list\nleapsecmode slew\n\
             maxslewrate 1000\nsmoothtime 400 0.001 leaponly",
        )
    },
    State {
        delay_s: 1e-2,
        servers: &[
            server(1, 1),
            Server {
                offset_s: 0.008,
                ..server(2, 1)
            },
        ],
        ..State::new(
            "trusted server and an untrusted one overlapping it: state T",
            1500.0,
            3,
            "server 192.168.123.1 iburst trust\nserver 192.168.123.2 iburst",
        )
    },
    State {
        delay_s: 1e-2,
        servers: &[
            server(1, 1),
            server(2, 2),
            Server {
                offset_s: 1.5,
                ..server(3, 3)
            },
        ],
        ..State::new(
            "three servers, one falseticker; second server combined",
            3000.0,
            4,
            "server 192.168.123.1 iburst\nserver 192.168.123.2 iburst\n\
             server 192.168.123.3 iburst\nserver 192.168.123.77 iburst\ncombinelimit 1000",
        )
    },
    State {
        servers: &[server(1, 1), server(2, 2)],
        ..State::new("3.0 s after start without iburst", 3.0, 3, TWO_SERVERS)
    },
    State {
        servers: &[server(1, 1), server(2, 2)],
        ..State::new("66 s after start without iburst", 66.0, 3, TWO_SERVERS)
    },
    State {
        servers: &[server(1, 1), server(2, 2)],
        ..State::new("131 s after start without iburst", 131.0, 3, TWO_SERVERS)
    },
    State {
        servers: &[server(1, 1), server(2, 2)],
        ..State::new(
            "waiting for the second source to get enough samples: state w",
            130.2,
            3,
            "server 192.168.123.1\nserver 192.168.123.2",
        )
    },
    State {
        peer: Some("peer 192.168.123.2 minpoll 7 maxpoll 7"),
        ..State::new(
            "symmetric peers",
            2400.0,
            2,
            "server 192.168.123.1 iburst\npeer 192.168.123.3 minpoll 7 maxpoll 7",
        )
    },
    State {
        servers: &[server(1, 1), server(2, 2)],
        ..State::new(
            "reselect: state U until the next measurement",
            2000.0,
            3,
            "server 192.168.123.1 iburst\nserver 192.168.123.2 iburst\ncombinelimit 1000",
        )
    },
    State {
        delay_s: 1e-2,
        servers: &[server(1, 1), server(2, 1), server(3, 1), server(4, 1)],
        ..State::new(
            "four servers, long run",
            30_000.0,
            5,
            "server 192.168.123.1\nserver 192.168.123.2\nserver 192.168.123.3\n\
             server 192.168.123.4 prefer",
        )
    },
];

/// A server's polls depend on the noise.
fn adapt(reply: Reply) -> Reply {
    match reply {
        Reply::NtpData(mut data) => {
            data.poll = 0;
            Reply::NtpData(data)
        }
        other => other,
    }
}

#[test]
fn sim_tsv() {
    let data = include_str!("../../../../tests/data/control/sim.tsv");
    let rows: Vec<_> = lines(data).collect();
    let mut tally = Tally::default();
    for state in STATES {
        let mut world = World::new(state.start, state.seed);
        let mut id = state.build(&mut world);
        if state.kernel_stamps_s > 0.0 {
            // Of what is received; those of what is sent do not come at all.
            let client = world.client_mut(id).unwrap();
            (client.stamps, client.loses_transmit_stamps) = (TimestampSource::Kernel, true);
            run_for(&mut world, state.kernel_stamps_s);
            let client = world.client_mut(id).unwrap();
            (client.stamps, client.loses_transmit_stamps) = (state.stamps, false);
        }
        let stamped_s = state.after_s - state.kernel_stamps_s - state.without_stamps_s;
        run_for(&mut world, stamped_s);
        if state.without_stamps_s > 0.0 {
            world.client_mut(id).unwrap().loses_transmit_stamps = true;
            run_for(&mut world, state.without_stamps_s);
        }
        if state.note.ends_with("; server") {
            id += 1;
        }
        let mut replay = Replay::default();
        let count = tally.total;
        for row in rows.iter().filter(|row| row[10] == state.note) {
            let exchange = Exchange::new(row);
            run_for(&mut world, 1e-3);
            let difference = replay.exchange(&mut world, id, &exchange, adapt);
            tally.add(exchange.name(), difference);
        }
        assert!(tally.total > count, "{}", state.note);
    }
    tally.print("sim.tsv");
    assert_eq!(rows.len(), 185);
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n\n"));
}
