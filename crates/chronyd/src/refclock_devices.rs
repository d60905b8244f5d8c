//! The devices of reference clocks, looked at when the daemon starts: one that its driver
//! could not use ends the daemon at once, with the driver's message (configuration chapter,
//! section 4.3), and not when the administrator misses the clock.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrony_conf::refclock::RefclockSpec;
use discipline::journal::Severity;
use os_linux::error_text;
use os_linux::hardware::{
    RealTimeClock, SystemDevices, SystemHardwareClock, SystemRealTimeClock, TimestampDevices,
};
use os_linux::socket::bind_unix_datagram;

use crate::output::Output;

/// Opens what a reference clock is read from, and closes it again. The error is a fatal
/// message; less is written to `output`.
pub fn check(spec: &RefclockSpec, output: &mut Output) -> Result<(), String> {
    let path = chrony_conf::text::to_path(&spec.parameter);
    match spec.driver.as_str() {
        "SOCK" => check_socket(&path),
        "PHC" => check_hardware_clock(&path, output),
        "RTC" => check_chip(&path, output),
        // PPS is not built; a segment of SHM is made by whoever comes first.
        _ => Ok(()),
    }
}

fn check_socket(path: &Path) -> Result<(), String> {
    match bind_unix_datagram(path) {
        Ok(socket) => {
            drop(socket);
            // Nothing reads it yet, so nobody is to find it.
            let _ = fs::remove_file(path);
            Ok(())
        }
        Err(_) => Err(format!("Could not open socket {}", path.display())),
    }
}

/// The device of a path, or of the card of an interface.
fn hardware_clock_path(name: &Path) -> io::Result<PathBuf> {
    if name.is_absolute() {
        return Ok(name.to_owned());
    }
    let abilities = SystemDevices::new()?.abilities(&name.to_string_lossy())?;
    let index = abilities
        .clock_index
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EOPNOTSUPP))?;
    Ok(PathBuf::from(format!("/dev/ptp{index}")))
}

fn check_hardware_clock(name: &Path, output: &mut Output) -> Result<(), String> {
    let opened = hardware_clock_path(name).and_then(|path| SystemHardwareClock::open(&path));
    let Err(error) = opened else { return Ok(()) };
    if error.raw_os_error() == Some(libc::ENOTTY) {
        let reason = error_text(&error);
        let text = format!("ioctl(PTP_CLOCK_GETCAPS) failed : {reason}");
        output.write(Severity::Error, &text);
    }
    let text = format!("Could not open PHC (of) {}", name.display());
    output.write(Severity::Error, &text);
    Err("Could not open PHC".to_owned())
}

fn check_chip(path: &Path, output: &mut Output) -> Result<(), String> {
    let name = path.display();
    let mut chip = SystemRealTimeClock::open(path)
        .map_err(|error| format!("Could not open RTC device {name} : {}", error_text(&error)))?;
    // Without interrupts at new seconds it is read again and again.
    if let Err(error) = chip.set_update_interrupts(true) {
        let reason = error_text(&error);
        let text = format!("Could not enable RTC interrupt : {reason}");
        output.write(Severity::Error, &text);
        let text = format!("Falling back to polling for {name}");
        output.write(Severity::Info, &text);
    } else {
        // The file is closed next; that switches them off, too.
        let _ = chip.set_update_interrupts(false);
    }
    Ok(())
}
