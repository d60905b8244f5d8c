use super::*;
use std::sync::{Arc, Mutex};

use discipline::samples::DeviceTime;
use discipline::time::RawTime;
use os_linux::hardware::{
    HardwareClock, Interface, ReadingMethod, TimestampingAbilities, TimestampingSetting,
};
use os_linux::socket::HardwareTime;

/// What the readings of a fake clock were asked for.
type Asked = Arc<Mutex<Vec<(ReadingMethod, usize)>>>;

struct FakeClock {
    asked: Asked,
    works: &'static [ReadingMethod],
}

impl HardwareClock for FakeClock {
    fn read(
        &mut self,
        method: ReadingMethod,
        count: usize,
        readings: &mut Vec<os_linux::hardware::Reading>,
    ) -> io::Result<()> {
        self.asked.lock().unwrap().push((method, count));
        if !self.works.contains(&method) {
            return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        }
        readings.clear();
        readings.push(os_linux::hardware::Reading {
            before: RawTime::from_parts(5, 0),
            device: HardwareTime::from_ns(77),
            after: RawTime::from_parts(5, 1000),
        });
        Ok(())
    }
}

/// A machine with `lo` (nothing), `eth0` and `eth1` (everything), `old0` (no filter for
/// received packets), `shy0` (may not be changed), `sick0` (its clock is none),
/// `gone0` (its clock does not open).
#[derive(Default)]
struct Machine {
    asked: Asked,
    works: &'static [ReadingMethod],
}

const NAMES: [&str; 7] = ["lo", "eth0", "eth1", "old0", "shy0", "sick0", "gone0"];

fn error<T>(number: i32) -> io::Result<T> {
    Err(io::Error::from_raw_os_error(number))
}

impl TimestampDevices for Machine {
    fn interfaces(&self) -> io::Result<Vec<Interface>> {
        let names = NAMES.iter().zip(1..);
        let interface = |(name, index): (&&str, u32)| Interface {
            name: (*name).to_owned(),
            index,
        };
        Ok(names.map(interface).collect())
    }

    fn interface_index(&self, name: &str) -> io::Result<u32> {
        let found = self
            .interfaces()?
            .into_iter()
            .find(|each| each.name == name);
        found.map_or(error(libc::ENODEV), |each| Ok(each.index))
    }

    fn abilities(&self, name: &str) -> io::Result<TimestampingAbilities> {
        if name == "lo" {
            return error(libc::EOPNOTSUPP);
        }
        Ok(TimestampingAbilities {
            receive_hardware: true,
            transmit_hardware: true,
            raw_hardware: true,
            clock_index: Some(match name {
                "sick0" => 9,
                "gone0" => 8,
                _ => 0,
            }),
            receive_filters: if name == "old0" {
                0
            } else {
                1 << ReceiveFilter::All.number()
            },
        })
    }

    fn setting(&self, _: &str) -> io::Result<TimestampingSetting> {
        error(libc::EOPNOTSUPP)
    }

    fn set(&self, name: &str, wanted: TimestampingSetting) -> io::Result<TimestampingSetting> {
        if name == "shy0" {
            return error(libc::EPERM);
        }
        Ok(wanted)
    }

    fn link_speed_mbps(&self, name: &str) -> io::Result<Option<u32>> {
        match name {
            "eth0" => Ok(Some(100)),
            "eth1" => Ok(None),
            _ => error(libc::EOPNOTSUPP),
        }
    }

    fn open_clock(&self, index: u32) -> io::Result<Box<dyn HardwareClock>> {
        if index == 9 {
            return error(libc::ENOTTY);
        }
        if index == 8 {
            return error(libc::ENOENT);
        }
        let asked = Arc::clone(&self.asked);
        let works = self.works;
        Ok(Box::new(FakeClock { asked, works }))
    }
}

fn enable(lines: &[&str], machine: Machine) -> (Result<Cards, String>, Vec<String>) {
    let options = chrony_conf::options::Options {
        directives: lines.iter().map(Into::into).collect(),
        ..Default::default()
    };
    let reader = crate::configuration::reader();
    let config = chrony_conf::load(&options, &reader).into_result().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut output = Output::stderr();
    output.use_file(&path).unwrap();
    let machine = std::cell::Cell::new(Some(machine));
    let open = || Ok(Box::new(machine.take().unwrap()) as _);
    let cards = Cards::enable(&config, &open, &mut output);
    let text = std::fs::read_to_string(&path).unwrap();
    let said = text.lines().filter_map(|line| line.split_once("Z "));
    (cards, said.map(|(_, text)| text.to_owned()).collect())
}

#[test]
fn named_interfaces_come_before_all_others() {
    let lines = [
        "hwtimestamp * nocrossts",
        "hwtimestamp eth1 minpoll 3 txcomp 1e-6",
        "hwtimestamp eth1 minpoll 5",
    ];
    let (cards, said) = enable(&lines, Machine::default());
    assert_eq!(
        said,
        [
            "Enabled HW timestamping on eth1",
            "Enabled HW timestamping on eth0",
            "Enabled HW timestamping (TX only) on old0",
            "ioctl(SIOCSHWTSTAMP) failed : Operation not permitted",
            "ioctl(PTP_CLOCK_GETCAPS) failed : Inappropriate ioctl for device",
            "Could not open PHC of gone0",
        ]
    );
    let settings: Vec<CardSettings> = cards.unwrap().settings().collect();
    let expected = CardSettings {
        interface: 3,
        min_poll: 3,
        max_poll: 4,
        min_samples: 2,
        max_samples: 16,
        precision_s: 1e-7,
        transmit_compensation_s: 1e-6,
        receive_compensation_s: 0.0,
    };
    assert_eq!(settings[0], expected);
    assert_eq!((settings[1].interface, settings[1].min_poll), (2, 0));
}

#[test]
fn a_named_interface_that_fails_is_fatal() {
    for (name, reason) in [
        ("lo", None),
        ("eth7", None),
        (
            "shy0",
            Some("ioctl(SIOCSHWTSTAMP) failed : Operation not permitted"),
        ),
        (
            "sick0",
            Some("ioctl(PTP_CLOCK_GETCAPS) failed : Inappropriate ioctl for device"),
        ),
        ("gone0", Some("Could not open PHC of gone0")),
    ] {
        let (cards, said) = enable(&[&format!("hwtimestamp {name}")], Machine::default());
        let expected = format!("Could not enable HW timestamping on {name}");
        assert_eq!(cards.err(), Some(expected));
        assert_eq!(said.first().map(String::as_str), reason);
    }
    let (cards, said) = enable(&["port 0"], Machine::default());
    assert!(cards.unwrap().is_empty() && said.is_empty());
}

#[test]
fn the_first_method_that_works_is_kept() {
    use ReadingMethod::{Extended, Plain, Precise};
    for (line, works, first, then) in [
        (
            "hwtimestamp eth0",
            &[Precise, Plain][..],
            vec![Precise],
            Precise,
        ),
        (
            "hwtimestamp eth0",
            &[Plain],
            vec![Precise, Extended, Plain],
            Plain,
        ),
        (
            "hwtimestamp eth0 nocrossts",
            &[Precise, Extended],
            vec![Extended],
            Extended,
        ),
    ] {
        let asked = Asked::default();
        let machine = Machine {
            asked: Arc::clone(&asked),
            works,
        };
        let mut cards = enable(&[line], machine).0.unwrap();
        let take = || -> Vec<(ReadingMethod, usize)> { std::mem::take(&mut asked.lock().unwrap()) };
        let (readings, speed) = cards.read(2);
        assert_eq!((readings.len(), speed), (1, Some(100)));
        assert_eq!(readings[0].device, DeviceTime::from_ns(77));
        let first: Vec<_> = first.into_iter().map(|method| (method, 25)).collect();
        assert_eq!(take(), first);
        cards.read(2);
        assert_eq!(take(), [(then, 25)]);
        assert!(
            cards.read(3).0.is_empty() && take().is_empty(),
            "no such card"
        );
    }
    let mut cards = enable(&["hwtimestamp eth1"], Machine::default()).0.unwrap();
    assert_eq!(
        cards.read(3),
        (Vec::new(), Some(0)),
        "nothing works, no link"
    );
}
