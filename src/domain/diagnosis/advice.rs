//! Collects the advice of a finding: what helps at once, what helps for good, and how to keep
//! changed settings.

use std::fmt::Display;

use crate::domain::diagnosis::SysctlChange;

/// Sysctls of the whole machine. A container cannot set them.
const OF_MACHINE: [&str; 2] = ["net.ipv4.tcp_max_orphans", "net.netfilter.nf_conntrack_max"];

/// Encloses each command in the text of an item. Texts from outside have no control characters.
const MARK: char = '\u{1}';

/// Marks a command in the text of an item, so that a report can show it on a line of its own.
pub(super) fn marked(command: impl Display) -> String {
    format!("{MARK}{command}{MARK}")
}

/// One item of advice.
pub(super) struct Remedy {
    /// The item in a few words; empty if there is no short form.
    step: String,
    /// The whole item; its commands are `marked`.
    full: String,
}

impl<T: Into<String>> From<(T, String)> for Remedy {
    fn from((step, full): (T, String)) -> Self {
        Self { step: step.into(), full }
    }
}

impl From<String> for Remedy {
    fn from(full: String) -> Self {
        Self { step: String::new(), full }
    }
}

impl From<&str> for Remedy {
    fn from(full: &str) -> Self {
        Self::from(full.to_owned())
    }
}

#[derive(Default)]
pub(super) struct Advice {
    now: Vec<Remedy>,
    for_good: Vec<Remedy>,
    /// Settings that a reboot undoes.
    settings: Vec<String>,
}

impl Advice {
    /// Adds what helps at once.
    pub(super) fn now(mut self, remedy: impl Into<Remedy>) -> Self {
        self.now.push(remedy.into());
        self
    }

    pub(super) fn now_if(mut self, remedy: Option<Remedy>) -> Self {
        self.now.extend(remedy);
        self
    }

    /// Adds what helps later, and lasts.
    pub(super) fn for_good(mut self, remedy: impl Into<Remedy>) -> Self {
        self.for_good.push(remedy.into());
        self
    }

    /// Adds a change of sysctls, and how to keep it.
    pub(super) fn change(mut self, change: Option<SysctlChange>) -> Self {
        let Some(SysctlChange { step, full, lines, .. }) = change else { return self };
        self.settings.extend(lines);
        self.now((step, full))
    }

    /// Adds a setting to the last item, which says how to keep the settings after a reboot.
    pub(super) fn setting(mut self, setting: impl Into<String>) -> Self {
        self.settings.push(setting.into());
        self
    }

    /// Returns the items in a few words, all items in full, and the commands of each of the latter.
    /// Those in full start with `now:` or `for good:` if there are both kinds.
    pub(super) fn into_words(self) -> (Vec<String>, Vec<String>, Vec<Vec<String>>) {
        let Self { now, mut for_good, settings } = self;
        for_good.extend(kept(&settings).map(Remedy::from));
        let marks =
            if now.is_empty() || for_good.is_empty() { ["", ""] } else { ["now: ", "for good: "] };
        let (mut steps, mut advice, mut commands) = (Vec::new(), Vec::new(), Vec::new());
        for (mark, remedies) in marks.into_iter().zip([now, for_good]) {
            for Remedy { step, full } in remedies {
                steps.extend((!step.is_empty()).then_some(step));
                commands.push(full.split(MARK).skip(1).step_by(2).map(str::to_owned).collect());
                advice.push(format!("{mark}{}", full.replace(MARK, "")));
            }
        }
        (steps, advice, commands)
    }
}

/// Returns how to keep these settings after a reboot. None: there are no settings.
fn kept(settings: &[String]) -> Option<String> {
    let list = match settings.split_last()? {
        (last, []) => last.clone(),
        (last, others) => format!("{} and {last}", others.join(", ")),
    };
    let place = if OF_MACHINE.iter().any(|name| list.contains(name)) {
        "on the host, not in a container"
    } else {
        "(for a container: to the sysctl options of its runtime)"
    };
    Some(format!(
        "add {list} to /etc/sysctl.d/90-ports.conf {place}, because a reboot undoes sysctl -w"
    ))
}
