//! The program as a user meets it.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const DEADLINE: Duration = Duration::from_secs(60);

/// A program that is killed in the end.
struct Running(Child);

impl Running {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdout(Stdio::null());
        Self(command.spawn().expect(program))
    }

    fn send(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id() as i32), signal).expect("kill");
    }

    fn is_stopped(&self) -> bool {
        let path = format!("/proc/{}/stat", self.0.id());
        let stat = std::fs::read_to_string(path).expect("stat");
        let state = stat.rsplit(") ").next().expect("state");
        state.starts_with('T')
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < DEADLINE, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_server_goes_on_when_the_generator_is_killed() {
    // Stands for a server: it is only stopped and continued.
    let server = Running::start("sleep", &["1000"]);
    let pid = server.0.id().to_string();
    let options = ["--burst", "1000", "--seconds", "1000", "--pid", &pid];
    let options = [&options[..], &["127.0.0.1:9"]].concat();
    let generator = Running::start(env!("CARGO_BIN_EXE_ntpload"), &options);
    // Caught in the middle of a burst: the generator stands, too.
    wait_until("a burst", || {
        generator.send(Signal::SIGSTOP);
        wait_until("the generator stands", || generator.is_stopped());
        let caught = server.is_stopped();
        if !caught {
            generator.send(Signal::SIGCONT);
        }
        caught
    });
    generator.send(Signal::SIGKILL);
    wait_until("the server goes on", || !server.is_stopped());
}

#[test]
fn a_count_is_a_count_and_silence_is_a_failure() {
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").expect("socket");
    let address = nobody.local_addr().expect("address").to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_ntpload"))
        .args(["--count", "10", &address])
        .output()
        .expect("ntpload");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.starts_with("sent 10 "), "{printed}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("ntpload: no answer: "), "{said}");
    assert_eq!(output.status.code(), Some(1));
}
