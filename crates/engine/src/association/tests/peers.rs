//! Recorded symmetric associations, basic and interleaved: one side is replaced by ours.

use super::*;

/// Replays one side of a recorded pair: packets of the other side go in, ours must have
/// the form, timestamps and times of the recorded ones.
fn replay(name: &str, rows: &[Row], own_direction: &str) {
    let own_row = rows
        .iter()
        .find(|row| row.direction == own_direction)
        .unwrap();
    let mut config = AssociationConfig::new(AssociationMode::SymmetricActive);
    (config.min_poll, config.max_poll) = (1, 1);
    config.interleaved = name.contains("xleave");
    let mut bench = Bench::new(config, "127.0.0.2:123");
    bench.cooked = own_row.time.minus(0.2);
    bench.start();
    let mut planned_at = None;
    let mut sent = 0;
    for (index, row) in rows.iter().enumerate() {
        let context = format!("{name} {own_direction} {index}");
        let passed_s = row.time.since(bench.cooked);
        if passed_s < 0.0 {
            // Before the association was started.
            continue;
        }
        bench.monotonic = bench.monotonic.plus(passed_s);
        bench.cooked = row.time;
        // What is served changes with reception; the next own packet shows it.
        let own_stratum = rows[index..]
            .iter()
            .find(|later| later.direction == own_direction)
            .map_or(6, |later| {
                if later.bytes[1] == 0 {
                    16
                } else {
                    later.bytes[1]
                }
            });
        bench.local.reference.stratum = own_stratum;
        if row.direction == own_direction {
            check_transmission(&mut bench, row, planned_at, &context);
            sent += 1;
        } else {
            bench.receive(&row.bytes, row.time);
        }
        planned_at = bench.association.transmit_at;
    }
    assert!(sent >= 7, "{name}");
    assert!(bench.association.reachability().is_reachable());
}

fn check_transmission(
    bench: &mut Bench,
    row: &Row,
    planned_at: Option<MonotonicTime>,
    context: &str,
) {
    if let Some(at) = planned_at {
        let late_s = bench.monotonic.since(at);
        assert!(late_s.abs() < 0.05, "{context}: {late_s} s after the plan");
    }
    // Fires now, whatever the random stretch.
    bench.association.transmit_at = Some(bench.monotonic);
    let outcome = bench.run(|association, cx| association.handle_timeout(cx));
    let ours = outcome.transmission.unwrap();
    let ours = ours.payload.as_slice();
    assert_eq!(ours.len(), row.bytes.len(), "{context}");
    // Version, mode, stratum, poll.
    assert_eq!(ours[0] & 0x3f, row.bytes[0] & 0x3f, "{context}");
    assert_eq!(ours[1..3], row.bytes[1..3], "{context}");
    let timestamps = |bytes: &[u8]| [24, 32, 40].map(|at| timestamp_at(bytes, at));
    let [origin, receive, transmit] = timestamps(ours);
    let [recorded_origin, recorded_receive, recorded_transmit] = timestamps(&row.bytes);
    assert_eq!(origin, recorded_origin, "{context}");
    assert_eq!(
        receive == NtpTimestamp::ZERO,
        recorded_receive == NtpTimestamp::ZERO,
        "{context}"
    );
    // The recorded times are taken from the network and differ by the host's latency.
    assert!(
        receive.since(recorded_receive).to_seconds().abs() < 0.002,
        "{context}"
    );
    assert!(
        transmit.since(recorded_transmit).to_seconds().abs() < 0.002,
        "{context}"
    );
    // The other side answers to the recorded values.
    bench.association.exchange.sent_receive = recorded_receive;
    bench.association.exchange.sent_transmit = recorded_transmit;
    bench.sent(row.time);
}

#[test]
fn both_sides_of_recorded_pairs_are_repeated() {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/ntp/interleaved.tsv"
    ));
    let cases = recording(text);
    for name in ["real-peers-basic", "real-peers-xleave"] {
        for direction in ["A>B", "B>A"] {
            replay(name, &cases[name], direction);
        }
    }
}
