//! The port model: plain values and pure rules. Has no user interface, and reads neither the
//! machine nor a clock.

pub mod action;
pub mod analysis;
pub mod attribution;
pub mod automatic;
pub mod availability;
pub mod binder;
pub mod destination;
pub mod diagnosis;
pub mod ephemeral;
pub mod filter;
pub mod gap;
pub mod history;
pub mod interfaces;
pub mod listeners;
pub mod listing;
pub mod local_address;
pub mod monitor;
pub mod notation;
pub mod occupancy;
pub mod owner;
pub mod port;
pub mod process_name;
pub mod remote_port;
pub mod reserved_list;
pub mod service;
pub mod snapshot;
pub mod socket;
pub mod text;
pub mod trends;
pub mod tunnel;
pub mod unseen;
pub mod vitals;
pub mod wait_condition;
pub mod wrap;

pub use analysis::{Analysis, DestinationUse, Left, OwnerKey, OwnerUse, PortSet, RangeUse};
pub use attribution::{Holders, UnreadHolders, UnreadThreads, UnreadableProcess};
pub use binder::{AddressRefusal, Binder, Bound, Errno, Miss, NextPort, Outcome, Refusal};
pub use destination::Destination;
pub use diagnosis::{Diagnosis, Evidence, Finding, Level, Severity, Thresholds};
pub use ephemeral::Ephemeral;
pub use filter::Filter;
pub use gap::{Gap, Table};
pub use history::{Age, History, PortEvent};
pub use interfaces::Interfaces;
pub use listeners::{AcceptQueue, ListenerKey, ListenerRates, ListenerUse};
pub use local_address::{InterfaceName, LocalAddress};
pub use monitor::Monitor;
pub use occupancy::{Gauge, Occupancy, PortUse, ProtocolFamily, StateClass};
pub use owner::{Holder, Owner, ParentProcess, Process, ProcessTable, Users};
pub use port::{EmptyRange, PortRange};
pub use remote_port::RemotePortUse;
pub use service::ServiceNames;
pub use snapshot::{Machine, MachineKind, NamespaceName, Snapshot, Source, is_release_at_least};
pub use socket::{Endpoint, Family, Protocol, Protocols, Socket, State, Timer};
pub use text::Text;
pub use trends::{Drain, Forecast, LastMinute, Subject, Trend, Trends};
pub use tunnel::{Tunnel, TunnelKind};
pub use unseen::UnseenNamespaces;
pub use vitals::{
    Conntrack, DescriptorUse, Ipv6, Publication, SourceAddresses, SynQueue, Translation, Vitals,
};
