//! Names of groups: on screen and in text, and without what a program would have to remove.

use crate::domain::{
    OwnerKey, Protocol, ServiceNames,
    listing::{GroupId, ListingSource, OwnerName, RowGroup},
    notation,
};

impl RowGroup {
    /// Names the group for people: `nginx[812] +4`, `10.0.3.17:443`, `443 https`, `hidden, alice`.
    pub fn name(&self, source: ListingSource<'_>, services: &ServiceNames) -> String {
        match &self.id {
            GroupId::Owner(OwnerName::Process(name)) => match self.processes {
                Some((pid, count)) => {
                    notation::with_others(source.processes.named(pid).to_string(), count.into())
                }
                None => name.to_string(),
            },
            GroupId::Owner(OwnerName::Unnamed(OwnerKey::Hidden(Some(uid)))) => {
                let user = source.snapshot.machine.users.label(*uid);
                format!("{}, {user}", OwnerKey::Hidden(Some(*uid)).words())
            }
            GroupId::Port(port) => {
                let mut names = Protocol::EACH.into_iter().filter_map(|p| services.name(p, *port));
                names.next().map_or_else(|| port.to_string(), |service| format!("{port} {service}"))
            }
            _ => self.plain_name(source),
        }
    }

    /// Names the group for programs: `nginx`, `10.0.3.17:443`, `443`. Several groups of hidden
    /// owners have the same name.
    pub fn plain_name(&self, source: ListingSource<'_>) -> String {
        match &self.id {
            GroupId::Owner(owner) => owner.words(),
            GroupId::Destination(remote) => remote.to_string(),
            GroupId::NoPeer => "no peer".to_owned(),
            GroupId::State(state) => state.name().to_owned(),
            GroupId::Port(port) => port.to_string(),
            GroupId::User(uid) => source.snapshot.machine.users.label(*uid),
            GroupId::NoUser => "no user (closed, or not reported)".to_owned(),
            GroupId::Unit(name) | GroupId::Container(name) => {
                name.as_str().strip_prefix("container ").unwrap_or(name.as_str()).to_owned()
            }
            GroupId::NoUnit => "no unit".to_owned(),
            GroupId::NoContainer => "no container".to_owned(),
        }
    }
}
