//! The help: `-h` prints the options, one per line; `--help` prints the texts of this file below
//! them.

use std::ffi::OsString;

use clap::CommandFactory as _;

use crate::{allocator::ALLOCATORS, cli::args::Arguments};

pub const ABOUT: &str = "\
Show which processes use the TCP and UDP ports of this machine, and why connect() or bind() finds \
no port. Includes a port allocator.

Without a command, opens the terminal program. Keys: 1 overview, 2 map of the ports, 3 sockets, \
4 allocator, 5 lab, ? lists all keys.";

/// The hint that clap adds to the help of the option `--help`, and the hint that replaces it in the
/// output of `--help`.
const SEE_MORE: &str = "(see more with '--help')";
const SEE_LESS: &str = "(-h lists the options only)";

/// Renders the help that the arguments request. Does not use the long help of clap, which has about
/// five lines for each option.
pub fn render(arguments: &[OsString]) -> String {
    let mut root = Arguments::command();
    root.build();
    let named = arguments.get(1).and_then(|name| root.find_subcommand(name)).cloned();
    let mut command = named.unwrap_or(root);
    if !is_long(arguments) {
        return command.render_help().to_string();
    }
    if let Some(text) = command.get_after_long_help().cloned() {
        command = command.after_help(text);
    }
    command.render_help().to_string().replace(SEE_MORE, SEE_LESS)
}

/// Whether `--help` was typed, and no `-h` before it.
fn is_long(arguments: &[OsString]) -> bool {
    let mut asked = arguments.iter().filter(|word| *word == "-h" || *word == "--help");
    asked.next().is_some_and(|word| word == "--help")
}

pub fn root() -> String {
    let ranges = ranges(0);
    format!(
        "{TARGETS}\n\n\
         {ranges}\n\n\
         Themes: auto (detects the terminal background), dark, light, high-contrast, \
         high-contrast-light.\n\n\
         Colours: auto (respects NO_COLOR), always, never, 16, 256, truecolor.\n\n\
         Examples:\n  \
         portscope 8080              # port 8080 on the map, with its sockets\n  \
         portscope redis             # the ports of redis on the map\n  \
         portscope scan -tl nginx    # the listening TCP sockets of nginx\n  \
         portscope diagnose          # why connect() or bind() finds no port\n  \
         portscope explain 8080      # who holds port 8080, what it blocks\n\n\
         Exit codes: 0 success; 1 negative result (no port found; with explain, the port is not in \
         use or the process has no socket; with --strict, information is missing); 2 error. \
         With diagnose: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. With exec: that of COMMAND."
    )
}

pub fn scan() -> String {
    let ranges = ranges(0);
    format!(
        "{TARGETS} ADDRESS:PORT selects sockets by their local or remote endpoint.\n\n\
         {FILTERS}\n\n\
         {ranges}\n\n\
         --range selects sockets by their local port. --netns takes a name in /run/netns, a pid, \
         a path, or all.\n\n\
         --sort takes state, local (the default), remote, owner, user, unit, queue or protocol. \
         --group prints a row for each owner, destination, state, port, user, unit or container, \
         with the number of its sockets and of the distinct ports of the ephemeral range that they \
         use; --sort then takes sockets (the default), ports or name. A socket that several \
         programs hold is counted for each of them.\n\n\
         Examples:\n  \
         portscope scan -tlnp\n  \
         portscope scan 8080\n  \
         portscope scan -u nginx\n  \
         portscope scan --filter 'nginx and not listen'\n  \
         portscope scan --group destination --filter time-wait\n  \
         portscope scan --format json --output scan.json\n\n\
         Exit codes: 0 success; 1 the process has no socket, or with --strict: information is \
         missing; 2 error."
    )
}

/// What the argument of the program, of scan and of explain may be.
const TARGETS: &str = "PORT|NAME is a port (8080, :8080, 8080/tcp), ports (8080-8090), an endpoint \
(127.0.0.1:8080, [::1]:8080), pid N, or the name of a process or its beginning, in upper or lower \
case.";

/// What the value of --filter may be.
const FILTERS: &str = "--filter takes the expressions of ss (state time-wait dst 10.0.0.5, sport \
>= 32768, and, or, not, parentheses) and bare words: a part of the owner's name (nginx), a port \
or an address of either end (:8080, :8000-8090, 10.0.0.0/8), pid N, user NAME, unit NAME, to \
ADDRESS:PORT, tcp, udp, listen, time-wait. As ss does, and contrary to its man page, \
`and` and `or` have equal precedence, from left \
to right. Sockets of all states are listed unless the filter names states. A name in quotes is \
always that of an owner. No host name is looked up.";

pub const DIAGNOSE: &str = "\
--sample N scans once per second for N seconds, at least twice, and less often if a scan takes \
much CPU time; --sample 0 scans once. --sample 60 shows how often a destination was full.

--filter (see portscope scan --help) limits destinations and findings to those of matching \
sockets; ranges and the machine concern all sockets. Not with format prometheus.

Without --netns it checks the network namespace of the caller. --netns takes a name in /run/netns, \
a pid, a path, or all.

Text is as wide as COLUMNS says, else as the terminal. It shows the first finding in full, --all \
shows all of them. --color auto colours it on a terminal unless NO_COLOR is set.

--top defaults to 10 in text, 100 in json, 20 in prometheus. Format prometheus is for the textfile \
collector of node_exporter; with it, --output follows no symbolic link and replaces only files \
that are empty or that portscope wrote.

Examples:
  portscope diagnose --warn 50 --critical 75
  portscope diagnose --sample 60 --format json

Exit codes: 0 OK; 1 WARNING; 2 CRITICAL; 3 UNKNOWN (an error, or portscope could not read \
the sockets, the ephemeral range or a network namespace). A NOTICE does not change the exit code.";

pub const EXPLAIN: &str = "\
PORT|NAME is a port (8080, :8080, 8080/tcp), an endpoint (127.0.0.1:8080, which also checks that \
address), pid N, or the name of a process or its beginning, in upper or lower case. For a process, \
explain answers for up to 10 of its ports: first those on which it listens.

--probe binds the port for a moment: if a UDP socket on it allows reuse, a datagram may go to \
portscope instead. Before Linux 6.18, --probe skips a TCP port on which all sockets are connected, \
because after a bind(), connect() would not choose the port until these sockets are closed.

--netns takes a name in /run/netns, a pid, a path, or all.

Examples:
  portscope explain 8080
  portscope explain nginx
  portscope explain 8080 --why
  portscope explain 8080 --probe --address 192.0.2.1

Exit codes: 0 port in use; 1 port not in use, the process has no socket, or with --strict: \
information is missing; 2 error.";

pub const FREE: &str = "\
Shows which processes and connections hold the port, and for each action whether the port is free \
after it and why. Without --yes it changes nothing. With --yes it performs the first action that \
frees the port: it ends closed connections (TIME-WAIT), or else sends SIGTERM to the processes \
that hold the port, or else closes the socket that holds it. If closed connections remain after the end of the \
processes, it ends them too. Then it looks again. Connections that still have data for the peer \
are only ended with --hard, which loses the data.

A process is identified by its pid and its start time, and must hold a socket on the port when it \
receives the signal; a socket is identified by its cookie. A process or socket that gets the same \
number later is not touched. Process 1, the service manager of a user, the first process of a container and portscope \
itself are never ended. A supervisor may start the program again; then the output names the unit, \
and you should stop the unit instead.

The end of another user's process needs CAP_KILL, the end of a connection CAP_NET_ADMIN in the user \
namespace of the network namespace.

Examples:
  portscope free 8080
  portscope free 8080/tcp --yes
  portscope free 8080 --yes --hard

Exit codes: 0 the port is free, or the action shown would free it; 1 nothing frees it, it is \
still in use, or that is unknown; 2 error.";

pub const WAIT: &str = "\
CONDITION is one of:
  8080                  no socket uses the port (8080/tcp: no TCP socket)
  8080 free             the same
  8080 listening        a TCP socket listens on it (8080/udp: a UDP socket)
  available > 20000     TCP ports of the ephemeral range that are not in use
                        (also >=, <, <=; available/udp)

It reads the kernel's tables and makes no connection. It looks at most 50 times a second, and uses \
at most 5 % of a core. With --timeout 0 it looks once.

Examples:
  portscope wait 8080 --timeout 30
  portscope wait 5432 listening
  portscope wait 'available > 20000'

Exit codes: 0 the condition is met; 1 it is not met within --timeout; 2 error.";

pub const RESERVE: &str = "\
Adds PORTS to net.ipv4.ip_local_reserved_ports of the network namespace, or removes them. connect() \
and bind() to port 0 do not choose a reserved port; a bind() to its number still gets it. Sockets \
that use a port keep it.

Shows the difference; with --yes, reads the list, changes it, writes it and reads it back. The \
change lasts until the next boot. The output has the line that makes it permanent in a file of \
/etc/sysctl.d. The \
change needs CAP_NET_ADMIN in the user namespace of the network namespace.

Examples:
  portscope reserve 8080
  portscope reserve 8080,9000-9010 --yes
  portscope reserve 8080 --remove --yes

Exit codes: 0 success; 1 not permitted; 2 error.";

pub fn pick() -> String {
    let (ranges, strategies) = (ranges(1), strategies());
    format!(
        "Binds the port to verify that it is free, and releases it when portscope exits. The \
         number is a hint: another program may bind the port before yours does; exec prevents \
         that.\n\n\
         {ranges}\n\n\
         free is a run of consecutive ports outside the ephemeral range, which connect() never \
         chooses: the longest run in iana, or, if that has fewer than 1024 ports, the longest in \
         registered. If both are shorter, free is all of iana, and connect() may choose ports of \
         it. With --strategy kernel-bind the default range is ephemeral. \
         --exclude browsers skips the ports that web browsers refuse.\n\n\
         {strategies}\n\n\
         Examples:\n  \
         portscope pick --protocol tcp --range 3000-3999 --exclude browsers\n  \
         portscope pick --count 3 --trace\n\n\
         Exit codes: 0 success; 1 no port found; 2 error."
    )
}

pub fn exec() -> String {
    let ranges = ranges(1);
    format!(
        "portscope replaces itself with COMMAND and never closes the socket, so no other program \
         can take the port. COMMAND must use the socket passed as descriptor 3. A program that \
         binds PORT itself fails with EADDRINUSE and needs --no-hold; another program may then \
         bind the port first.\n\n\
         Sockets are passed as in systemd's socket activation (LISTEN_FDS, LISTEN_PID, \
         LISTEN_FDNAMES), from descriptor 3: one listening TCP socket per port. With --protocol \
         both, the UDP socket of a port follows its TCP socket. The environment variable PORT \
         holds the first port; PORT_1, PORT_2 and so on hold the ports of --count or --block. \
         LISTEN_PID is the pid of COMMAND itself; if COMMAND is a shell, it must exec the \
         program.\n\n\
         If the range is a single port (--range 8080), and every socket on it is a TCP connection \
         closed by its process (e.g. in TIME-WAIT), exec binds it with SO_REUSEADDR. \
         The bind succeeds only \
         if the closed sockets had set SO_REUSEADDR too. With --no-hold, COMMAND must set SO_REUSEADDR itself. The \
         sockets are numbered from 3 and replace open descriptors with these numbers; COMMAND \
         inherits the other descriptors and the environment. --netns applies to the ports only: \
         COMMAND runs in the caller's namespace.\n\n\
         {ranges} pick --help lists the strategies.\n\n\
         Examples:\n  \
         portscope exec -- ./server\n  \
         portscope exec --range 8080 -- sh -c 'exec ./server'\n  \
         portscope exec --no-hold -- sh -c 'python3 -m http.server $PORT'\n\n\
         Exit codes: that of COMMAND; if COMMAND was not started: 75 no port found, 126 COMMAND \
         cannot be executed, 127 COMMAND not found, 2 error."
    )
}

pub fn serve() -> String {
    let ranges = ranges(1);
    format!(
        "The protocol is that of Google's portserver: unmodified clients, such as Python's \
         portpicker, use the socket named by PORTSERVER_ADDRESS. The umask sets the permissions \
         of a socket with a path: clients that may write to it may lease ports. @NAME has no \
         permissions: any process in its network namespace may lease ports.\n\n\
         A port is bound for a moment to verify that it is free. When the process that it was \
         leased to has exited and the port can be bound, its quarantine begins: it is not leased \
         for --quarantine seconds, 0 to 86400. With --drain, portscope instead keeps it bound \
         until no datagram has arrived for SECONDS. Then it can be leased again.\n\n\
         {ranges}\n\n\
         Example:\n  \
         portscope serve --socket /tmp/ports --range 20000-29999\n\n\
         Runs until a signal ends it; SIGUSR1 prints statistics. Exit code 2: error."
    )
}

pub fn lab() -> String {
    let (ranges, strategies) = (ranges(1), strategies());
    format!(
        "--occupancy selects the occupied ports. Except with live, each run uses a new set:\n  \
         uniform    in memory, each set equally likely, the same for all strategies\n  \
         clustered  in memory, in runs of 64 ports on average, same for all strategies\n  \
         built      in memory, allocated earlier by the same strategy\n  \
         live       the ports in use on this host, with real binds\n\n\
         --runs defaults to 10000, with --occupancy built to 100, with --race to 1000. --band \
         defaults to the formula of Kubernetes.\n\n\
         Each round of --race closes one socket and binds its port again --window seconds later. \
         It keeps a second socket open meanwhile, and passes it to another process. --race counts \
         how often the competitor took each of the two ports.\n\n\
         {ranges}\n\n\
         {strategies}\n\n\
         Examples:\n  \
         portscope lab --fill 0.99 --strategy random --strategy bitmap\n  \
         portscope lab --race --range 40000-40255\n\n\
         Exit codes: 0 success; 2 error."
    )
}

/// Lists what --range accepts. `first` is the lowest port of the named ranges, 0 or 1.
fn ranges(first: u16) -> String {
    format!(
        "Ranges: free (consecutive ports outside the ephemeral range; pick --help says which), ephemeral \
         (ip_local_port_range), iana (49152-65535), registered (1024-49151), system \
         ({first}-1023), all ({first}-65535), FIRST-LAST or PORT."
    )
}

fn strategies() -> String {
    let rows = ALLOCATORS.iter().map(|row| format!("\n  {:<18}{}", row.name, row.summary));
    format!("Strategies:{}", rows.collect::<Vec<_>>().concat())
}
