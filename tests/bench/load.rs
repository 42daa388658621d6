//! Populations as large as those of a busy machine, for the benches. Measures nothing.

use std::{
    fs::File,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use socket2::Type;

use crate::population::{Population, SocketShare, bound, connection, listener, plain, time_wait};

const LOCAL4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOCAL6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// How many of what, spread over `processes` processes; a connection is two sockets.
#[derive(Clone, Copy, Default)]
pub struct Load {
    pub processes: usize,
    pub connections4: usize,
    pub connections6: usize,
    pub listeners4: usize,
    pub listeners6: usize,
    pub udp4: usize,
    pub udp6: usize,
    pub bound: usize,
    /// Gone after 60 s.
    pub time_wait: usize,
    /// Descriptors that are no sockets, in each process.
    pub files: usize,
    /// Processes without sockets.
    pub background: usize,
    pub background_files: usize,
}

/// About 31,000 sockets and 56,000 descriptors over 100 processes.
pub const BUSY: Load = Load {
    processes: 50,
    connections4: 14_000,
    connections6: 200,
    listeners4: 300,
    listeners6: 50,
    udp4: 1_000,
    udp6: 100,
    bound: 500,
    time_wait: 1_000,
    files: 100,
    background: 50,
    background_files: 400,
};

/// 200,000 sockets.
pub const LARGE: Load = Load {
    processes: 50,
    connections4: 94_975,
    connections6: 0,
    listeners4: 0,
    listeners6: 0,
    udp4: 10_000,
    udp6: 0,
    bound: 0,
    time_wait: 0,
    files: 100,
    background: 50,
    background_files: 1_000,
};

impl Load {
    /// Builds it in the network namespace of the calling thread.
    pub fn build(&self) -> io::Result<Population> {
        let mut population = Population::default();
        for _ in 0..self.background {
            let mut share = SocketShare::default();
            open_files(&mut share, self.background_files)?;
            population.give(share)?;
        }
        for number in 0..self.processes {
            population.give(self.share(number)?)?;
            // A large process would pass its peak memory on to the ones it starts and measures.
            population.forget_rows();
        }
        self.add_time_wait(&mut population)?;
        Ok(population)
    }

    fn add_time_wait(&self, population: &mut Population) -> io::Result<()> {
        let mut share = SocketShare::default();
        let listening_socket = listener(LOCAL4, plain)?;
        for _ in 0..self.time_wait {
            share.expect(time_wait(&listening_socket, LOCAL4)?);
        }
        population.keep(share);
        population.forget_rows();
        Ok(())
    }

    fn share(&self, number: usize) -> io::Result<SocketShare> {
        let part =
            |whole: usize| whole * (number + 1) / self.processes - whole * number / self.processes;
        let mut share = SocketShare::default();
        connect(&mut share, LOCAL4, part(self.connections4))?;
        connect(&mut share, LOCAL6, part(self.connections6))?;
        for (address, count) in [(LOCAL4, self.listeners4), (LOCAL6, self.listeners6)] {
            for _ in 0..part(count) {
                share.take(listener(address, plain)?, "LISTEN")?;
            }
        }
        for (address, count) in [(LOCAL4, self.udp4), (LOCAL6, self.udp6)] {
            for _ in 0..part(count) {
                share.take(bound(Type::DGRAM, address, plain)?, "UNCONNECTED")?;
            }
        }
        for _ in 0..part(self.bound) {
            share.take(bound(Type::STREAM, LOCAL4, plain)?, "BOUND")?;
        }
        open_files(&mut share, self.files)?;
        Ok(share)
    }
}

/// Connections to a listener of their own, so that the ephemeral range suffices for each share.
fn connect(share: &mut SocketShare, address: IpAddr, count: usize) -> io::Result<()> {
    if count == 0 {
        return Ok(());
    }
    let listening_socket = listener(address, plain)?;
    for _ in 0..count {
        let (client, accepted) = connection(&listening_socket, address)?;
        share.take(client, "ESTABLISHED")?;
        share.take(accepted, "ESTABLISHED")?;
    }
    share.take(listening_socket, "LISTEN")
}

fn open_files(share: &mut SocketShare, count: usize) -> io::Result<()> {
    for _ in 0..count {
        share.take_file(File::open("/dev/null")?);
    }
    Ok(())
}
