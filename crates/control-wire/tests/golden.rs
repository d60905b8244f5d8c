//! The recorded exchanges of `tests/data/control`: every message decodes, and encodes to the
//! same bytes.

use control_wire::{
    Command, FALLBACK_VERSION, Float, OpenCommands, Refusal, Reply, ReplyError, ReplyHeader,
    Request, RequestHeader, Status, Transport,
};

macro_rules! data {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/data/control/",
            $name
        ))
    };
}

fn lines(data: &str) -> impl Iterator<Item = Vec<&str>> {
    data.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split('\t').collect())
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .map(|digit| digit.to_digit(16).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| (pair[0] * 16 + pair[1]) as u8)
        .collect()
}

/// Decodes and encodes a request of either version as a client sent it.
fn reencode_request(bytes: &[u8]) -> Vec<u8> {
    let header = RequestHeader::parse_unpadded(bytes).expect("header of a request");
    let command = Command::from_code(header.command).expect("known command");
    let request = Request::parse_data(command, bytes).expect("data of a request");
    request.emit(&header).to_vec()
}

/// Requests sent by a client and replies sent by a daemon are canonical: byte for byte.
fn exchanges(data: &str) -> (usize, usize) {
    let (mut requests, mut replies) = (0, 0);
    for line in lines(data) {
        let (command, request, reply) = (line[0], from_hex(line[1]), from_hex(line[2]));
        if !request.is_empty() {
            assert_eq!(reencode_request(&request), request, "request of {command}");
            requests += 1;
        }
        if !reply.is_empty() {
            let header = ReplyHeader::parse(&reply).expect("header of a reply");
            let data = Reply::parse(&header, &reply).expect("data of a reply");
            assert_eq!(data.emit(&header).to_vec(), reply, "reply of {command}");
            replies += 1;
        }
    }
    (requests, replies)
}

#[test]
fn main_exchanges() {
    assert_eq!(exchanges(data!("main.tsv")), (886, 886));
}

#[test]
fn states_exchanges() {
    assert_eq!(exchanges(data!("states.tsv")), (307, 304));
}

#[test]
fn sim_exchanges() {
    assert_eq!(exchanges(data!("sim.tsv")), (185, 185));
}

/// Replies made up to test the client: whatever is a reply of a known kind and the right length
/// survives too.
#[test]
fn client_exchanges() {
    let (mut requests, mut replies, mut odd) = (0, 0, Vec::new());
    for line in lines(data!("client.tsv")) {
        let (request, reply, note) = (from_hex(line[1]), from_hex(line[2]), line[10]);
        if !request.is_empty() {
            assert_eq!(
                reencode_request(&request),
                request,
                "request of {}",
                line[0]
            );
            requests += 1;
        }
        if reply.is_empty() {
            continue;
        }
        let encoded = ReplyHeader::parse(&reply)
            .map(|header| Reply::parse(&header, &reply).map(|data| data.emit(&header).to_vec()));
        match encoded {
            Some(Ok(encoded)) if encoded == reply => replies += 1,
            Some(Ok(_)) => odd.push(format!("changed: {note}")),
            Some(Err(error)) => odd.push(format!("{error:?}: {note}")),
            None => odd.push(format!("no reply: {note}")),
        }
    }
    assert_eq!((requests, replies), (810, 795));
    // The rest is malformed or has ignored bytes on purpose.
    assert_eq!(
        odd,
        [
            "changed: address: unknown family 9",
            "no reply: reply cut to 27 bytes (ignored until the timeout)",
            "Truncated: reply shorter than its type requires: repeated at once",
            "changed: reply longer than its type requires is accepted",
            "no reply: packet type 1 is ignored",
            "no reply: res1 = 1 is ignored",
            "no reply: res2 = 1 is ignored",
            "UnknownCode(99): status success with an unknown reply code 99",
            "UnknownCode(14): status success with an obsolete reply code 14",
            "changed: reply fields pad1 to pad5 are not looked at",
        ]
    );
}

/// What the daemon must do with each hand-made request (chapter, section 5).
#[test]
fn raw_requests() {
    let (mut count, mut refused_hosts) = (0, 0);
    for line in lines(data!("raw.tsv")) {
        let (description, request) = (line[0], from_hex(line[2]));
        let transport = if line[1].starts_with("unix") {
            Transport::Unix
        } else {
            Transport::Udp
        };
        if line[1] == "udp 127.0.0.9" && line[3].is_empty() {
            // Dropped by the table of permitted hosts (step 2), before the codec sees it.
            assert!(description.contains("not allowed"));
            refused_hosts += 1;
            continue;
        }
        let expected = match (line[3], line.get(5).and_then(|status| status.parse().ok())) {
            ("", _) => None,
            (_, status) => Some(Status::from_code(status.expect("status"))),
        };
        let decided = decide(&request, transport);
        match decided {
            Decision::Execute => {
                assert!(
                    !matches!(
                        expected,
                        None | Some(
                            Status::BadPacketVersion
                                | Status::BadPacketLength
                                | Status::Unauthorised
                        )
                    ),
                    "{description}: executed, but the daemon said {expected:?}"
                );
            }
            Decision::Refuse(status) => assert_eq!(Some(status), expected, "{description}"),
            Decision::Drop => assert_eq!(None, expected, "{description}"),
        }
        if let (Ok(header), false) = (RequestHeader::parse(&request), line[3].is_empty()) {
            let reply = from_hex(line[3]);
            let reply_header = ReplyHeader::parse(&reply).expect("reply");
            assert_eq!(reply_header.sequence, header.sequence, "{description}");
            assert_eq!(reply_header.command, header.command, "{description}");
            let data = Reply::parse(&reply_header, &reply).expect("data");
            assert_eq!(
                data.answer(&header, reply_header.status).to_vec(),
                reply,
                "{description}"
            );
        }
        count += 1;
    }
    assert_eq!((count, refused_hosts), (564, 2));
}

enum Decision {
    Drop,
    Refuse(Status),
    Execute,
}

fn decide(request: &[u8], transport: Transport) -> Decision {
    let Ok(header) = RequestHeader::parse(request) else {
        return Decision::Drop;
    };
    match Request::parse(&header, request) {
        Err(Refusal::Silent) => Decision::Drop,
        Err(Refusal::Status(status)) => Decision::Refuse(status),
        Ok(request) if OpenCommands::default().permits(request.command(), transport) => {
            Decision::Execute
        }
        Ok(_) => Decision::Refuse(Status::Unauthorised),
    }
}

/// The float vectors. Encodings of negative powers of two may differ in form, not in value.
#[test]
fn floats() {
    let (mut encoded, mut decoded) = (0, 0);
    for line in lines(data!("float.tsv")) {
        let word = |text: &str| u32::from_str_radix(text, 16).unwrap();
        match line[0] {
            "encode" => {
                let (value, bits): (f64, u32) = (line[1].parse().unwrap(), word(line[2]));
                let float = Float::new(value);
                assert!(
                    float.bits() == bits
                        || value < 0.0
                            && value.abs().log2().fract() == 0.0
                            && float.value() == Float::from_bits(bits).value(),
                    "{value}: {:08x} instead of {bits:08x}",
                    float.bits()
                );
                assert_eq!(
                    Float::from_bits(bits).value(),
                    line[3].parse::<f64>().unwrap()
                );
                encoded += 1;
            }
            "decode" => {
                let value: f64 = line[2].parse().unwrap();
                assert_eq!(
                    Float::from_bits(word(line[1])).value(),
                    value,
                    "{}",
                    line[1]
                );
                decoded += 1;
            }
            kind => panic!("unknown kind {kind}"),
        }
    }
    assert_eq!((encoded, decoded), (1001, 326));
}

/// Version 5 requests are not padded; an unknown reply code is told.
#[test]
fn fallback_requests_have_no_padding() {
    for &command in Command::ALL {
        let header = RequestHeader {
            version: FALLBACK_VERSION,
            command: command.code(),
            attempt: 0,
            sequence: 1,
        };
        let zeros = [0; 520];
        let request = Request::parse_data(command, &zeros).unwrap();
        assert_eq!(request.emit(&header).len(), command.data_end());
    }
    let header = ReplyHeader {
        version: 6,
        command: 1,
        reply: 99,
        status: Status::Success,
        sequence: 0,
    };
    assert_eq!(
        Reply::parse(&header, &[0; 28]),
        Err(ReplyError::UnknownCode(99))
    );
}
