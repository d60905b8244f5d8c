//! The daemon's part in serving: the main thread's own answering, and the server threads.

use std::os::fd::RawFd;
use std::sync::Arc;

use discipline::journal::Severity;
use engine::engine::{Engine, Served};
use engine::event::{Datagram, Socket, TimestampSource, TransmitReport};
use engine::server::Responder;
use os_linux::event::Readiness;
use os_linux::socket::{Ancillary, IpFamily, Received, SocketSupport};

use crate::answering::Answering;
use crate::daemon::{Daemon, now};
use crate::random::KernelRandom;
use crate::server_threads::{Forwarded, ServerThreads};
use crate::signing::Client;

/// Answering in the main thread, and the threads beside it.
pub struct Serving {
    answering: Answering,
    threads: ServerThreads,
}

impl Serving {
    /// No threads are running yet.
    ///
    /// # Errors
    ///
    /// When there is no randomness.
    pub fn new(
        engine: &Engine,
        support: &SocketSupport,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> std::io::Result<Self> {
        Ok(Self {
            answering: answering(engine, support)?,
            threads: ServerThreads::new(wake),
        })
    }
}

fn answering(engine: &Engine, support: &SocketSupport) -> std::io::Result<Answering> {
    let random = KernelRandom::new().map_err(std::io::Error::other)?;
    let responder = Responder::new(Arc::clone(engine.server_shared()), Box::new(random));
    Ok(Answering::new(
        responder,
        engine.server_snapshots(),
        support.message_flags(),
    ))
}

impl Daemon {
    /// The server sockets were opened or closed: threads follow.
    pub(crate) fn restart_server_threads(&mut self) {
        self.engine.set_server_open(self.sockets.is_listening());
        self.engine.publish(now());
        self.serving.threads.stop();
        for sockets in self.sockets.of_threads() {
            let started = answering(&self.engine, &self.support)
                .and_then(|answering| self.serving.threads.start(answering, sockets));
            if let Err(error) = started {
                let reason = os_linux::error_text(&error);
                let text = format!("Could not start server thread : {reason}");
                self.output.write(Severity::Error, &text);
                return;
            }
        }
    }

    /// Requests, packets of peers and transmit timestamps on a server or PTP socket.
    pub(crate) fn serve_listening(
        &mut self,
        socket: Socket,
        descriptor: RawFd,
        readiness: Readiness,
    ) {
        let at = now();
        self.engine.publish(at);
        let on_ptp = socket == Socket::Ptp;
        let Some(open) = self.sockets.find(socket, descriptor) else {
            return;
        };
        if readiness.error_queue() {
            let engine = &mut self.engine;
            let mut forward = |remote, payload: &[u8], sent| {
                let report = TransmitReport {
                    socket,
                    remote,
                    payload,
                    sent: Some(sent),
                    hardware: None,
                };
                engine.handle_transmit_report(at, &report);
            };
            self.serving
                .answering
                .take_transmit_timestamps(open, on_ptp, &mut forward);
            return;
        }
        let mut leftovers = Vec::new();
        let noticed = self
            .serving
            .answering
            .serve(open, on_ptp, &mut |left, datagram, answer| {
                leftovers.extend(Forwarded::from_leftover(left, datagram, answer));
            });
        if noticed.missing_timestamp {
            self.support.keep_timestamping_on();
        }
        if let Some(interface) = noticed.stamped_interface {
            self.read_card_if_due(interface);
        }
        for leftover in leftovers {
            self.take_leftover(socket, leftover);
        }
    }

    /// What the server threads could not deal with, the end of one of them included.
    pub(crate) fn take_forwarded(&mut self) {
        if self.serving.threads.take_ended() {
            let text = "A server thread ended unexpectedly, starting the threads anew";
            self.output.write(Severity::Error, text);
            self.restart_server_threads();
        }
        let forwarded: Vec<Forwarded> = self.serving.threads.forwarded().collect();
        for leftover in forwarded {
            self.take_leftover(Socket::Server, leftover);
        }
    }

    fn take_leftover(&mut self, socket: Socket, leftover: Forwarded) {
        match leftover {
            Forwarded::Packet {
                remote,
                local,
                interface,
                payload,
                received,
                hardware,
            } => {
                let datagram = Datagram {
                    socket,
                    remote,
                    local,
                    interface,
                    payload: &payload,
                    received,
                    hardware,
                };
                if self.engine.handle_datagram(now(), &datagram) == Served::Yes {
                    self.answer_passed_back(&datagram);
                }
            }
            Forwarded::Sign {
                remote,
                local,
                interface,
                key_id,
                answer,
            } => {
                let client = Client {
                    socket,
                    remote,
                    local,
                    interface,
                };
                self.sign(client, key_id, &answer);
            }
        }
    }

    /// An association passed a packet back: it is a request after all.
    fn answer_passed_back(&mut self, datagram: &Datagram<'_>) {
        let family = IpFamily::of(datagram.remote.ip());
        let Some(open) = self.sockets.listening(datagram.socket, family) else {
            return;
        };
        let kernel =
            (datagram.received.source != TimestampSource::Daemon).then_some(datagram.received.raw);
        let received = Received {
            data: datagram.payload,
            source: Some(datagram.remote),
            ancillary: Ancillary {
                local: datagram.local,
                interface: datagram.interface,
                kernel_time: kernel,
                ..Ancillary::default()
            },
            truncated: false,
        };
        let on_ptp = datagram.socket == Socket::Ptp;
        self.serving
            .answering
            .answer_one(open, &received, on_ptp, datagram.received);
    }
}
