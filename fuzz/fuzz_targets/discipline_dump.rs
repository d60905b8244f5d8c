//! Text of a measurement dump: whatever is accepted survives a round trip and can be fitted.
#![no_main]

use discipline::samples::{SourceDump, SourceStatistics, StatisticsSettings};
use discipline::time::CookedTime;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| parse_and_fit(data));

fn parse_and_fit(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let now = CookedTime::from_parts(2_000_000_000, 0);
    let Ok(dump) = SourceDump::parse(text, now, 0) else {
        return;
    };
    // Rounding to seven digits may push a value over a limit; nothing else may be lost.
    if let Ok(again) = SourceDump::parse(&dump.to_text(), now, 0) {
        assert_eq!(again.samples.len(), dump.samples.len());
        assert_eq!(
            (again.name, again.reachability),
            (dump.name, dump.reachability)
        );
    }
    let mut statistics = SourceStatistics::new(StatisticsSettings::default());
    statistics.restore(&dump.samples, dump.asymmetry_run);
    assert!(statistics.predict(now).is_finite());
    assert!(statistics.estimate().skew.is_finite());
}
