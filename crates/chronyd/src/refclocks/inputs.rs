//! Pulses on inputs of network cards (`extpps`). Reference clocks of the same card share one
//! descriptor: kernels before 6.7 have one queue for each card, from which each event can be
//! read once.

use std::io;
use std::os::fd::BorrowedFd;

use chrony_conf::refclock::RefclockSpec;
use discipline::journal::Severity;
use discipline::samples::DeviceTime;
use os_linux::error_text;
use os_linux::hardware::{ExternalEvent, PulseInput, SystemPulseInput};
use os_linux::socket::HardwareTime;

use super::hardware::Found;
use super::number;
use crate::output::Output;

/// The message when pulses cannot be had.
const NOT_ENABLED: &str = "Could not enable external PHC timestamping";

/// A reference clock that wants the pulses of a channel.
struct Listener {
    clock: usize,
    channel: u32,
    last: Option<HardwareTime>,
}

/// The inputs of one card.
pub(super) struct CardInputs {
    index: u32,
    name: String,
    /// None once it is broken.
    input: Option<Box<dyn PulseInput>>,
    listeners: Vec<Listener>,
}

/// The cards whose inputs are used.
#[derive(Default)]
pub(super) struct Inputs(Vec<CardInputs>);

impl Inputs {
    /// Has the pulses timestamped that a reference clock wants.
    pub(super) fn add(
        &mut self,
        clock: usize,
        spec: &RefclockSpec,
        found: Found,
        output: &mut Output,
    ) -> Result<(), String> {
        let Found { path, index } = found;
        let index = index.map_err(|_| "Could not get PHC index".to_owned())?;
        let open = || SystemPulseInput::open(&path).map(|input| Box::new(input) as _);
        self.add_to_card(clock, spec, index, &open, output)
    }

    fn add_to_card(
        &mut self,
        clock: usize,
        spec: &RefclockSpec,
        index: u32,
        open: &dyn Fn() -> io::Result<Box<dyn PulseInput>>,
        output: &mut Output,
    ) -> Result<(), String> {
        let place = match self.0.iter().position(|card| card.index == index) {
            Some(place) => place,
            None => {
                let input = open().map_err(|error| {
                    let (name, reason) = (&spec.parameter, error_text(&error));
                    let text = format!("Could not open {name} : {reason}");
                    output.write(Severity::Error, &text);
                    NOT_ENABLED.to_owned()
                })?;
                self.0.push(CardInputs {
                    index,
                    name: spec.parameter.clone(),
                    input: Some(input),
                    listeners: Vec::new(),
                });
                self.0.len() - 1
            }
        };
        let (Some(card), wanted) = (self.0.get_mut(place), Wanted::new(spec)) else {
            return Err(NOT_ENABLED.to_owned());
        };
        if let Some(input) = &mut card.input
            && let Err(error) = input.enable(wanted.channel, wanted.pin, wanted.falling)
        {
            output.write(Severity::Error, &error.to_string());
            return Err(NOT_ENABLED.to_owned());
        }
        card.listeners.push(Listener {
            clock,
            channel: wanted.channel,
            last: None,
        });
        Ok(())
    }

    /// What to wait for, by place.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        let cards = self.0.iter().enumerate();
        cards.filter_map(|(place, card)| Some((place, card.input.as_ref()?.descriptor())))
    }

    /// A descriptor is readable: `report` gets each new pulse with the clock that wants it.
    pub(super) fn receive(
        &mut self,
        place: usize,
        report: &mut dyn FnMut(usize, DeviceTime),
        output: &mut Output,
    ) {
        let Some(card) = self.0.get_mut(place) else {
            return;
        };
        let Some(input) = &mut card.input else {
            return;
        };
        match input.take() {
            Ok(events) => events.iter().for_each(|event| card.tell(event, report)),
            Err(error) => {
                let (name, reason) = (&card.name, error_text(&error));
                let text = format!("Could not read external timestamps of {name} : {reason}");
                output.write(Severity::Error, &text);
                // Else it would be readable for ever.
                card.input = None;
            }
        }
    }
}

impl CardInputs {
    fn tell(&mut self, event: &ExternalEvent, report: &mut dyn FnMut(usize, DeviceTime)) {
        for listener in &mut self.listeners {
            if listener.channel == event.channel
                && listener.last.replace(event.time) != Some(event.time)
            {
                report(listener.clock, DeviceTime::from_ns(event.time.as_ns()));
            }
        }
    }
}

/// What the options ask for.
struct Wanted {
    channel: u32,
    pin: Option<u32>,
    falling: bool,
}

impl Wanted {
    fn new(spec: &RefclockSpec) -> Self {
        let option = |name| spec.driver_option(name).map_or(0, number);
        Self {
            // The kernel refuses a number that no channel has.
            channel: u32::try_from(option("channel")).unwrap_or(u32::MAX),
            // A negative pin is none: the card's channels are wired.
            pin: u32::try_from(option("pin")).ok(),
            falling: spec.driver_option("clear").is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Log;
    use super::*;
    use os_linux::error_text;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;
    use std::sync::{Arc, Mutex};

    /// What a fake input was asked for, and what it gives.
    #[derive(Default)]
    struct State {
        enabled: Vec<(u32, Option<u32>, bool)>,
        events: Vec<ExternalEvent>,
        broken: bool,
    }

    struct Fake {
        state: Arc<Mutex<State>>,
        socket: UnixDatagram,
    }

    impl PulseInput for Fake {
        fn enable(
            &mut self,
            channel: u32,
            pin: Option<u32>,
            falling: bool,
        ) -> Result<(), os_linux::CallError> {
            if channel > 7 {
                let error = io::Error::from_raw_os_error(libc::EINVAL);
                return Err(os_linux::CallError::new("ioctl(PTP_EXTTS_REQUEST)", error));
            }
            let mut state = self.state.lock().expect("state");
            state.enabled.push((channel, pin, falling));
            Ok(())
        }

        fn take(&mut self) -> io::Result<Vec<ExternalEvent>> {
            let mut state = self.state.lock().expect("state");
            if state.broken {
                return Err(io::Error::from_raw_os_error(libc::ENODEV));
            }
            Ok(std::mem::take(&mut state.events))
        }

        fn descriptor(&self) -> BorrowedFd<'_> {
            self.socket.as_fd()
        }
    }

    fn event(channel: u32, ns: i64) -> ExternalEvent {
        ExternalEvent {
            channel,
            time: HardwareTime::from_ns(ns),
        }
    }

    fn inputs(parameters: &[&str], log: &mut Log) -> (Inputs, Arc<Mutex<State>>) {
        let state = Arc::new(Mutex::new(State::default()));
        let open = || {
            let fake = Fake {
                state: Arc::clone(&state),
                socket: UnixDatagram::unbound().expect("socket"),
            };
            Ok(Box::new(fake) as _)
        };
        let mut inputs = Inputs::default();
        for (clock, parameter) in parameters.iter().enumerate() {
            let spec = RefclockSpec::new("PHC", parameter);
            let added = inputs.add_to_card(clock, &spec, 3, &open, &mut log.output);
            added.expect("added");
        }
        (inputs, state)
    }

    fn received(inputs: &mut Inputs, log: &mut Log) -> Vec<(usize, i64)> {
        let mut pulses = Vec::new();
        let mut report = |clock, time: DeviceTime| pulses.push((clock, time.as_ns()));
        inputs.receive(0, &mut report, &mut log.output);
        pulses
    }

    #[test]
    fn one_queue_feeds_all_clocks_of_a_card() {
        let mut log = Log::new();
        let parameters = [
            "/dev/ptp3:extpps",
            "eth3:extpps:channel=1:pin=2:clear",
            "/dev/ptp3:extpps:channel=1:pin=-1",
        ];
        let (mut inputs, state) = inputs(&parameters, &mut log);
        assert_eq!(inputs.descriptors().count(), 1);
        let enabled = &[(0, Some(0), false), (1, Some(2), true), (1, None, false)];
        assert_eq!(state.lock().expect("state").enabled, enabled);
        let events = [event(0, 10), event(1, 11), event(0, 10), event(5, 12)];
        state.lock().expect("state").events.extend(events);
        assert_eq!(
            received(&mut inputs, &mut log),
            [(0, 10), (1, 11), (2, 11)],
            "the duplicate and the foreign channel are ignored"
        );
    }

    #[test]
    fn a_broken_card_is_not_waited_for() {
        let mut log = Log::new();
        let (mut inputs, state) = inputs(&["/dev/ptp3:extpps"], &mut log);
        state.lock().expect("state").broken = true;
        assert_eq!(received(&mut inputs, &mut log), []);
        assert_eq!(inputs.descriptors().count(), 0);
        assert_eq!(received(&mut inputs, &mut log), []);
        let reason = error_text(&io::Error::from_raw_os_error(libc::ENODEV));
        assert_eq!(
            log.lines(),
            [format!(
                "Could not read external timestamps of /dev/ptp3 : {reason}"
            )]
        );
    }

    #[test]
    fn a_card_without_a_number_is_refused() {
        let mut log = Log::new();
        let spec = RefclockSpec::new("PHC", "/dev/ptp3:extpps");
        let found = Found {
            path: "/dev/ptp3".into(),
            index: Err(io::Error::from_raw_os_error(libc::EBADF)),
        };
        let refused = Inputs::default().add(0, &spec, found, &mut log.output);
        assert_eq!(refused, Err("Could not get PHC index".to_owned()));
    }

    #[test]
    fn a_channel_that_is_not_there_is_refused() {
        let mut log = Log::new();
        let (mut inputs, _) = inputs(&["/dev/ptp3:extpps"], &mut log);
        let spec = RefclockSpec::new("PHC", "/dev/ptp3:extpps:channel=-1");
        let open = || Err(io::Error::from_raw_os_error(libc::EACCES));
        let refused = inputs.add_to_card(1, &spec, 3, &open, &mut log.output);
        assert_eq!(refused, Err(NOT_ENABLED.to_owned()));
        let refused = inputs.add_to_card(1, &spec, 4, &open, &mut log.output);
        assert_eq!(refused, Err(NOT_ENABLED.to_owned()));
        assert_eq!(
            log.lines(),
            [
                "ioctl(PTP_EXTTS_REQUEST) failed : Invalid argument",
                "Could not open /dev/ptp3 : Permission denied",
            ]
        );
    }
}
