//! Recorded sequences of requests: intervals, poll values and log lines.

use super::*;

/// How far a recorded interval may be from ours: the random stretch of 2 % in both and the
/// latency of the recorded client.
fn same_interval(ours_s: f64, recorded_s: f64) -> bool {
    (ours_s - recorded_s).abs() <= 0.021 * ours_s.max(recorded_s) + 0.01
}

fn config_of(options: &str) -> AssociationConfig {
    let mut config = AssociationConfig::new(AssociationMode::Client);
    let options = options.split(';').next().unwrap();
    let words: Vec<&str> = options.split([' ', ',', '"']).collect();
    for (position, word) in words.iter().enumerate() {
        let value = || words[position + 1].parse::<i32>().unwrap();
        match *word {
            "minpoll" => config.min_poll = value(),
            "maxpoll" => config.max_poll = value(),
            "presend" => config.presend_min_poll = value(),
            "iburst" => config.iburst = true,
            "burst" => config.burst = true,
            "xleave" => config.interleaved = true,
            _ => {}
        }
    }
    config
}

/// Replays a recorded client; returns the number of requests.
fn replay(name: &str, rows: &[Row], port: u16) -> usize {
    let requests: Vec<&Row> = rows.iter().filter(|row| row.direction == "C>S").collect();
    let responses: Vec<&Row> = rows.iter().filter(|row| row.direction == "S>C").collect();
    let config = config_of(&requests[0].note);
    let mut bench = Bench::new(config, &format!("127.0.3.1:{port}"));
    bench.local.loop_test = requests[0].note.contains("allow");
    bench.start();
    let mut lines = Vec::new();
    let mut last_sent = None;
    for (index, request) in requests.iter().enumerate() {
        // Recorded random timestamps; receive first in interleaved requests.
        let receive = timestamp_at(&request.bytes, 32);
        if receive != NtpTimestamp::ZERO {
            bench.random.script.push_back(receive.to_bits());
        }
        bench
            .random
            .script
            .push_back(timestamp_at(&request.bytes, 40).to_bits());
        if name == "burst-command" && index == 1 {
            bench.monotonic = bench.monotonic.plus(2.29);
            let burst = Burst {
                good_samples: 2,
                transmissions: 5,
            };
            bench.run(|association, cx| association.start_burst(burst, cx));
        }
        let transmission = bench.next_transmission().unwrap();
        assert_eq!(
            transmission.payload.as_slice(),
            request.bytes,
            "{name}: request {index}"
        );
        bench.cooked = request.time;
        if let Some((monotonic, recorded)) = last_sent {
            let ours_s = bench.monotonic.since(monotonic);
            let recorded_s = request.time.since(recorded);
            assert!(
                same_interval(ours_s, recorded_s),
                "{name}: request {index} after {ours_s} s, recorded {recorded_s} s"
            );
        }
        last_sent = Some((bench.monotonic, request.time));
        bench.selected =
            bench.statistics.has_fit() && bench.association.reachability().is_reachable();
        bench.sent(request.time);
        let answer = responses.iter().find(|response| {
            let delay_s = response.time.since(request.time);
            (0.0..0.5).contains(&delay_s)
                && requests
                    .get(index + 1)
                    .is_none_or(|next| response.time < next.time)
        });
        if let Some(response) = answer {
            bench.monotonic = bench.monotonic.plus(response.time.since(request.time));
            bench.cooked = response.time;
            bench.receive(&response.bytes, response.time);
            lines.extend(bench.log_lines());
        }
    }
    compare_lines(name, rows, &lines);
    requests.len()
}

fn compare_lines(name: &str, rows: &[Row], lines: &[String]) {
    let logged: Vec<&Row> = rows.iter().filter(|row| row.direction == "LOG").collect();
    if logged.is_empty() {
        return;
    }
    // One recording has more lines than packets.
    assert!(logged.len() >= lines.len(), "{name}");
    assert!(logged.len() == lines.len() || name == "subsecond", "{name}");
    for (ours, recorded) in lines.iter().zip(&logged) {
        assert_same_measurement(ours, &recorded.note, name);
    }
}

#[test]
fn recorded_clients_are_repeated() {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/ntp/client_sequences.tsv"
    ));
    let cases = recording(text);
    assert_eq!(cases.len(), 14);
    for (name, rows) in cases {
        replay(&name, &rows, 2101);
    }
}

#[test]
fn recorded_interleaved_clients_are_repeated() {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/ntp/interleaved.tsv"
    ));
    let cases = recording(text);
    assert_eq!(
        replay("real-client-xleave", &cases["real-client-xleave"], 123),
        7
    );
    let presend = &cases["real-client-xleave-presend"];
    assert_eq!(replay("real-client-xleave-presend", presend, 123), 6);
}
