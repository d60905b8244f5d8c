//! What holds for any input.

use proptest::prelude::*;

use super::*;

fn config(mode: AssociationMode, options: u16) -> AssociationConfig {
    let option = |bit: u32| options >> bit & 1 == 1;
    let mut config = AssociationConfig::new(mode);
    config.min_poll = if option(0) { -7 } else { 3 };
    config.max_poll = if option(1) { 0 } else { 8 };
    config.interleaved = option(2);
    config.iburst = option(3);
    config.burst = option(4);
    config.copy = option(5);
    config.auto_offline = option(6);
    config.extension_monotonic_root = option(7);
    config.extension_net_correction = option(8);
    config.max_delay_quantile = if option(9) { 0.5 } else { 0.0 };
    config.filter_length = if option(10) { 3 } else { 0 };
    config.presend_min_poll = if option(11) { 4 } else { 100 };
    config.max_delay_ratio = if option(12) { 2.0 } else { 0.0 };
    config
}

/// A response that a hostile server could make of a request.
fn response(request: &[u8], mode: u8, noise: &[u8], origin: u8, at: CookedTime) -> Vec<u8> {
    let mut bytes = noise.to_vec();
    if bytes.len() >= 48 && origin != 0 {
        bytes[0] = bytes[0] & 0xc0 | 4 << 3 | mode;
        let source = if origin.is_multiple_of(2) { 40 } else { 32 };
        let timestamp: [u8; 8] = request[source..source + 8].try_into().unwrap();
        bytes[24..32].copy_from_slice(&timestamp);
        if origin > 100 {
            bytes[1] %= 16;
            bytes[4..12].copy_from_slice(&[0; 8]);
            if origin > 150 {
                // A plausible server.
                let now = NtpTimestamp::from_unix_ns(at.as_ns()).to_bytes();
                bytes[3] = 0xec;
                bytes[32..40].copy_from_slice(&now);
                bytes[40..48].copy_from_slice(&now);
            }
        }
    }
    bytes
}

fn assert_sane(bench: &Bench) {
    let association = &bench.association;
    let poll = association.poll();
    assert!((-7..=24).contains(&poll.poll()));
    assert!(poll.score().is_finite());
    let transmits = association.transmit_at.is_some();
    assert_eq!(
        transmits,
        association.operating_mode() != OperatingMode::Offline
    );
    let data = association.ntp_data();
    assert!(data.offset_s.is_finite() && data.peer_delay_s.is_finite());
    assert!(bench.statistics.predict(bench.cooked).is_finite());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_responses_leave_the_association_sane(
        peer: bool,
        options: u16,
        events in prop::collection::vec(
            (
                prop::collection::vec(any::<u8>(), 40..130),
                any::<u8>(),
                prop_oneof![-10.0..10.0f64, Just(1e-4)],
                any::<bool>(),
                any::<u8>(),
            ),
            1..40,
        ),
    ) {
        let mode =
            if peer { AssociationMode::SymmetricActive } else { AssociationMode::Client };
        let mut bench = Bench::new(config(mode, options), "192.0.2.1:123");
        bench.local.loop_test = options & 1 << 13 != 0;
        bench.local.late_timestamp_timeout_s = if options & 1 << 14 != 0 { 1e-3 } else { 0.0 };
        bench.start();
        for (noise, origin, delay_s, fails, command) in events {
            let Some(transmission) = bench.next_transmission() else {
                bench.run(|association, cx| association.set_online(cx));
                continue;
            };
            let request = transmission.payload.as_slice();
            if fails && command > 200 {
                bench.run(|association, cx| {
                    association.handle_sent(Err(crate::event::SendFailed), cx)
                });
            } else {
                let at = bench.cooked;
                bench.sent(at);
            }
            let wire_mode = if peer { 1 + u8::from(fails) } else { 4 };
            let bytes = response(request, wire_mode, &noise, origin, bench.cooked);
            let at = bench.cooked.plus(delay_s);
            bench.receive(&bytes, at);
            let late = LocalTimestamp::new(at, 1e-7, TimestampSource::Hardware);
            let request = request.to_vec();
            bench.run(|association, cx| {
                association.handle_transmit_timestamp(&request, late, cx)
            });
            match command {
                0..10 => {
                    bench.run(|association, cx| association.set_offline(cx));
                },
                10..20 => {
                    bench.run(|association, cx| association.handle_unknown_step(cx));
                }
                20..40 => {
                    let change = ClockChange {
                        when: at,
                        frequency: delay_s * 1e-3,
                        offset_s: delay_s * 100.0,
                    };
                    bench.association.handle_adjustment(&change);
                    bench.statistics.shift(&change);
                }
                40..60 => {
                    let burst = Burst { good_samples: 2, transmissions: 4 };
                    bench.run(|association, cx| association.start_burst(burst, cx));
                }
                _ => {}
            }
            assert_sane(&bench);
        }
    }
}
