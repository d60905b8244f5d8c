//! What other programs and the kernel tell of clocks: segments of shared memory, datagrams
//! with samples, events on the inputs of network cards.
#![no_main]

use libfuzzer_sys::fuzz_target;
use os_linux::hardware::{
    EXTERNAL_EVENT_LENGTH, SAMPLE_MESSAGE_LENGTH, SEGMENT_LENGTH, SampleMessage, SegmentSample,
    parse_events,
};

fuzz_target!(|bytes: &[u8]| parse_all(bytes));

fn parse_all(bytes: &[u8]) {
    if let Some(message) = SampleMessage::parse(bytes) {
        assert!(bytes.len() <= SAMPLE_MESSAGE_LENGTH);
        assert!(message.offset_s.is_finite());
        let _ = message.local.plus(message.offset_s);
    }
    let mut segment = [0; SEGMENT_LENGTH];
    segment
        .iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = *from);
    let _ = SegmentSample::parse(&segment);
    assert!(parse_events(bytes).count() <= bytes.len() / EXTERNAL_EVENT_LENGTH);
}
