//! Server threads (directive `serverthreads`): each has its own sockets, which share the
//! port by SO_REUSEPORT, and answers from the published snapshot. The main thread serves
//! too, so `serverthreads N` starts N − 1 of them.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::num::NonZero;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use chrony_conf::Config;
use engine::event::{HardwareStamp, PacketTime};
use os_linux::clock::raw_time;
use os_linux::event::{
    Interest, PollSet, Timeout, WakeReceiver, Waker, block_in_this_thread, wake_pipe,
};
use os_linux::socket::Received;

use crate::answering::{Answering, Leftover, packet_time};
use crate::descriptors;
use crate::devices::hardware_stamp;

/// Descriptors of a thread: a socket for each family, and the pipe that wakes it.
const DESCRIPTORS_EACH: usize = 4;

/// Packets and answers that may wait for the main thread. When it does not keep up, they are
/// lost, as in a socket.
const FORWARDED_MAX: usize = 256;

/// Threads wanted beside the main one.
fn wanted(config: &Config) -> usize {
    let threads = match config.server.threads {
        0 => std::thread::available_parallelism().map_or(1, NonZero::get),
        threads => threads as usize,
    };
    threads - 1
}

/// Descriptors that the wanted threads need.
pub fn descriptors(config: &Config) -> usize {
    wanted(config) * DESCRIPTORS_EACH
}

/// Threads beside the main one: as many as wanted where the system's limit of descriptors,
/// raised as far as needed and allowed, leaves enough for everything else. The second value
/// is a warning.
pub fn affordable(config: &Config) -> (usize, Option<String>) {
    let wanted = wanted(config);
    let limit = descriptors::raise_limit(descriptors(config) + descriptors::OTHERS);
    let affordable = limit.saturating_sub(descriptors::OTHERS) / DESCRIPTORS_EACH;
    let warning = (affordable < wanted).then(|| {
        let (threads, wanted) = (affordable + 1, wanted + 1);
        format!("Only {threads} of {wanted} server threads, as at most {limit} files may be open")
    });
    (affordable.min(wanted), warning)
}

/// A packet that a thread got and only the main thread can deal with.
#[derive(Debug)]
pub enum Forwarded {
    /// A packet of a configured source.
    Packet {
        /// Who sent it.
        remote: SocketAddr,
        /// Where it was sent to.
        local: Option<IpAddr>,
        /// The interface it arrived on.
        interface: u32,
        /// The payload.
        payload: Vec<u8>,
        /// When it arrived.
        received: PacketTime,
        /// When it arrived, by the network card.
        hardware: Option<HardwareStamp>,
    },
    /// An answer to be signed by the MS-SNTP service.
    Sign {
        /// Who is to get it.
        remote: SocketAddr,
        /// From which address.
        local: Option<IpAddr>,
        /// Through which interface, for link-local addresses.
        interface: u32,
        /// The key ID of the request.
        key_id: u32,
        /// The answer.
        answer: Vec<u8>,
    },
}

impl Forwarded {
    /// A copy of what answering left over.
    pub fn from_leftover(
        leftover: Leftover,
        datagram: &Received<'_>,
        answer: &[u8],
    ) -> Option<Self> {
        let remote = datagram.source?;
        let local = datagram.ancillary.local;
        Some(match leftover {
            Leftover::ForAssociation => Self::Packet {
                remote,
                local,
                interface: datagram.ancillary.interface,
                payload: datagram.data.to_vec(),
                received: packet_time(datagram.ancillary.kernel_time, raw_time()),
                hardware: hardware_stamp(&datagram.ancillary),
            },
            Leftover::Sign { key_id } => Self::Sign {
                remote,
                local,
                interface: datagram.ancillary.interface,
                key_id,
                answer: answer.to_vec(),
            },
        })
    }
}

struct Thread {
    stop: Arc<AtomicBool>,
    waker: Waker,
    handle: JoinHandle<()>,
}

/// The running server threads.
pub struct ServerThreads {
    threads: Vec<Thread>,
    forwarded: (SyncSender<Forwarded>, Receiver<Forwarded>),
    wake_main: Arc<dyn Fn() + Send + Sync>,
    /// A thread ended by itself.
    one_ended: Arc<AtomicBool>,
}

impl ServerThreads {
    /// None yet. `wake_main` makes the main thread take [`ServerThreads::forwarded`].
    pub fn new(wake_main: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self {
            threads: Vec::new(),
            forwarded: sync_channel(FORWARDED_MAX),
            wake_main,
            one_ended: Arc::default(),
        }
    }

    /// Whether a thread has ended by itself since the last call. Its clients are not served any
    /// more, as its sockets stay open, so the threads are to be started anew. The main thread
    /// is woken for it.
    pub fn take_ended(&self) -> bool {
        self.one_ended.swap(false, Ordering::Relaxed)
    }

    /// The next packet that a thread could not deal with. More than were waiting at first are
    /// left for the next turn of the loop, for which their threads have woken it.
    pub fn forwarded(&self) -> impl Iterator<Item = Forwarded> {
        self.forwarded.1.try_iter().take(FORWARDED_MAX)
    }

    /// Starts a thread that answers on these sockets.
    ///
    /// # Errors
    ///
    /// When the pipe or the thread cannot be made.
    pub fn start(&mut self, answering: Answering, sockets: Vec<Arc<UdpSocket>>) -> io::Result<()> {
        let (waker, wakeups) = wake_pipe()?;
        let stop = Arc::new(AtomicBool::new(false));
        let end = EndNotice {
            stop: Arc::clone(&stop),
            one_ended: Arc::clone(&self.one_ended),
            wake_main: Arc::clone(&self.wake_main),
        };
        let mut worker = Worker {
            answering,
            sockets,
            wakeups,
            stop: Arc::clone(&stop),
            forward: self.forwarded.0.clone(),
            wake_main: Arc::clone(&self.wake_main),
        };
        let handle = std::thread::Builder::new()
            .name("server".to_owned())
            .spawn(move || {
                // Signals are the main thread's; where blocking them fails they only interrupt.
                let _ = block_in_this_thread();
                let _end = end;
                worker.run();
            })?;
        self.threads.push(Thread {
            stop,
            waker,
            handle,
        });
        Ok(())
    }

    /// Stops all threads and waits for them.
    pub fn stop(&mut self) {
        for thread in &self.threads {
            thread.stop.store(true, Ordering::Relaxed);
            thread.waker.wake();
        }
        for thread in self.threads.drain(..) {
            // A thread that panicked is gone as well.
            let _ = thread.handle.join();
        }
    }
}

impl Drop for ServerThreads {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Tells the main thread when a thread ends that was not told to.
struct EndNotice {
    stop: Arc<AtomicBool>,
    one_ended: Arc<AtomicBool>,
    wake_main: Arc<dyn Fn() + Send + Sync>,
}

impl Drop for EndNotice {
    fn drop(&mut self) {
        if !self.stop.load(Ordering::Relaxed) {
            self.one_ended.store(true, Ordering::Relaxed);
            (self.wake_main)();
        }
    }
}

struct Worker {
    answering: Answering,
    sockets: Vec<Arc<UdpSocket>>,
    wakeups: WakeReceiver,
    stop: Arc<AtomicBool>,
    forward: SyncSender<Forwarded>,
    wake_main: Arc<dyn Fn() + Send + Sync>,
}

impl Worker {
    fn run(&mut self) {
        let mut set = PollSet::default();
        while !self.stop.load(Ordering::Relaxed) {
            set.clear();
            set.add(self.wakeups.as_fd(), Interest::READ);
            for socket in &self.sockets {
                set.add(socket.as_fd(), Interest::READ | Interest::ERROR_QUEUE);
            }
            if set.wait(Timeout::NEVER).is_err() {
                return;
            }
            self.wakeups.drain();
            for index in 0..self.sockets.len() {
                let readiness = set.readiness(index + 1);
                if readiness.error_queue() {
                    self.take_timestamps(index);
                }
                if readiness.readable() {
                    self.serve(index);
                }
            }
        }
    }

    fn take_timestamps(&mut self, index: usize) {
        let socket = self.sockets[index].as_fd();
        // Associations send from the main thread's sockets alone.
        self.answering
            .take_transmit_timestamps(socket, false, &mut |_, _, _| {});
    }

    fn serve(&mut self, index: usize) {
        let Self {
            answering,
            sockets,
            forward,
            wake_main,
            ..
        } = self;
        answering.serve(
            sockets[index].as_fd(),
            false,
            &mut |leftover, datagram, answer| {
                let Some(forwarded) = Forwarded::from_leftover(leftover, datagram, answer) else {
                    return;
                };
                if forward.try_send(forwarded).is_ok() {
                    wake_main();
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrony_conf::access::{AccessRule, Subnet};
    use engine::random::RandomSource;
    use engine::server::{AccessTable, Published, Responder, ServerSnapshot};

    use super::*;

    /// Breaks the thread that answers.
    struct Broken;

    impl RandomSource for Broken {
        fn fill(&mut self, _: &mut [u8]) {
            panic!("no randomness");
        }
    }

    #[test]
    fn the_end_of_a_thread_is_noticed() {
        let mut access = AccessTable::default();
        let rule = AccessRule {
            allow: true,
            all: false,
            subnet: Subnet::Any,
        };
        access.apply(&rule).expect("rule");
        let snapshots = Published::new(ServerSnapshot {
            access: Arc::new(access),
            ..ServerSnapshot::new(1e-6)
        });
        let (woken, wakeups) = std::sync::mpsc::channel();
        let mut threads = ServerThreads::new(Arc::new(move || {
            let _ = woken.send(());
        }));
        let responder = Responder::new(Arc::default(), Box::new(Broken));
        let answering = Answering::new(responder, snapshots.reader(), None);
        let socket = UdpSocket::bind("127.0.0.1:0").expect("socket");
        socket.set_nonblocking(true).expect("non-blocking");
        let address = socket.local_addr().expect("address");
        let started = threads.start(answering, vec![Arc::new(socket)]);
        started.expect("thread");
        let client = UdpSocket::bind("127.0.0.1:0").expect("client");
        let mut request = [0; 48];
        request[0] = 0x23;
        // The kernel may lose one.
        let woken = (0..600).any(|_| {
            client.send_to(&request, address).expect("send");
            wakeups.recv_timeout(Duration::from_millis(100)).is_ok()
        });
        assert!(woken, "the main thread is woken");
        assert!(threads.take_ended());
        assert!(!threads.take_ended());
        // Being told to end is no reason to start them anew.
        threads.stop();
        assert!(!threads.take_ended());
    }
}
