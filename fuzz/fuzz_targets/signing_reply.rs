//! What the MS-SNTP signing service sends, in pieces as a stream gives them.
#![no_main]

use engine::server::signing::SigningQueue;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (waiting, read) = input;
    let mut queue = SigningQueue::default();
    for client in 0..waiting % 16 {
        queue.push(client, 1, [0; 48]);
    }
    for end in 0..=read.len() {
        match queue.take_response(&read[..end]) {
            Ok(None) => {}
            Ok(Some(response)) => {
                assert!(response.length <= end);
                assert_eq!(response.client, 0);
                return;
            }
            Err(_) => return,
        }
    }
});
