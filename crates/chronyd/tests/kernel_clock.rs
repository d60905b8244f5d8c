//! The one test that touches the kernel's clock: root only, in a program of its own, so that
//! nothing runs beside it. The frequency is changed by 0.01 ppm for an instant and put back,
//! as are the status and the error bounds. The clock is never stepped.

mod support;

use chronyd::kernel_clock::SteeredKernel;
use discipline::reference::ClockDriver;
use os_linux::clock::{Kernel, SystemKernel, Timex};

const MODE_FREQUENCY: u32 = 0x0002;
const MODE_MAXIMUM_ERROR: u32 = 0x0004;
const MODE_ESTIMATED_ERROR: u32 = 0x0008;
const MODE_STATUS: u32 = 0x0010;
const MODE_TICK: u32 = 0x4000;

/// Status bits that cannot be set but are told by the kernel: clock error, nanoseconds, mode
/// and clock source, signals of a pulse device.
const STATUS_READ_ONLY: i32 = 0xff00;

/// The smallest change that the resolution of the kernel (2⁻¹⁶ ppm) shows well.
const CHANGE_PPM: f64 = 0.01;

/// Puts the state back, whatever happens.
struct Restore(Timex);

impl Drop for Restore {
    fn drop(&mut self) {
        let mut before = Timex {
            modes: MODE_FREQUENCY
                | MODE_TICK
                | MODE_STATUS
                | MODE_MAXIMUM_ERROR
                | MODE_ESTIMATED_ERROR,
            status: self.0.status & !STATUS_READ_ONLY,
            ..self.0
        };
        SystemKernel.adjtimex(&mut before).expect("restored");
    }
}

fn state() -> Timex {
    let mut state = Timex::default();
    SystemKernel
        .adjtimex(&mut state)
        .expect("reading needs no rights");
    state
}

#[test]
fn the_kernel_follows_and_everything_is_put_back() {
    let may_steer = {
        // Setting the tick to what it is changes nothing, but needs the right to.
        let mut unchanged = Timex {
            modes: MODE_TICK,
            ..state()
        };
        SystemKernel.adjtimex(&mut unchanged).is_ok()
    };
    if !support::able(may_steer, "the right to steer the kernel's clock") {
        return;
    }
    let before = state();
    // The loop may be on, as somebody left it, but must have nothing to correct.
    if !support::able(before.offset == 0, "a clock that no other program corrects") {
        return;
    }
    {
        let _restore = Restore(before);
        let mut clock = SteeredKernel::start(SystemKernel, false).expect("taken over");
        assert!(clock.limits().maximum_frequency_ppm >= 500.0);
        let frequency_ppm = clock.frequency().expect("frequency");
        let accepted_ppm = clock
            .set_frequency(frequency_ppm + CHANGE_PPM)
            .expect("set");
        assert!(
            (accepted_ppm - frequency_ppm - CHANGE_PPM).abs() < 1e-4,
            "{accepted_ppm}"
        );
        let seen_ppm = clock.frequency().expect("frequency");
        assert!((seen_ppm - accepted_ppm).abs() < 1e-9, "{seen_ppm}");
        // The kernel counts the other way: a fast clock is slowed down.
        assert!(state().frequency < before.frequency);
        clock.set_sync_status(true, 1e-3, 2e-3);
        let errors = state();
        assert_eq!(
            (errors.estimated_error_us, errors.maximum_error_us),
            (1000, 2000)
        );
        clock.set_frequency(frequency_ppm).expect("set back");
        assert!(!clock.take_interference());
        // Somebody else, as the driver sees it.
        let mut foreign = Timex {
            modes: MODE_FREQUENCY,
            frequency: before.frequency - 100,
            ..Timex::default()
        };
        SystemKernel.adjtimex(&mut foreign).expect("set");
        clock.frequency().expect("frequency");
        assert!(clock.take_interference());
        assert!(!clock.take_interference(), "said once");
    }
    let after = state();
    assert_eq!(
        (after.frequency, after.tick_us),
        (before.frequency, before.tick_us)
    );
    assert_eq!(
        after.status & !STATUS_READ_ONLY,
        before.status & !STATUS_READ_ONLY
    );
    assert_eq!(after.estimated_error_us, before.estimated_error_us);
}
