use super::*;
use proptest::prelude::*;

/// A unit of this test's own, and its segment's end.
struct Unit(i32);

impl Unit {
    fn new() -> Self {
        Self(std::process::id().cast_signed())
    }

    fn status(&self) -> libc::shmid_ds {
        // SAFETY: the structure consists of integers, for which zero is a value.
        let mut status: libc::shmid_ds = unsafe { std::mem::zeroed() };
        // SAFETY: the calls take numbers, and fill the structure.
        unsafe { libc::shmctl(libc::shmget(key(self.0), 0, 0), libc::IPC_STAT, &mut status) };
        status
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        SharedSegment::remove(self.0).expect("remove");
    }
}

/// A segment as a writer fills it: seconds, microseconds and nanoseconds of both times.
fn filled(clock: (time_t, c_int, c_uint), receive: (time_t, c_int, c_uint)) -> [AtomicU32; WORDS] {
    let words = [const { AtomicU32::new(0) }; WORDS];
    let put = |offset: usize, bytes: &[u8]| {
        for (index, chunk) in bytes.chunks_exact(4).enumerate() {
            let value = u32::from_ne_bytes(chunk.try_into().expect("four bytes"));
            words[offset / 4 + index].store(value, Ordering::Relaxed);
        }
    };
    put(offset_of!(Layout, clock_s), &clock.0.to_ne_bytes());
    put(offset_of!(Layout, clock_us), &clock.1.to_ne_bytes());
    put(offset_of!(Layout, clock_ns), &clock.2.to_ne_bytes());
    put(offset_of!(Layout, receive_s), &receive.0.to_ne_bytes());
    put(offset_of!(Layout, receive_us), &receive.1.to_ne_bytes());
    put(offset_of!(Layout, receive_ns), &receive.2.to_ne_bytes());
    put(offset_of!(Layout, leap), &2i32.to_ne_bytes());
    put(offset_of!(Layout, valid), &1i32.to_ne_bytes());
    words
}

fn parsed(words: &[AtomicU32; WORDS]) -> Option<SegmentSample> {
    SegmentSample::parse(&take(words)?)
}

#[test]
#[cfg(target_pointer_width = "64")]
fn the_layout_is_that_of_the_other_programs() {
    assert_eq!(SEGMENT_LENGTH, 96);
    let offsets = [
        offset_of!(Layout, count),
        offset_of!(Layout, clock_s),
        offset_of!(Layout, clock_us),
        offset_of!(Layout, receive_s),
        offset_of!(Layout, receive_us),
        offset_of!(Layout, leap),
        offset_of!(Layout, precision),
        offset_of!(Layout, samples),
        offset_of!(Layout, valid),
        offset_of!(Layout, clock_ns),
        offset_of!(Layout, receive_ns),
        offset_of!(Layout, unused),
    ];
    assert_eq!(offsets, [4, 8, 16, 24, 32, 36, 40, 44, 48, 52, 56, 60]);
}

#[test]
fn a_sample_is_taken_once() {
    let words = filled((100, 250_000, 250_000_123), (99, 999_999, 999_999_999));
    let sample = parsed(&words).expect("a sample");
    assert_eq!(sample.reference, RawTime::from_parts(100, 250_000_123));
    assert_eq!(sample.local, RawTime::from_parts(99, 999_999_999));
    assert_eq!(sample.leap, 2);
    assert_eq!(take(&words), None);
}

#[test]
fn nanoseconds_count_only_if_both_fit_the_microseconds() {
    let sample = parsed(&filled((1, 5, 5_678), (2, 6, 7_000))).expect("a sample");
    assert_eq!(sample.reference, RawTime::from_parts(1, 5_000));
    assert_eq!(sample.local, RawTime::from_parts(2, 6_000));
}

#[test]
fn a_segment_of_an_unknown_mode_is_left_alone() {
    let words = filled((1, 0, 0), (1, 0, 0));
    words[MODE_WORD].store(2, Ordering::Relaxed);
    assert_eq!(take(&words), None);
    assert_eq!(words[VALID_WORD].load(Ordering::Relaxed), 1);
}

#[test]
fn times_that_do_not_fit_are_no_sample() {
    assert_eq!(parsed(&filled((time_t::MAX, 0, 0), (1, 0, 0))), None);
    assert_eq!(parsed(&filled((1, 0, 0), (time_t::MIN, 0, 0))), None);
}

#[test]
fn what_is_written_meanwhile_is_not_taken_for_a_sample() {
    // A writer of mode 1 who hardly pauses: the times of each of its samples are equal.
    let words = filled((0, 0, 0), (0, 0, 0));
    words[MODE_WORD].store(1, Ordering::Relaxed);
    let stop = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let places = [
                offset_of!(Layout, clock_s) / 4,
                offset_of!(Layout, receive_s) / 4,
            ];
            for value in 1.. {
                if stop.load(Ordering::Relaxed) != 0 {
                    return;
                }
                words[VALID_WORD].store(0, Ordering::SeqCst);
                words[COUNT_WORD].fetch_add(1, Ordering::SeqCst);
                for place in places {
                    words[place].store(value, Ordering::SeqCst);
                }
                words[COUNT_WORD].fetch_add(1, Ordering::SeqCst);
                words[VALID_WORD].store(1, Ordering::SeqCst);
                if value % 64 == 0 {
                    std::thread::yield_now();
                }
            }
        });
        let mut taken = 0;
        while taken < 20 {
            if let Some(sample) = parsed(&words) {
                assert_eq!(sample.reference, sample.local);
                taken += 1;
            }
        }
        stop.store(1, Ordering::Relaxed);
    });
}

#[test]
fn segments_are_made_with_their_permissions_and_shared() {
    let unit = Unit::new();
    let reader = SharedSegment::attach(unit.0, 0o640).expect("attach");
    let status = unit.status();
    assert_eq!(status.shm_perm.mode & 0o777, 0o640);
    assert_eq!(status.shm_segsz, SEGMENT_LENGTH);
    assert_eq!(reader.take(), None);
    let writer = SharedSegment::attach(unit.0, 0o600).expect("attach again");
    let mut sample = [7; SEGMENT_LENGTH];
    sample[..4].fill(0);
    writer.put(&sample);
    assert_eq!(reader.take(), Some(sample));
    assert_eq!(writer.words()[VALID_WORD].load(Ordering::Acquire), 0);
}

proptest! {
    #[test]
    fn any_bytes_are_a_sample_or_none(bytes in prop::collection::vec(any::<u8>(), SEGMENT_LENGTH)) {
        let bytes: [u8; SEGMENT_LENGTH] = bytes.try_into().expect("as long");
        if let Some(sample) = SegmentSample::parse(&bytes) {
            let at = offset_of!(Layout, leap);
            prop_assert_eq!(&sample.leap.to_ne_bytes()[..], &bytes[at..at + 4]);
        }
    }
}
