//! A value that one thread replaces and others read without waiting.
//!
//! Each reader keeps its own reference to the value and looks at one atomic number per use;
//! only after a change does it take the lock to fetch the new reference.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug)]
struct Shared<T> {
    generation: AtomicU64,
    value: Mutex<Arc<T>>,
}

/// The writing end.
#[derive(Debug)]
pub struct Published<T>(Arc<Shared<T>>);

impl<T> Published<T> {
    /// With a first value.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Shared {
            generation: AtomicU64::new(0),
            value: Mutex::new(Arc::new(value)),
        }))
    }

    /// Replaces the value; readers see it at their next use.
    pub fn publish(&self, value: T) {
        let shared = &self.0;
        *shared.value.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
        shared.generation.fetch_add(1, Ordering::Release);
    }

    /// A reader, for one thread.
    pub fn reader(&self) -> Reader<T> {
        let shared = Arc::clone(&self.0);
        // The number is read before the value: at worst the value is fetched once more.
        let generation = shared.generation.load(Ordering::Acquire);
        let value = Arc::clone(&shared.value.lock().unwrap_or_else(PoisonError::into_inner));
        Reader {
            shared,
            generation,
            value,
        }
    }
}

/// The reading end.
#[derive(Debug)]
pub struct Reader<T> {
    shared: Arc<Shared<T>>,
    generation: u64,
    value: Arc<T>,
}

impl<T> Reader<T> {
    /// The newest value.
    pub fn get(&mut self) -> &T {
        let generation = self.shared.generation.load(Ordering::Acquire);
        if generation != self.generation {
            let value = self
                .shared
                .value
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            self.value = Arc::clone(&value);
            self.generation = generation;
        }
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_see_the_newest() {
        let published = Published::new(1);
        let mut early = published.reader();
        assert_eq!(*early.get(), 1);
        published.publish(2);
        let mut late = published.reader();
        assert_eq!((*early.get(), *late.get()), (2, 2));
        std::thread::scope(|scope| {
            scope.spawn(|| published.publish(3));
        });
        assert_eq!(*early.get(), 3);
    }
}
