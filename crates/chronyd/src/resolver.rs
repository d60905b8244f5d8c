//! Name resolution off the main thread (system chapter, section 7.1).
//!
//! One helper thread, started with the first name, resolves one name after another with
//! the C library's resolver (which notices a changed `resolv.conf` by itself), hands the
//! answers back by a channel and wakes the event loop. Every failure counts as temporary:
//! the answer is then empty and the engine asks again later.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use engine::names::{Family, QueryId, ResolvedAddress};

/// Most addresses of a name that are used.
const ADDRESSES_MAX: usize = 16;

/// Any port will do to test for a route.
const PROBE_PORT: u16 = 123;

struct Question {
    query: QueryId,
    name: String,
    family: Option<Family>,
}

/// The answer to a query.
#[derive(Debug)]
pub struct Answer {
    /// Which query.
    pub query: QueryId,
    /// Usable addresses in the resolver's order, at most 16.
    pub addresses: Vec<ResolvedAddress>,
}

/// The helper thread's handle.
pub struct Resolver {
    wake: Arc<dyn Fn() + Send + Sync>,
    questions: Option<Sender<Question>>,
    answers: (Sender<Answer>, Receiver<Answer>),
    /// Questions without an answer so far.
    pending: usize,
}

impl Resolver {
    /// `wake` makes the event loop call [`Resolver::poll_answer`].
    pub fn new(wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self {
            wake,
            questions: None,
            answers: channel(),
            pending: 0,
        }
    }

    /// Queues a name. An error means that the helper thread could not be started.
    pub fn ask(
        &mut self,
        query: QueryId,
        name: String,
        family: Option<Family>,
    ) -> std::io::Result<()> {
        let question = Question {
            query,
            name,
            family,
        };
        let question = match &self.questions {
            None => question,
            Some(questions) => match questions.send(question) {
                Ok(()) => {
                    self.pending += 1;
                    return Ok(());
                }
                // The thread is gone; start another.
                Err(unsent) => unsent.0,
            },
        };
        let questions = self.start()?;
        // The receiver lives in the thread just started.
        let _ = questions.send(question);
        self.questions = Some(questions);
        self.pending += 1;
        Ok(())
    }

    /// The next answer, if there is one.
    pub fn poll_answer(&mut self) -> Option<Answer> {
        let answer = self.answers.1.try_recv().ok()?;
        self.pending = self.pending.saturating_sub(1);
        Some(answer)
    }

    /// Whether an answer is still to come.
    pub fn is_busy(&self) -> bool {
        self.pending > 0
    }

    fn start(&self) -> std::io::Result<Sender<Question>> {
        let (sender, receiver) = channel::<Question>();
        let answers = self.answers.0.clone();
        let wake = Arc::clone(&self.wake);
        std::thread::Builder::new()
            .name("resolver".to_owned())
            .spawn(move || {
                for Question {
                    query,
                    name,
                    family,
                } in receiver
                {
                    let addresses = look_up(&name, family);
                    if answers.send(Answer { query, addresses }).is_err() {
                        return;
                    }
                    wake();
                }
            })?;
        Ok(sender)
    }
}

/// Resolves a name, blocking.
pub fn look_up(name: &str, family: Option<Family>) -> Vec<ResolvedAddress> {
    let Ok(found) = (name, 0).to_socket_addrs() else {
        return Vec::new();
    };
    let mut addresses: Vec<ResolvedAddress> = Vec::new();
    for found in found {
        if matches!(found, SocketAddr::V6(v6) if v6.scope_id() != 0) {
            continue;
        }
        let address = found.ip();
        let wanted = family.is_none_or(|family| Family::of(&address) == family);
        if wanted && !addresses.iter().any(|known| known.address == address) {
            let connectable = has_route(address);
            addresses.push(ResolvedAddress {
                address,
                connectable,
            });
        }
        if addresses.len() == ADDRESSES_MAX {
            break;
        }
    }
    addresses
}

/// Whether a UDP socket can be connected to the address. Nothing is sent.
pub fn has_route(address: IpAddr) -> bool {
    let any: SocketAddr = match address {
        IpAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        IpAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    UdpSocket::bind(any).is_ok_and(|socket| socket.connect((address, PROBE_PORT)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    #[test]
    fn answers_come_back_in_order_and_wake() {
        let (woken, wakes) = sync_channel(10);
        let mut resolver = Resolver::new(Arc::new(move || woken.send(()).unwrap()));
        resolver
            .ask(QueryId(1), "localhost".into(), Some(Family::V4))
            .unwrap();
        resolver
            .ask(QueryId(2), "no-such-name.invalid".into(), None)
            .unwrap();
        for expected in [1, 2] {
            wakes.recv_timeout(Duration::from_secs(60)).unwrap();
            let answer = resolver.poll_answer().unwrap();
            assert_eq!(answer.query, QueryId(expected));
            if expected == 1 {
                let address = ResolvedAddress {
                    address: [127, 0, 0, 1].into(),
                    connectable: true,
                };
                assert_eq!(answer.addresses, [address]);
            } else {
                assert!(answer.addresses.is_empty());
            }
        }
    }
}
