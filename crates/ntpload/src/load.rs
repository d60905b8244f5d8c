//! The load itself: requests go out as answers come in.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use os_linux::event::{Interest, PollSet, Timeout};
use os_linux::socket::{
    InheritedSockets, IpFamily, Outgoing, ReceiveBatch, SendBatch, SocketSupport, UdpOptions,
};

use crate::arguments::Arguments;
use crate::client::{Answer, Client};
use crate::process::{cpu_time_s, resident_kib};

/// After this long without any answer the outstanding requests count as lost.
const PATIENCE: Duration = Duration::from_millis(20);

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Result {
    seconds: f64,
    sent: u64,
    basic: u64,
    interleaved: u64,
    late: u64,
    wrong: u64,
    server_cpu_s: Option<f64>,
    server_memory_kib: Option<u64>,
}

impl Result {
    fn answers(&self) -> u64 {
        self.basic + self.interleaved + self.late
    }
}

impl fmt::Display for Result {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers = self.answers();
        write!(
            f,
            "sent {} answers {answers} (interleaved {}) wrong {} rate {:.0}/s",
            self.sent,
            self.interleaved,
            self.wrong,
            answers as f64 / self.seconds
        )?;
        if let Some(cpu_s) = self.server_cpu_s {
            let each_us = cpu_s * 1e6 / answers.max(1) as f64;
            write!(f, " server-cpu {cpu_s:.2} s, {each_us:.3} us/request")?;
        }
        if let Some(kib) = self.server_memory_kib {
            write!(f, " server-rss {kib} KiB")?;
        }
        Ok(())
    }
}

struct Load<'a> {
    arguments: &'a Arguments,
    clients: Vec<Client>,
    next: u32,
    random: u64,
    socket: std::net::UdpSocket,
    replies: ReceiveBatch,
    requests: SendBatch,
    result: Result,
}

/// Runs the load.
pub(crate) fn run(arguments: &Arguments) -> io::Result<Result> {
    let mut support = SocketSupport::probe(InheritedSockets::new(None));
    let family = IpFamily::of(arguments.server.ip());
    let options = UdpOptions {
        bind: Some(SocketAddr::new(family.any(), 0)),
        packet_info: true,
        ..UdpOptions::new(family)
    };
    let opened = support
        .open_udp(&options)
        .map_err(|error| io::Error::other(format!("could not open a socket: {error:?}")))?;
    let count = arguments.sources.map_or(1, |sources| sources.count);
    let mut load = Load {
        arguments,
        clients: vec![Client::default(); count as usize],
        next: 0,
        random: 0x9e37_79b9_7f4a_7c15,
        socket: opened.socket,
        replies: ReceiveBatch::new(),
        requests: SendBatch::new(),
        result: Result::default(),
    };
    load.run()?;
    Ok(load.result)
}

impl Load<'_> {
    fn run(&mut self) -> io::Result<()> {
        let cpu_before = self.arguments.pid.and_then(cpu_time_s);
        let start = Instant::now();
        let end = start + Duration::from_secs_f64(self.arguments.seconds);
        let mut set = PollSet::default();
        self.send(self.arguments.window);
        while Instant::now() < end {
            set.clear();
            set.add(self.socket.as_fd(), Interest::READ);
            if set.wait(Timeout::after(PATIENCE))? == 0 {
                self.send(self.arguments.window);
                continue;
            }
            let answered = self.receive();
            self.send(answered);
        }
        self.result.seconds = start.elapsed().as_secs_f64();
        let cpu_after = self.arguments.pid.and_then(cpu_time_s);
        self.result.server_cpu_s = cpu_after
            .zip(cpu_before)
            .map(|(after, before)| after - before);
        self.result.server_memory_kib = self.arguments.pid.and_then(resident_kib);
        Ok(())
    }

    fn receive(&mut self) -> usize {
        let Ok(count) = self.replies.receive(self.socket.as_fd()) else {
            return 0;
        };
        for reply in self.replies.iter() {
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
        count
    }

    fn send(&mut self, count: usize) {
        for _ in 0..count {
            if self.requests.is_full() {
                self.flush();
            }
            self.push();
        }
        self.flush();
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
        let (Some(client), Some(buffer)) = (
            self.clients.get_mut(number as usize),
            self.requests.buffer(),
        ) else {
            return;
        };
        let mut length = client.request(&self.arguments.mode, &mut draw, buffer);
        if is_garbage {
            length = (draw() % length.max(1) as u64) as usize;
            buffer[..length].fill(draw() as u8);
        }
        let outgoing = Outgoing {
            destination: Some(self.arguments.server),
            source,
            ..Outgoing::default()
        };
        self.requests.commit(length, &outgoing);
        self.result.sent += 1;
    }

    fn flush(&mut self) {
        // What the kernel does not take counts as lost.
        self.requests.flush(self.socket.as_fd(), |_, _| {});
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
