//! Certificates that a server sends: the parser and the search for a path.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use nts::time::WallTime;
use nts::verify::trust::TrustedCertificates;
use nts::verify::{ExpectedName, TimeCheck, Verifier};

fuzz_target!(|data: &[u8]| {
    let (leaf, other) = data.split_at(data.len() / 2);
    let mut trusted = TrustedCertificates::default();
    trusted.add(other);
    trusted.add_pem(data);
    let verifier = Verifier::new(
        Arc::new(trusted),
        ExpectedName::from_configured("s.test"),
        TimeCheck::At(WallTime::from_seconds(1_795_521_600)),
    );
    let _ = verifier.verify(data, &[]);
    let _ = verifier.verify(leaf, &[other, data]);
});
