//! Behaviour that no recording shows: modes, filters, late timestamps, delay tests.

use ntp_wire::{Header, Mode, NtpInterval, NtpShort};

use super::*;

const REMOTE: &str = "192.0.2.1:123";

fn client() -> AssociationConfig {
    let mut config = AssociationConfig::new(AssociationMode::Client);
    (config.min_poll, config.max_poll) = (3, 3);
    config
}

/// A server's answer to `request`, the server's clock being ahead by `offset_s`.
fn answer(request: &Transmission, at: CookedTime, offset_s: f64) -> Header {
    let request = Header::parse(request.payload.as_slice().first_chunk().unwrap());
    let served = NtpTimestamp::from_unix_ns(at.plus(offset_s).as_ns());
    Header {
        version: 4,
        mode: Mode::Server,
        stratum: 2,
        poll_log2: 3,
        precision_log2: -20,
        root_delay: NtpShort::from_seconds(0.001),
        root_dispersion: NtpShort::from_seconds(0.001),
        reference_id: 0xc0a8_0163,
        reference_time: served,
        origin: request.transmit,
        receive: served,
        transmit: NtpTimestamp::from_bits(served.to_bits() + 1),
        ..Header::default()
    }
}

/// One exchange with the given delay, half of it each way.
fn exchange(bench: &mut Bench, delay_s: f64) -> Outcome {
    exchange_changed(bench, delay_s, |_| {})
}

fn exchange_changed(bench: &mut Bench, delay_s: f64, change: impl FnOnce(&mut Header)) -> Outcome {
    let transmission = bench.next_transmission().unwrap();
    let at = bench.cooked;
    bench.sent(at);
    let mut header = answer(&transmission, at.plus(delay_s / 2.0), 0.01);
    change(&mut header);
    let arrival = at.plus(delay_s);
    bench.monotonic = bench.monotonic.plus(delay_s);
    bench.cooked = arrival;
    bench.receive(&header.to_bytes(), arrival)
}

fn messages(bench: &mut Bench) -> Vec<String> {
    bench
        .journal
        .drain()
        .filter_map(|entry| match entry {
            Entry::Message { text, .. } => Some(text),
            Entry::Line { .. } => None,
        })
        .collect()
}

#[test]
fn commands_change_the_mode_and_say_so() {
    let mut bench = Bench::new(client(), REMOTE);
    bench.start();
    assert!(exchange(&mut bench, 1e-3).confirmed);
    assert_eq!(bench.association.reachability().register(), 1);
    let outcome = bench.run(|association, cx| association.set_offline(cx));
    assert_eq!(outcome.active, Some(false));
    assert_eq!(bench.association.next_timeout(), None);
    // Cleared, and one failed update.
    let reach = bench.association.reachability();
    assert_eq!((reach.register(), reach.updates()), (0, 2));
    // Again: nothing happens.
    assert_eq!(
        bench
            .run(|association, cx| association.set_offline(cx))
            .active,
        None
    );
    let outcome = bench.run(|association, cx| association.set_online(cx));
    assert_eq!(outcome.active, Some(true));
    // The interval goes on where it was.
    let wait_s = bench
        .association
        .next_timeout()
        .unwrap()
        .since(bench.monotonic);
    assert!((7.9..8.2).contains(&wait_s), "{wait_s}");
    let expected = ["Source 192.0.2.1 offline", "Source 192.0.2.1 online"];
    assert_eq!(messages(&mut bench), expected);
}

#[test]
fn a_burst_of_an_offline_source_ends_offline() {
    let mut config = client();
    config.connectivity = Connectivity::Offline;
    let mut bench = Bench::new(config, REMOTE);
    bench.start();
    assert_eq!(bench.association.next_timeout(), None);
    let burst = Burst {
        good_samples: 2,
        transmissions: 3,
    };
    let outcome = bench.run(|association, cx| association.start_burst(burst, cx));
    assert_eq!(outcome.active, Some(true));
    assert_eq!(exchange(&mut bench, 1e-3).active, None);
    assert_eq!(exchange(&mut bench, 1e-3).active, Some(false));
    assert_eq!(bench.association.operating_mode(), OperatingMode::Offline);
    // Without any answer it ends after its transmissions.
    bench.run(|association, cx| association.start_burst(burst, cx));
    for _ in 0..3 {
        bench.next_transmission().unwrap();
        let at = bench.cooked;
        bench.sent(at);
    }
    assert!(bench.next_transmission().is_none());
    assert_eq!(bench.association.operating_mode(), OperatingMode::Offline);
}

#[test]
fn failing_sends() {
    let mut config = client();
    config.iburst = true;
    let mut bench = Bench::new(config.clone(), REMOTE);
    bench.start();
    // iburst waits for the network.
    for _ in 0..20 {
        bench.next_transmission().unwrap();
        bench.run(|association, cx| association.handle_sent(Err(crate::event::SendFailed), cx));
        assert!(bench.association.operating_mode().in_burst());
    }
    assert_eq!(bench.association.poll().score(), 0.0);
    config.auto_offline = true;
    config.iburst = false;
    let mut bench = Bench::new(config, REMOTE);
    bench.start();
    bench.next_transmission().unwrap();
    let outcome =
        bench.run(|association, cx| association.handle_sent(Err(crate::event::SendFailed), cx));
    assert_eq!(outcome.active, Some(false));
    assert_eq!(messages(&mut bench), ["Source 192.0.2.1 offline"]);
}

#[test]
fn settings_are_announced() {
    let mut bench = Bench::new(client(), REMOTE);
    let (association, journal) = (&mut bench.association, &mut bench.journal);
    association.set_min_poll(5, journal);
    association.set_max_poll(4, journal);
    association.set_min_poll(25, journal);
    association.set_max_delay(0.3, journal);
    association.set_max_delay_ratio(2.0, journal);
    association.set_max_delay_dev_ratio(5.5, journal);
    association.set_min_stratum(16, journal);
    association.set_offset_correction(-0.001, journal);
    association.set_poll_target(0, journal);
    let expected = [
        "minpoll 5",
        "maxpoll 5",
        "maxpoll 4",
        "minpoll 4",
        "maxdelay 0.300000",
        "maxdelayratio 2.000000",
        "maxdelaydevratio 5.500000",
        "minstratum 15",
        "offset -0.001000",
        "polltarget 0",
    ]
    .map(|text| format!("Source 192.0.2.1 new {text}"));
    assert_eq!(messages(&mut bench), expected);
}

#[test]
fn duplicates_and_late_copies_leave_no_trace() {
    let mut bench = Bench::new(client(), REMOTE);
    bench.start();
    let transmission = bench.next_transmission().unwrap();
    let at = bench.cooked;
    bench.sent(at);
    let bytes = answer(&transmission, at.plus(1e-4), 0.0).to_bytes();
    assert!(bench.receive(&bytes, at.plus(2e-4)).confirmed);
    bench.log_lines();
    let outcome = bench.receive(&bytes, at.plus(3e-4));
    assert_eq!(outcome.tests, None);
    assert!(bench.log_lines().is_empty());
    // Nor after the next request, though it is looked at then.
    bench.next_transmission().unwrap();
    let at = bench.cooked;
    bench.sent(at);
    let tests = bench.receive(&bytes, at.plus(1e-4)).tests.unwrap();
    assert!(!tests.duplicate && !tests.origin && tests.timestamps);
    assert_eq!(bench.association.counters().valid, 1);
    assert_eq!(bench.association.counters().received, 3);
}

#[test]
fn filter_accumulates_once_for_several_polls() {
    let mut config = client();
    config.filter_length = 3;
    let mut bench = Bench::new(config, REMOTE);
    bench.start();
    let mut accumulated = Vec::new();
    for answered in [true, false, true, false, false, false, true] {
        if answered {
            accumulated.push(exchange(&mut bench, 1e-3).accumulated);
        } else {
            bench.next_transmission().unwrap();
            let at = bench.cooked;
            accumulated.push(bench.sent(at).accumulated);
        }
    }
    // A miss is counted by the transmission after it: the second request's by the third, so
    // that the third sample is the third poll; then two misses and a sample.
    assert_eq!(accumulated, [false, false, true, false, false, false, true]);
    assert_eq!(bench.statistics.samples().len(), 2);
}

#[test]
fn quantile_of_the_delay_rejects_the_first_response() {
    let mut config = client();
    config.max_delay_quantile = 0.5;
    let mut bench = Bench::new(config, REMOTE);
    bench.start();
    let first = exchange(&mut bench, 1e-3).tests.unwrap();
    assert!(first.synced() && first.delay && !first.delay_deviation);
    assert!(!exchange(&mut bench, 2e-3).tests.unwrap().delay_deviation);
    assert!(exchange(&mut bench, 0.5e-3).tests.unwrap().good());
}

#[test]
fn delay_tests_compare_with_the_statistics() {
    let mut config = client();
    config.max_delay_ratio = 2.0;
    config.max_delay_dev_ratio = 10.0;
    let mut bench = Bench::new(config, REMOTE);
    bench.start();
    // Fewer than six samples: no delay is too long.
    for index in 0..6 {
        assert!(exchange(&mut bench, 1e-3 + 1e-6 * f64::from(index % 3)).confirmed);
    }
    let tests = exchange(&mut bench, 20e-3).tests.unwrap();
    assert!(
        tests.delay && !tests.delay_ratio && !tests.delay_deviation,
        "{tests:?}"
    );
    assert_eq!(tests.bits(), 0b11_1111_1001);
    // A large offset despite the long delay is let through test C: the clock moved.
    let outcome = exchange_changed(&mut bench, 20e-3, |header| {
        for timestamp in [&mut header.receive, &mut header.transmit] {
            let ahead = NtpInterval::from_seconds(5.0).to_bits();
            *timestamp = NtpTimestamp::from_bits(timestamp.to_bits() + ahead);
        }
    });
    let tests = outcome.tests.unwrap();
    assert!(!tests.delay_ratio && tests.delay_deviation, "{tests:?}");
}

#[test]
fn own_reference_comes_back() {
    let mut bench = Bench::new(client(), REMOTE);
    bench.local.loop_test = true;
    let time = NtpTimestamp::from_unix_ns(bench.cooked.as_ns());
    bench.local.reference = OwnReference {
        leap: LeapIndicator::Normal,
        stratum: 3,
        reference_id: 0x0a00_0001,
        reference_time: time,
        root_delay_s: 0.015_001,
        root_dispersion_s: 0.1,
    };
    bench.start();
    let mine = |header: &mut Header| {
        header.stratum = 3;
        header.reference_id = 0x0a00_0001;
        header.root_delay = NtpShort::from_seconds(0.015_001);
        header.reference_time = time;
    };
    let tests = exchange_changed(&mut bench, 1e-3, mine).tests.unwrap();
    assert!(tests.synced() && !tests.no_loop);
    let tests = exchange_changed(&mut bench, 1e-3, |header| {
        mine(header);
        header.stratum = 4;
    });
    assert!(tests.tests.unwrap().no_loop);
}

#[test]
fn copy_takes_over_and_drops_the_server() {
    let mut config = client();
    config.copy = true;
    let mut bench = Bench::new(config, REMOTE);
    bench.start();
    let status = exchange(&mut bench, 1e-3).status.unwrap();
    assert_eq!(
        (status.stratum, status.reference_id),
        (1, Some(0xc0a8_0163))
    );
    assert_eq!(bench.statistics.samples().len(), 1);
    let outcome = exchange_changed(&mut bench, 1e-3, |header| {
        header.leap = LeapIndicator::Unsynchronised;
    });
    assert!(outcome.source_reset && outcome.status.is_none());
    assert_eq!(bench.statistics.samples().len(), 0);
    assert_eq!(bench.association.reachability().updates(), 0);
}

#[test]
fn responses_wait_for_late_transmit_timestamps() {
    let mut bench = Bench::new(client(), REMOTE);
    bench.local.late_timestamp_timeout_s = 1e-3;
    bench.start();
    // Never the first good response.
    assert!(exchange(&mut bench, 1e-3).confirmed);
    let transmission = bench.next_transmission().unwrap();
    let at = bench.cooked;
    bench.sent(at);
    let bytes = answer(&transmission, at.plus(5e-4), 0.0).to_bytes();
    assert_eq!(bench.receive(&bytes, at.plus(1e-3)).tests, None);
    let hardware = LocalTimestamp::new(at.plus(1e-5), 1e-7, TimestampSource::Hardware);
    let payload = transmission.payload.as_slice().to_vec();
    let outcome =
        bench.run(|association, cx| association.handle_transmit_timestamp(&payload, hardware, cx));
    assert!(outcome.confirmed && outcome.close_socket);
    assert_eq!(
        bench.association.ntp_data().transmit_source,
        Some(TimestampSource::Hardware)
    );
    // Without one it is evaluated when the time is up.
    let transmission = bench.next_transmission().unwrap();
    let at = bench.cooked;
    bench.sent(at);
    let bytes = answer(&transmission, at.plus(5e-4), 0.0).to_bytes();
    assert_eq!(bench.receive(&bytes, at.plus(1e-3)).tests, None);
    let timeout = bench.association.next_timeout().unwrap();
    assert!(timeout.since(bench.monotonic) <= 1e-3);
    bench.monotonic = timeout;
    let outcome = bench.run(|association, cx| association.handle_timeout(cx));
    assert!(outcome.confirmed && outcome.transmission.is_none());
}

#[test]
fn stored_times_follow_the_clock() {
    let mut config = client();
    config.interleaved = true;
    let mut bench = Bench::new(config, REMOTE);
    bench.start();
    let transmission = bench.next_transmission().unwrap();
    let at = bench.cooked;
    bench.sent(at);
    // The clock is set forward by 100 s while the answer is on its way.
    let change = ClockChange {
        when: at,
        frequency: 0.0,
        offset_s: -100.0,
    };
    bench.association.handle_adjustment(&change);
    let bytes = answer(&transmission, at.plus(100.0), 0.0).to_bytes();
    let outcome = bench.receive(&bytes, at.plus(100.001));
    assert!(outcome.tests.unwrap().good());
    assert!((bench.association.ntp_data().peer_delay_s - 1e-3).abs() < 1e-6);
}

#[test]
fn poll_is_not_below_a_second_for_far_sources() {
    let mut config = client();
    (config.min_poll, config.max_poll) = (-4, -4);
    let mut bench = Bench::new(config, REMOTE);
    bench.start();
    exchange(&mut bench, 50e-3);
    assert_eq!(bench.association.poll().poll(), 0);
    exchange(&mut bench, 5e-3);
    assert_eq!(bench.association.poll().poll(), -4);
}

#[test]
fn the_report_shows_the_accumulated_sample() {
    let mut bench = Bench::new(client(), REMOTE);
    bench.start();
    exchange(&mut bench, 2e-3);
    let data = *bench.association.ntp_data();
    let last = bench.statistics.last_sample().unwrap();
    assert!((data.offset_s - 0.01).abs() < 1e-6);
    assert_eq!(last.measured_offset_s, -data.offset_s);
}

#[test]
fn interleaved_samples_are_of_the_previous_exchange() {
    let mut config = client();
    config.interleaved = true;
    let mut bench = Bench::new(config, REMOTE);
    bench.start();
    let mut served_before = NtpTimestamp::ZERO;
    let mut delays_s = Vec::new();
    let mut passed = Vec::new();
    for delay_s in [1e-3, 2e-3, 4e-3, 8e-3] {
        let first = served_before.is_zero();
        let outcome = exchange_interleaved(&mut bench, delay_s, &mut served_before, first);
        let tests = outcome.tests.unwrap();
        assert!(tests.synced());
        passed.push(tests.good());
        delays_s.push(bench.association.ntp_data().peer_delay_s);
        assert_eq!(bench.association.ntp_data().interleaved, !first);
    }
    // The first interleaved response would give a sample of the same exchange as the basic
    // one before.
    assert_eq!(passed, [true, false, true, true]);
    for (delay_s, expected_s) in delays_s[2..].iter().zip([2e-3, 4e-3]) {
        assert!((delay_s - expected_s).abs() < 1e-6, "{delays_s:?}");
    }
    assert_eq!(bench.statistics.samples().len(), 3);
    let offset_s = bench.association.ntp_data().offset_s;
    assert!((offset_s - 0.01).abs() < 1e-6, "{offset_s}");
}

/// A server that answers every request but the first in interleaved mode.
fn exchange_interleaved(
    bench: &mut Bench,
    delay_s: f64,
    served_before: &mut NtpTimestamp,
    first: bool,
) -> Outcome {
    let transmission = bench.next_transmission().unwrap();
    let at = bench.cooked;
    bench.sent(at);
    let mut header = answer(&transmission, at.plus(delay_s / 2.0), 0.01);
    let request = Header::parse(transmission.payload.as_slice().first_chunk().unwrap());
    let previous = std::mem::replace(served_before, header.transmit);
    if !first {
        assert_ne!(request.receive, NtpTimestamp::ZERO);
        header.origin = request.receive;
        header.transmit = previous;
    }
    bench.monotonic = bench.monotonic.plus(delay_s);
    bench.cooked = at.plus(delay_s);
    let arrival = bench.cooked;
    bench.receive(&header.to_bytes(), arrival)
}
