//! NTS-KE messages: framing in pieces, requests as a server reads them, responses as a
//! client reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nts::aead::AeadList;
use nts::ke::record::{Framing, MessageBuffer};
use nts::ke::request::{Answer, NtpService, answer, response};
use nts::ke::response::read;

fuzz_target!(|data: &[u8]| {
    let Some((piece, message)) = data.split_first() else {
        return;
    };
    let mut buffer = MessageBuffer::default();
    let mut framing = Framing::Incomplete;
    for piece in message.chunks(usize::from(*piece) + 1) {
        framing = buffer.push(piece);
        if framing != Framing::Incomplete {
            break;
        }
    }
    if framing != Framing::Complete {
        return;
    }
    let aeads = AeadList::default();
    let chosen = answer(buffer.records(), &aeads);
    let cookies = [vec![1; 100]];
    let reply = response(chosen, &NtpService::default(), &cookies);
    let mut check = MessageBuffer::default();
    assert_eq!(check.push(&reply), Framing::Complete);
    let read_back = read(check.records(), &aeads);
    assert_eq!(read_back.is_ok(), matches!(chosen, Answer::Keys { .. }));
    let _ = read(buffer.records(), &aeads);
});
