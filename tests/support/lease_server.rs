//! Starts `portscope serve` for a test, in the network namespace of the thread.

#![allow(dead_code, reason = "each test binary uses a part of this file")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use crate::outputs::program;

/// Timeout for events that should be immediate.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// A running server. Dropping it kills it.
pub struct Server {
    process: Child,
    pub socket: PathBuf,
    reported: Arc<Mutex<String>>,
}

impl Server {
    /// Returns once the server listens.
    pub fn start(socket: &Path, options: &[&str]) -> Self {
        Self::start_by(program(), socket, options)
    }

    /// Same as `start`, with a command whose last argument so far is the path of our program.
    pub fn start_by(mut program: Command, socket: &Path, options: &[&str]) -> Self {
        let mut process = program
            .env("LC_ALL", "C.UTF-8")
            .arg("serve")
            .arg("--socket")
            .arg(socket)
            .args(options)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("our program");
        let reported = Arc::<Mutex<String>>::default();
        let mut lines = BufReader::new(process.stderr.take().expect("a pipe"));
        let mut first = String::new();
        lines.read_line(&mut first).expect("its first line");
        assert!(first.contains("PORTSERVER_ADDRESS="), "{first}");
        *reported.lock().expect("nobody panics with it") = first;
        let log = Arc::clone(&reported);
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut log = log.lock().expect("nobody panics with it");
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { process, socket: socket.to_owned(), reported }
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Returns its stderr so far.
    pub fn reported(&self) -> String {
        self.reported.lock().expect("nobody panics with it").clone()
    }

    pub fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).expect("the server listens");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a time");
        stream
    }

    /// Sends `said`, and returns the bytes received before the connection is closed.
    pub fn ask(&self, said: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        stream.write_all(said).expect("the server reads");
        answer(&mut stream)
    }

    /// Requests a port for the process; None: refused.
    pub fn lease(&self, pid: u32) -> Option<u16> {
        parse(&self.ask(format!("{pid}\n").as_bytes()))
    }

    pub fn signal(&self, signal: Signal) {
        signal_to(self.pid(), signal);
    }

    /// Stops the process, and returns once it no longer runs.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        let pid = Pid::from_raw(self.pid().cast_signed()).expect("a pid");
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(pid), stopped).expect("a child of ours");
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait().expect("a child of ours")
    }

    /// Counts its open descriptors.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("our child").count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A process that does nothing, as a lease holder.
pub struct LeaseHolder(Child);

impl LeaseHolder {
    pub fn new() -> Self {
        Self(Command::new("sleep").arg("1000").spawn().expect("sleep"))
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Kills the process. It remains a zombie until it is dropped.
    pub fn kill(&mut self) {
        self.0.kill().expect("a child of ours");
    }
}

impl Drop for LeaseHolder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn signal_to(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, signal).expect("a child of ours");
}

/// Ends the request, and reads until the connection is closed.
pub fn end(stream: &mut UnixStream) -> Vec<u8> {
    stream.shutdown(Shutdown::Write).expect("it is open");
    answer(stream)
}

/// Reads until the connection is closed.
pub fn answer(stream: &mut UnixStream) -> Vec<u8> {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        // The server closed the connection with unread data.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("no answer: {error}"),
    }
    answer
}

/// Parses a port and a newline, or an empty answer.
pub fn parse(answer: &[u8]) -> Option<u16> {
    if answer.is_empty() {
        return None;
    }
    let line = str::from_utf8(answer).expect("ASCII").strip_suffix('\n').expect("a whole line");
    Some(line.parse().expect("a port"))
}

/// Waits until the condition is true.
pub fn until(what: &str, mut is_met: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_met() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
