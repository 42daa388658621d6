//! How the app handles the events of the Sockets screen. Does not change the rows itself.

use crate::{
    app::{
        App, Effect, Focus, Key, Overlay, Screen, Size, SocketsScreen,
        sockets::{ListRow, RowsFile, SocketList, SocketsAction, SocketsInput, rows_file},
    },
    domain::{PortSet, Snapshot, Socket, listing::GroupBy},
};

impl App {
    /// The rows of the Sockets screen. None before the first scan.
    pub fn socket_list(&self) -> Option<&SocketList> {
        Some(self.sockets.list(self.sockets_input()?, self.size))
    }

    /// The selected socket of the Sockets screen, and the snapshot that its owner refers to. None:
    /// there is no row, or a group is selected.
    pub fn selected_socket(&self) -> Option<(&Snapshot, &Socket)> {
        self.sockets.on_row(self.selected_row()?, self.scan()?)
    }

    /// The selected row of the Sockets screen; None: there is none, or a group is selected.
    pub fn selected_row(&self) -> Option<ListRow> {
        let list = self.socket_list().filter(|list| list.groups.is_none())?;
        list.rows.get(list.selected?).copied()
    }

    fn sockets_input(&self) -> Option<SocketsInput<'_>> {
        Some(SocketsInput {
            scan: self.scan.as_ref()?,
            history: self.monitor.history(),
            processes: &self.processes,
            services: &self.services,
        })
    }

    /// Finds the sockets that are new or have ended, while someone looks at them.
    pub(in crate::app) fn compare_sockets(&mut self, snapshot: &Snapshot) {
        let Self { sockets, scan, processes, monitor, .. } = self;
        match scan {
            Some(before) if self.screen == Screen::Sockets => {
                let snapshots = [&*before.snapshot, snapshot];
                sockets.observe(self.now, snapshots, monitor.history().arrived(), processes);
            }
            _ => sockets.forget_rows(),
        }
    }

    /// Calls a function with the Sockets screen and what its rows are computed from. None: there is
    /// no scan yet.
    pub(in crate::app) fn with_sockets<R>(
        &mut self,
        act: impl FnOnce(&mut SocketsScreen, SocketsInput<'_>, Size) -> R,
    ) -> Option<R> {
        let Self { sockets, scan, processes, monitor, services, size, .. } = self;
        let scan = scan.as_ref()?;
        let input = SocketsInput { scan, history: monitor.history(), processes, services };
        Some(act(sockets, input, *size))
    }

    pub(in crate::app) fn act_on_sockets(&mut self, action: SocketsAction) -> Vec<Effect> {
        match action {
            SocketsAction::OpenFilter if self.screen != Screen::Sockets => {
                let effects = self.show(Screen::Sockets);
                self.sockets.start_filter();
                return effects;
            }
            SocketsAction::CopyRows => return vec![Effect::CopyRows],
            SocketsAction::OpenWrite => {
                self.open_write();
                return Vec::new();
            }
            SocketsAction::Write => return self.write_typed(),
            _ => self.sockets.focus_line(action),
        }
        let notice =
            self.with_sockets(|sockets, input, size| sockets.act(action, input, size)).flatten();
        if let Some(notice) = notice {
            self.notify(notice);
        }
        Vec::new()
    }

    fn open_write(&mut self) {
        let Some(scan) = &self.scan else { return };
        let are_groups = self.sockets.group_by() != GroupBy::Nothing;
        let name = rows_file::default_name(scan.snapshot.taken_at, are_groups);
        self.overlay = Overlay::WriteRows(name);
    }

    /// Writes the rows to the file that was typed. A name that is not accepted stays in the prompt.
    fn write_typed(&mut self) -> Vec<Effect> {
        let Overlay::WriteRows(typed) = &self.overlay else { return Vec::new() };
        match RowsFile::parse(typed) {
            Ok(file) => {
                self.overlay = Overlay::None;
                vec![Effect::WriteRows(file)]
            }
            Err(reason) => {
                self.notify(reason);
                Vec::new()
            }
        }
    }

    pub(in crate::app) fn edit_filter(&mut self, key: Key) {
        self.sockets.edit(key, &self.services);
    }

    /// The local ports of the sockets that match the filter.
    pub(in crate::app) fn filtered_ports(&self) -> PortSet {
        let rows = self.socket_list().map_or(&[][..], |list| &list.rows).iter();
        let listed = rows.filter(|row| matches!(row, ListRow::Listed(_)));
        let sockets = listed.filter_map(|&row| self.sockets.on_row(row, self.scan()?));
        sockets.map(|(_, socket)| socket.local.port).collect()
    }

    /// Shows the local port of the selected socket on the map, from where Esc returns. With a filter,
    /// the map marks only the ports of the sockets that match it.
    pub(in crate::app) fn show_socket_on_map(&mut self) -> Vec<Effect> {
        if self.socket_list().is_some_and(|list| list.groups.is_some()) {
            self.notify("Enter shows the sockets of the group; m shows the port of one");
            return Vec::new();
        }
        let selected = self.selected_socket().map(|(_, socket)| socket.local.port);
        let Some(port) = selected.or_else(|| self.filtered_ports().iter().next()) else {
            return Vec::new();
        };
        let lens = self.map.lens;
        let effects = self.show(Screen::Map);
        if !self.sockets.line().filter().is_empty() {
            self.set_lens(Focus::Filter.lens());
            self.map.focus = Some(Focus::Filter);
        }
        self.go_to(port);
        self.visited_from = Some((Screen::Sockets, lens));
        effects
    }
}
