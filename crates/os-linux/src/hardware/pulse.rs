//! Pulses at the beginning of seconds, timestamped by the kernel: the RFC 2783 API as the
//! kernel's device files give it (`linux/pps.h`; discipline chapter, section 17.7).

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use discipline::time::RawTime;

use super::ioctl::{
    PPS_FETCH, PPS_GET_ABILITIES, PPS_GET_PARAMETERS, PPS_SET_PARAMETERS, PpsFetched,
    PpsParameters, PpsTime, control,
};
use crate::error::error_text;

/// `PPS_API_VERS_1`.
const API_VERSION: libc::c_int = 1;

/// Which change of the signal counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PulseEdge {
    /// The beginning of the pulse.
    Assert,
    /// Its end.
    Clear,
}

impl PulseEdge {
    /// `PPS_CAPTUREASSERT` or `PPS_CAPTURECLEAR`.
    fn mode(self) -> libc::c_int {
        match self {
            Self::Assert => 0x01,
            Self::Clear => 0x02,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Assert => "CAPTUREASSERT",
            Self::Clear => "CAPTURECLEAR",
        }
    }
}

/// Why a device cannot be used. Printed as the daemon's message, after which comes the path.
#[derive(Debug)]
pub enum PulseError {
    /// It could not be opened.
    Open(io::Error),
    /// A function of the API failed.
    Call(&'static str, io::Error),
    /// It does not see this edge.
    NotSupported(PulseEdge),
}

impl PulseError {
    /// The message for a device at `path`.
    pub fn message(&self, path: impl fmt::Display) -> String {
        match self {
            Self::Open(error) => format!("Could not open {path} : {}", error_text(error)),
            Self::Call(name, error) => {
                format!("{name}() failed on {path} : {}", error_text(error))
            }
            Self::NotSupported(edge) => format!("{} not supported on {path}", edge.name()),
        }
    }
}

/// The last pulse that the kernel saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Changes with each pulse.
    pub sequence: u32,
    /// The real-time clock at the edge; zero before the first one.
    pub time: RawTime,
}

/// A source of pulses.
pub trait PulseSource: Send {
    /// The last pulse. Does not wait.
    ///
    /// # Errors
    ///
    /// Of the device; `ENODEV` when it is gone.
    fn fetch(&mut self) -> io::Result<Pulse>;
}

/// A device of the running system.
#[derive(Debug)]
pub struct PulseDevice {
    file: File,
    edge: PulseEdge,
}

impl PulseDevice {
    /// Opens a device such as `/dev/pps0`, and has it capture the edge. Needs CAP_SYS_TIME.
    ///
    /// # Errors
    ///
    /// See [`PulseError`].
    pub fn open(path: &Path, edge: PulseEdge) -> Result<Self, PulseError> {
        let opened = OpenOptions::new().read(true).write(true).open(path);
        let file = opened.map_err(PulseError::Open)?;
        let mut abilities: libc::c_int = 0;
        // SAFETY: this control fills an int.
        let asked = unsafe { control(file.as_fd(), PPS_GET_ABILITIES, &mut abilities) };
        asked.map_err(|error| match error.raw_os_error() {
            // No source of pulses at all: what the C library for the API says of it.
            Some(libc::ENOTTY) => {
                let error = io::Error::from_raw_os_error(libc::EOPNOTSUPP);
                PulseError::Call("time_pps_create", error)
            }
            _ => PulseError::Call("time_pps_getcap", error),
        })?;
        let mut parameters = PpsParameters::default();
        // SAFETY: this control fills this structure.
        unsafe { control(file.as_fd(), PPS_GET_PARAMETERS, &mut parameters) }
            .map_err(|error| PulseError::Call("time_pps_getparams", error))?;
        if abilities & edge.mode() == 0 {
            return Err(PulseError::NotSupported(edge));
        }
        parameters.api_version = API_VERSION;
        parameters.mode |= edge.mode();
        // SAFETY: this control reads this structure.
        unsafe { control(file.as_fd(), PPS_SET_PARAMETERS, &mut parameters) }
            .map_err(|error| PulseError::Call("time_pps_setparams", error))?;
        Ok(Self { file, edge })
    }
}

impl PulseSource for PulseDevice {
    fn fetch(&mut self) -> io::Result<Pulse> {
        // A timeout of zero: the call does not wait.
        let mut fetched = PpsFetched::default();
        // SAFETY: this control reads and fills this structure.
        unsafe { control(self.file.as_fd(), PPS_FETCH, &mut fetched)? };
        Ok(pulse(&fetched, self.edge))
    }
}

fn pulse(fetched: &PpsFetched, edge: PulseEdge) -> Pulse {
    let (sequence, time) = match edge {
        PulseEdge::Assert => (fetched.assert_sequence, fetched.assert_time),
        PulseEdge::Clear => (fetched.clear_sequence, fetched.clear_time),
    };
    let PpsTime { seconds, ns, .. } = time;
    Pulse {
        sequence,
        time: RawTime::from_parts(seconds, ns.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_device_of_pulses_is_refused() {
        let refusal = |path: &str| {
            let refused = PulseDevice::open(path.as_ref(), PulseEdge::Assert);
            refused.expect_err("refused").message(path)
        };
        assert_eq!(
            refusal("/dev/null"),
            "time_pps_create() failed on /dev/null : Operation not supported"
        );
        assert_eq!(
            refusal("/nonexistent"),
            "Could not open /nonexistent : No such file or directory"
        );
        assert_eq!(
            PulseError::NotSupported(PulseEdge::Clear).message("/dev/pps0"),
            "CAPTURECLEAR not supported on /dev/pps0"
        );
        assert_eq!(
            PulseError::NotSupported(PulseEdge::Assert).message("/dev/pps0"),
            "CAPTUREASSERT not supported on /dev/pps0"
        );
        let failed = |name| {
            let denied = io::Error::from_raw_os_error(libc::EPERM);
            PulseError::Call(name, denied).message("/dev/pps0")
        };
        assert_eq!(
            failed("time_pps_getparams"),
            "time_pps_getparams() failed on /dev/pps0 : Operation not permitted"
        );
        assert_eq!(
            failed("time_pps_setparams"),
            "time_pps_setparams() failed on /dev/pps0 : Operation not permitted"
        );
    }

    #[test]
    fn each_edge_has_its_own_pulses() {
        let time = |seconds, ns| PpsTime {
            seconds,
            ns,
            flags: 0,
        };
        let fetched = PpsFetched {
            assert_sequence: 3,
            clear_sequence: 2,
            assert_time: time(100, 999_999_999),
            clear_time: time(100, 200_000_000),
            ..PpsFetched::default()
        };
        let assert = pulse(&fetched, PulseEdge::Assert);
        assert_eq!((assert.sequence, assert.time.subsec_ns()), (3, 999_999_999));
        let clear = pulse(&fetched, PulseEdge::Clear);
        assert_eq!((clear.sequence, clear.time.subsec_ns()), (2, 200_000_000));
    }

    #[test]
    fn a_device_of_this_machine_can_be_asked() {
        let Ok(mut device) = PulseDevice::open("/dev/pps0".as_ref(), PulseEdge::Assert) else {
            eprintln!("SKIPPED: needs /dev/pps0 and the right to set it");
            return;
        };
        device.fetch().expect("fetch");
    }
}
