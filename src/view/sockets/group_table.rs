//! Draws the table of groups, and what is known about the selected one.

use ratatui::text::Span;

use super::SocketsContext;
use crate::{
    app::App,
    domain::{
        Process, StateClass,
        listing::{GroupColumn, ListingSource, RowGroup},
        notation,
    },
    view::{
        Role, gauges, legend,
        surface::Surface,
        table::{self, TableColumn, TableLayout, dim, plain},
        words,
    },
};

/// The title of the column with the number of ephemeral ports.
const PORTS: &str = "eph.ports";

type GroupTableColumn<'a> = TableColumn<SocketsContext<'a>, RowGroup>;

pub fn render(context: &SocketsContext<'_>, groups: &[RowGroup], surface: &mut Surface<'_>) {
    let list = context.list;
    let room = usize::from(surface.area.height.saturating_sub(table::HEAD));
    let end = groups.len().min(list.first + room);
    let visible = groups.get(list.first..end).unwrap_or_default();
    let selected = list.selected.and_then(|index| index.checked_sub(list.first));
    let layout = TableLayout::from(columns(context.app));
    table::draw(context, layout, visible, selected, surface);
    if visible.is_empty() {
        let at = surface.area;
        let words = "no socket matches the filter";
        surface.put(at.x + 2, at.y + table::HEAD, words, context.theme.style(Role::Dim));
    }
}

/// Returns the index in `GroupColumn::EACH` of the column whose title is at this position. None: it
/// sorts nothing.
pub fn column_at(app: &App, width: u16, x: u16) -> Option<usize> {
    let title = TableLayout::from(columns(app)).title_at(width, x)?;
    GroupColumn::EACH.iter().position(|column| match column {
        GroupColumn::Name => title == app.sockets().group_by().name(),
        GroupColumn::Ports => title == PORTS,
        GroupColumn::Sockets => title == column.name(),
    })
}

fn columns<'a>(app: &'a App) -> Vec<GroupTableColumn<'a>> {
    let sockets = app.sockets();
    let order = sockets.group_order();
    let title = sockets.group_by().name();
    let sorting = |column: GroupTableColumn<'a>, by| {
        // The largest number comes first.
        let is_ascending = order.is_reversed == (by != GroupColumn::Name);
        if order.column == by { column.sorting(is_ascending) } else { column }
    };
    let name = GroupTableColumn::<'a>::left(title, 20, 0, |context, row, width| {
        plain(words::shorten(&name(context.app, row), width))
    })
    .up_to(44);
    let all = GroupTableColumn::<'a>::right("sockets", 9, 0, |_, row, _| {
        plain(notation::grouped(row.sockets))
    });
    let ports =
        GroupTableColumn::<'a>::right(PORTS, 9, 1, |_, row, _| plain(notation::grouped(row.ports)));
    vec![
        sorting(name, GroupColumn::Name),
        sorting(all, GroupColumn::Sockets),
        GroupTableColumn::<'a>::right("listen", 6, 3, |context, row, _| {
            count(context, row.of_class(StateClass::Listen))
        }),
        GroupTableColumn::<'a>::right("estab", 7, 2, |context, row, _| {
            count(context, row.established)
        }),
        GroupTableColumn::<'a>::right("t-wait", 7, 2, |context, row, _| {
            count(context, row.of_class(StateClass::TimeWait))
        }),
        GroupTableColumn::<'a>::right("other", 7, 4, |context, row, _| {
            count(context, row.others())
        }),
        sorting(ports, GroupColumn::Ports),
        GroupTableColumn::<'a>::left("by state", 10, 5, |context, row, width| {
            let most = context.list.largest_group.max(1);
            gauges::parts(&row.by_class, most, context.theme, width)
        })
        .up_to(40),
    ]
}

fn count(context: &SocketsContext<'_>, count: u32) -> Vec<Span<'static>> {
    dim(notation::grouped(count), context.theme)
}

/// Names a group: `nginx[812] +4`, `10.0.3.17:443`, `443 https`. Empty before the first scan.
pub fn name(app: &App, group: &RowGroup) -> String {
    app.scan().map_or_else(String::new, |scan| {
        let source = ListingSource { snapshot: &scan.snapshot, processes: app.processes() };
        group.name(source, app.services())
    })
}

/// Draws what is known about the selected group: its process, and its sockets by state.
pub fn render_selected(context: &SocketsContext<'_>, surface: &mut Surface<'_>) {
    let groups = context.list.groups.as_deref().unwrap_or_default();
    let Some(group) = context.list.selected.and_then(|index| groups.get(index)) else {
        surface.rule("", "");
        return;
    };
    if surface.area.height > 1 {
        surface.rule(&name(context.app, group), &context.position());
    }
    let process = group.processes.and_then(|(pid, _)| context.app.processes().get(pid));
    if let Some(process) = process {
        render_process(context, process, surface);
    }
    if surface.left() > 0 {
        let by_state = StateClass::EACH.into_iter().filter_map(|class| {
            let count = group.of_class(class);
            (count > 0)
                .then(|| format!("{} {}", legend::class_name(class), notation::grouped(count)))
        });
        let states: Vec<String> = by_state.collect();
        surface.labelled(" sockets    ", &states.join(" · "));
    }
    if group.processes.is_some_and(|(_, count)| count > 1) && surface.left() > 0 {
        surface.text(" a socket that several programs hold is counted in each group", Role::Dim);
    }
}

/// Draws the process of the group that has the lowest pid.
fn render_process(context: &SocketsContext<'_>, process: &Process, surface: &mut Surface<'_>) {
    let command = process.command.as_ref().filter(|command| !command.is_empty());
    let snapshot = &context.scan.snapshot;
    let user = process.uid.map(|uid| words::user(snapshot, uid));
    let age = process
        .started
        .and_then(|at| snapshot.taken_at.checked_sub(std::time::Duration::from_secs(at)));
    let started = age.map(|age| format!("{} ago", notation::duration(age)));
    let unit = process.unit.as_ref().map(words::unit);
    let unit_label = match unit {
        Some(("container", _)) => " container  ",
        _ => " unit       ",
    };
    let unit = unit.map(|(_, name)| name.to_owned());
    let fields = [
        (" command    ", command.map(ToString::to_string)),
        (" user       ", user),
        (unit_label, unit),
        (" started    ", started),
        (" directory  ", process.directory.as_ref().map(ToString::to_string)),
    ];
    for (label, value) in fields {
        if let Some(value) = value {
            surface.labelled(label, &words::shorten(&value, surface.width().saturating_sub(13)));
        }
    }
}
