//! Server threads (directive `serverthreads`): each has its own sockets, which share the
//! port by SO_REUSEPORT, and answers from the published snapshot. The main thread serves
//! too, so `serverthreads N` starts N − 1 of them.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use engine::event::{HardwareStamp, PacketTime};
use os_linux::clock::raw_time;
use os_linux::event::{
    Interest, PollSet, Timeout, WakeReceiver, Waker, block_in_this_thread, wake_pipe,
};
use os_linux::socket::Received;

use crate::answering::{Answering, Leftover, packet_time};
use crate::devices::hardware_stamp;

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
    forwarded: (Sender<Forwarded>, Receiver<Forwarded>),
    wake_main: Arc<dyn Fn() + Send + Sync>,
}

impl ServerThreads {
    /// None yet. `wake_main` makes the main thread call [`ServerThreads::poll_forwarded`].
    pub fn new(wake_main: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self {
            threads: Vec::new(),
            forwarded: channel(),
            wake_main,
        }
    }

    /// Whether there are running threads.
    pub fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    /// The next packet that a thread could not deal with.
    pub fn poll_forwarded(&self) -> Option<Forwarded> {
        self.forwarded.1.try_recv().ok()
    }

    /// Starts a thread that answers on these sockets.
    ///
    /// # Errors
    ///
    /// When the pipe or the thread cannot be made.
    pub fn start(&mut self, answering: Answering, sockets: Vec<UdpSocket>) -> io::Result<()> {
        let (waker, wakeups) = wake_pipe()?;
        let stop = Arc::new(AtomicBool::new(false));
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

struct Worker {
    answering: Answering,
    sockets: Vec<UdpSocket>,
    wakeups: WakeReceiver,
    stop: Arc<AtomicBool>,
    forward: Sender<Forwarded>,
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
                if forward.send(forwarded).is_ok() {
                    wake_main();
                }
            },
        );
    }
}
