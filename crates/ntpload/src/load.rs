//! The load itself: requests go out as answers come in.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use discipline::time::RawTime;
use os_linux::clock::raw_time;
use os_linux::event::{Interest, PollSet, Timeout};
use os_linux::socket::{
    InheritedSockets, IpFamily, Outgoing, ReceiveBatch, SendBatch, SocketSupport,
    TransmitTimestamps, UdpOptions,
};

use crate::arguments::Arguments;
use crate::client::{Answer, Client};
use crate::garbage;
use crate::process::{Guardian, Stopped, Usage, resident_kib};

/// After this long without any answer the outstanding requests count as lost.
const PATIENCE: Duration = Duration::from_millis(20);
/// How often requests are sent that have a rate.
const TICK: Duration = Duration::from_millis(1);
/// How long the server has for the requests that it got while it was stopped. What comes of
/// them waits in the sockets.
const BURST_TIME: Duration = Duration::from_millis(5);
/// Most requests of a tick, if the generator was held up: what fits a server's socket.
const BURST_MAX: u64 = 200;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Result {
    seconds: f64,
    sent: u64,
    basic: u64,
    interleaved: u64,
    late: u64,
    wrong: u64,
    garbage: u64,
    /// Of the server.
    usage: Option<Usage>,
    /// From the moment when the server went on to its last answer, seconds, all bursts together.
    burst_s: f64,
    /// After a tenth of the load, and at the end.
    server_memory_kib: [Option<u64>; 2],
}

impl Result {
    /// Whether every answer was right.
    pub(crate) fn is_right(&self) -> bool {
        self.wrong == 0
    }

    /// Whether requests were sent and none was answered.
    pub(crate) fn is_silence(&self) -> bool {
        self.sent > self.garbage && self.answers() + self.wrong == 0
    }

    fn answers(&self) -> u64 {
        self.basic + self.interleaved + self.late
    }
}

impl fmt::Display for Result {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers = self.answers();
        write!(
            f,
            "sent {} (garbage {}) answers {answers} (interleaved {}, late {}) wrong {} rate {:.0}/s",
            self.sent,
            self.garbage,
            self.interleaved,
            self.late,
            self.wrong,
            answers as f64 / self.seconds
        )?;
        if self.burst_s > 0.0 {
            write!(f, " burst-rate {:.0}/s", answers as f64 / self.burst_s)?;
        }
        if let Some(Usage { cpu_time_s, sleeps }) = self.usage {
            let each_us = cpu_time_s * 1e6 / answers.max(1) as f64;
            let at_once = answers as f64 / sleeps.max(1) as f64;
            write!(
                f,
                " server-cpu {cpu_time_s:.2} s, {each_us:.3} us/request, {at_once:.1} requests/wakeup"
            )?;
        }
        if let [Some(early), Some(kib)] = self.server_memory_kib {
            write!(f, " server-rss {kib} KiB (after a tenth {early} KiB)")?;
        }
        Ok(())
    }
}

/// A socket with the requests to be sent from it.
struct Channel {
    socket: std::net::UdpSocket,
    requests: SendBatch,
}

impl Channel {
    /// `stamped`: the kernel tells when an answer arrived.
    fn open(support: &mut SocketSupport, server: SocketAddr, stamped: bool) -> io::Result<Self> {
        let family = IpFamily::of(server.ip());
        let options = UdpOptions {
            bind: Some(SocketAddr::new(family.any(), 0)),
            packet_info: true,
            timestamps: stamped.then_some(TransmitTimestamps::PerMessage),
            ..UdpOptions::new(family)
        };
        let opened = support
            .open_udp(&options)
            .map_err(|error| io::Error::other(format!("could not open a socket: {error}")))?;
        Ok(Self {
            socket: opened.socket,
            requests: SendBatch::new(),
        })
    }

    fn flush(&mut self) {
        // What the kernel does not take counts as lost.
        self.requests.flush(self.socket.as_fd(), |_, _| {});
    }
}

struct Load<'a> {
    arguments: &'a Arguments,
    clients: Vec<Client>,
    next: u32,
    random: u64,
    /// The client with a number has the one with that number, modulo their count.
    channels: Vec<Channel>,
    replies: ReceiveBatch,
    /// Requests that may still be answered.
    outstanding: usize,
    /// When the kernel got the latest answer of a burst.
    last_arrival: Option<RawTime>,
    result: Result,
}

/// Runs the load.
pub(crate) fn run(arguments: &Arguments) -> io::Result<Result> {
    let mut support = SocketSupport::probe(InheritedSockets::new(None));
    let stamped = arguments.burst.is_some();
    let channels =
        (0..arguments.sockets).map(|_| Channel::open(&mut support, arguments.server, stamped));
    let count = arguments.sources.map_or(1, |sources| sources.count);
    let mut load = Load {
        arguments,
        clients: vec![Client::default(); count as usize],
        next: 0,
        random: 0x9e37_79b9_7f4a_7c15,
        channels: channels.collect::<io::Result<_>>()?,
        replies: ReceiveBatch::new(),
        outstanding: 0,
        last_arrival: None,
        result: Result::default(),
    };
    load.run()?;
    Ok(load.result)
}

impl Load<'_> {
    fn run(&mut self) -> io::Result<()> {
        let before = self.arguments.pid.and_then(Usage::of);
        let start = Instant::now();
        match (
            self.arguments.rate,
            self.arguments.burst,
            self.arguments.pid,
        ) {
            (_, Some(size), Some(pid)) => self.run_in_bursts(size, pid, start)?,
            (Some(rate), ..) => self.run_at(rate, start),
            _ => self.run_at_full_speed(start)?,
        }
        self.result.seconds = start.elapsed().as_secs_f64();
        // The last answers.
        std::thread::sleep(PATIENCE);
        while self.receive() > 0 {}
        let after = self.arguments.pid.and_then(Usage::of);
        self.result.usage = after.zip(before).map(|(after, before)| after.since(before));
        self.result.server_memory_kib[1] = self.arguments.pid.and_then(resident_kib);
        Ok(())
    }

    /// Whether to go on; notes the memory when a tenth is over.
    fn goes_on(&mut self, start: Instant) -> bool {
        let by_time = start.elapsed().as_secs_f64() / self.arguments.seconds;
        let by_count = self.result.sent as f64 / self.arguments.count as f64;
        let done = by_time.max(by_count);
        if done >= 0.1 && self.result.server_memory_kib[0].is_none() {
            self.result.server_memory_kib[0] = self.arguments.pid.and_then(resident_kib);
        }
        done < 1.0
    }

    /// Keeps the window full.
    fn run_at_full_speed(&mut self, start: Instant) -> io::Result<()> {
        let mut set = PollSet::default();
        self.send(self.arguments.window);
        while self.goes_on(start) {
            set.clear();
            for channel in &self.channels {
                set.add(channel.socket.as_fd(), Interest::READ);
            }
            if set.wait(Timeout::after(PATIENCE))? == 0 {
                self.outstanding = 0;
            }
            self.receive();
            self.send(self.arguments.window.saturating_sub(self.outstanding));
        }
        Ok(())
    }

    /// Sends what is due, sleeps, and takes what came meanwhile.
    fn run_at(&mut self, rate: f64, start: Instant) {
        let mut due_before = 0;
        while self.goes_on(start) {
            let due = (start.elapsed().as_secs_f64() * rate) as u64;
            self.send((due - due_before).min(BURST_MAX) as usize);
            due_before = due;
            std::thread::sleep(TICK);
            while self.receive() > 0 {}
        }
    }

    /// Sends while the server stands, and sleeps while it answers.
    fn run_in_bursts(&mut self, size: usize, pid: u32, start: Instant) -> io::Result<()> {
        let _guardian = Guardian::new(pid)?;
        while self.goes_on(start) {
            let stopped = Stopped::new(pid)?;
            self.send(size);
            self.last_arrival = None;
            // It may go on in the place of this thread.
            let begin = raw_time();
            drop(stopped);
            std::thread::sleep(BURST_TIME);
            while self.receive() > 0 {}
            if let Some(end) = self.last_arrival {
                self.result.burst_s += end.since(begin).max(0.0);
            }
        }
        Ok(())
    }

    /// Takes a batch from every socket.
    fn receive(&mut self) -> usize {
        (0..self.channels.len())
            .map(|index| self.receive_from(index))
            .sum()
    }

    fn receive_from(&mut self, index: usize) -> usize {
        let socket = self.channels[index].socket.as_fd();
        let Ok(count) = self.replies.receive(socket) else {
            return 0;
        };
        for reply in self.replies.iter() {
            self.last_arrival = self.last_arrival.max(reply.ancillary.kernel_time);
            let number = client_number(self.arguments, reply.ancillary.local);
            let Some(client) = self.clients.get_mut(number) else {
                continue;
            };
            match client.accept(&self.arguments.mode, reply.data) {
                Answer::Basic => self.result.basic += 1,
                Answer::Interleaved => self.result.interleaved += 1,
                Answer::Late => self.result.late += 1,
                Answer::Wrong => self.result.wrong += 1,
            }
        }
        self.outstanding = self.outstanding.saturating_sub(count);
        count
    }

    fn send(&mut self, count: usize) {
        let left = self.arguments.count.saturating_sub(self.result.sent);
        for _ in 0..left.min(count as u64) {
            self.push();
        }
        for channel in &mut self.channels {
            channel.flush();
        }
    }

    fn push(&mut self) {
        let number = self.next % self.clients.len().max(1) as u32;
        self.next = self.next.wrapping_add(1);
        let source = self
            .arguments
            .sources
            .map(|sources| sources.address(number));
        let random = &mut self.random;
        let mut draw = || {
            // SplitMix64: timestamps have to differ, not to be secret.
            *random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (*random ^ (*random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed ^ (mixed >> 27)
        };
        let is_garbage = draw() % 100 < u64::from(self.arguments.garbage_percent);
        let index = number as usize % self.channels.len();
        let channel = &mut self.channels[index];
        if channel.requests.is_full() {
            channel.flush();
        }
        let (Some(client), Some(buffer)) = (
            self.clients.get_mut(number as usize),
            channel.requests.buffer(),
        ) else {
            return;
        };
        let length = if is_garbage {
            self.result.garbage += 1;
            garbage::write(&mut draw, buffer)
        } else {
            self.outstanding += 1;
            client.request(&self.arguments.mode, &mut draw, buffer)
        };
        let outgoing = Outgoing {
            destination: Some(self.arguments.server),
            source,
            ..Outgoing::default()
        };
        channel.requests.commit(length, &outgoing);
        self.result.sent += 1;
    }
}

fn client_number(arguments: &Arguments, local: Option<IpAddr>) -> usize {
    match (arguments.sources, local) {
        (Some(sources), Some(IpAddr::V4(local))) => {
            u32::from(local).wrapping_sub(u32::from(sources.first)) as usize
        }
        _ => 0,
    }
}
