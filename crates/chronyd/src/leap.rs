//! The leap second database of the configuration.

use std::path::{Path, PathBuf};

use chrony_conf::Config;
use chrony_conf::leap_zone;
use discipline::journal::Journal;
use discipline::reference::LeapDatabase;
use discipline::reference::leap_database::LeapReader;

/// Opens what `leapseclist` and `leapsectz` name; the list wins when both pass the check.
pub fn database(config: &Config, journal: &mut Journal) -> Option<LeapDatabase> {
    let list = config
        .clock
        .leap_list
        .as_ref()
        .map(|path| (path.display().to_string(), file_reader(path)));
    let zone = config
        .clock
        .leap_timezone
        .as_ref()
        .map(|zone| (zone.clone(), file_reader(&leap_zone::path(zone))));
    LeapDatabase::choose(list, zone, journal)
}

/// The file is read anew each time, since it may be updated.
fn file_reader(path: &Path) -> LeapReader {
    let path: PathBuf = path.to_owned();
    Box::new(move || std::fs::read(&path).ok())
}
