//! Finds what may start a process again: its systemd service with `Restart=`, its container, its
//! parent. Reads unit files, and does not ask systemd.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    domain::{
        Text,
        action::{RestartPolicy, Supervisor},
        owner::is_container,
    },
    host::linux::{bounded_file, process_status, unit},
};

/// The directories of system units, in the order of precedence (systemd.unit(5)).
const FOLDERS: [&str; 11] = [
    "etc/systemd/system.control",
    "run/systemd/system.control",
    "run/systemd/transient",
    "run/systemd/generator.early",
    "etc/systemd/system",
    "run/systemd/system",
    "run/systemd/generator",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
    "run/systemd/generator.late",
];

/// Programs that start others and do not start them again.
const NOT_SUPERVISORS: [&str; 12] = [
    "sh",
    "bash",
    "dash",
    "zsh",
    "fish",
    "ksh",
    "login",
    "sshd",
    "sudo",
    "su",
    "tmux: server",
    "systemd",
];

/// Maximum size in bytes of a unit file.
const LIMIT: u64 = 1 << 20;

/// Returns what may start the process again. `is_first`: it is the first process of its pid
/// namespace, with which its container ends.
pub fn find(pid: u32, parent: Option<u32>, is_first: bool) -> Supervisor {
    let Ok(cgroup) = bounded_file::read(format!("/proc/{pid}/cgroup"), unit::LIMIT) else {
        return Supervisor::Unknown;
    };
    let name = unit::parse(&cgroup);
    if let Some(service) = unit::service(&cgroup) {
        let restart = if service.is_user { None } else { policy(Path::new("/"), &service.name) };
        let parent = of_parent(parent, process_status::name).parent();
        let is_inside = |parent: &u32| {
            let of_parent = bounded_file::read(format!("/proc/{parent}/cgroup"), unit::LIMIT).ok();
            of_parent.and_then(|cgroup| unit::service(&cgroup)).as_ref() == Some(&service)
        };
        let (parent, is_user) = (parent.filter(is_inside), service.is_user);
        return Supervisor::Service { unit: Text::scrub(&service.name), is_user, restart, parent };
    }
    match name {
        Some(name) if is_first && is_container(&name) => Supervisor::Container(name),
        _ => of_parent(parent, process_status::name),
    }
}

/// Returns whether the process is the service manager of a user.
pub fn is_user_manager(pid: u32) -> bool {
    let cgroup = bounded_file::read(format!("/proc/{pid}/cgroup"), unit::LIMIT);
    cgroup.is_ok_and(|cgroup| unit::is_user_manager(&cgroup))
}

/// Returns what a process is started again by that is in no service. `name`: returns the name of a
/// process. Process 1 of a container may be a supervisor.
fn of_parent(parent: Option<u32>, name: impl Fn(u32) -> Option<Text>) -> Supervisor {
    let Some(parent) = parent.filter(|&parent| parent > 0) else { return Supervisor::None };
    match name(parent) {
        Some(name) if NOT_SUPERVISORS.contains(&name.as_str()) => Supervisor::None,
        _ if parent == 1 => Supervisor::Unknown,
        _ => Supervisor::Parent(parent),
    }
}

/// Reads `Restart=` of a system unit and its drop-ins below `root`. None: the unit has no file.
fn policy(root: &Path, unit: &str) -> Option<RestartPolicy> {
    let names = [Some(unit.to_owned()), template(unit)];
    let names: Vec<String> = names.into_iter().flatten().collect();
    let folders = || FOLDERS.iter().map(|folder| root.join(folder));
    let mut files = names.iter().flat_map(|name| folders().map(move |folder| folder.join(name)));
    let fragment = files.find_map(|file| bounded_file::read(file, LIMIT).ok())?;
    let mut value = restart_in(&fragment);
    for file in drop_ins(root, &names) {
        let text = bounded_file::read(file, LIMIT).ok()?;
        value = restart_in(&text).or(value);
    }
    match value.as_deref() {
        None | Some("") => Some(RestartPolicy::No),
        Some(name) => RestartPolicy::named(name),
    }
}

/// Returns `getty@.service` for `getty@tty1.service`.
fn template(unit: &str) -> Option<String> {
    let (name, _) = unit.split_once('@')?;
    Some(format!("{name}@.service"))
}

/// Returns the drop-ins of the unit in the order in which they apply. Of files with the same name,
/// the one in the first directory counts.
fn drop_ins(root: &Path, names: &[String]) -> Vec<PathBuf> {
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    let places = names.iter().map(String::as_str).chain(["service"]);
    for place in places {
        for folder in FOLDERS {
            let Ok(entries) = fs::read_dir(root.join(folder).join(format!("{place}.d"))) else {
                continue;
            };
            for path in entries.flatten().map(|entry| entry.path()) {
                let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
                let is_drop_in = path.extension().is_some_and(|extension| extension == "conf");
                if let Some(name) = name.filter(|_| is_drop_in) {
                    found.entry(name).or_insert(path);
                }
            }
        }
    }
    found.into_values().collect()
}

/// Returns the last `Restart=` of the section `[Service]`. None: there is none.
fn restart_in(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let mut is_service = false;
    let mut value = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            is_service = line == "[Service]";
        } else if let Some((key, of)) = line.split_once('=').filter(|_| is_service)
            && key.trim() == "Restart"
        {
            value = Some(of.trim().to_owned());
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates the files below a new directory.
    fn root(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("portscope-{name}-{}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn parent_may_start_a_process_again_unless_it_is_a_shell_or_systemd() {
        for (parent, name, expected) in [
            (None, "x", Supervisor::None),
            (Some(0), "x", Supervisor::None),
            (Some(1), "systemd", Supervisor::None),
            (Some(1), "tini", Supervisor::Unknown),
            (Some(1), "supervisord", Supervisor::Unknown),
            (Some(80), "bash", Supervisor::None),
            (Some(80), "pm2", Supervisor::Parent(80)),
        ] {
            assert_eq!(of_parent(parent, |_| Some(Text::scrub(name))), expected, "{name}");
        }
    }

    #[test]
    fn restart_is_read_from_the_first_unit_file_and_the_last_drop_in() {
        let files = [
            ("lib/systemd/system/web.service", "[Unit]\nRestart=no\n[Service]\nRestart=always\n"),
            ("lib/systemd/system/job.service", "[Service]\n# Restart=always\nExecStart=/x\n"),
            ("etc/systemd/system/job.service.d/a.conf", "[Service]\nRestart = on-failure\n"),
            ("lib/systemd/system/job.service.d/a.conf", "[Service]\nRestart=always\n"),
            ("lib/systemd/system/tty@.service", "[Service]\nRestart=on-abort\n"),
            ("etc/systemd/system/old.service", "[Service]\nRestart=no\n"),
            ("lib/systemd/system/old.service", "[Service]\nRestart=always\n"),
            ("lib/systemd/system/new.service", "[Service]\nRestart=sometimes\n"),
        ];
        let root = root("units", &files);
        for (unit, expected) in [
            ("web.service", Some(RestartPolicy::Always)),
            ("job.service", Some(RestartPolicy::OnFailure)),
            ("tty@1.service", Some(RestartPolicy::OnAbort)),
            ("old.service", Some(RestartPolicy::No)),
            ("new.service", None),
            ("none.service", None),
        ] {
            assert_eq!(policy(&root, unit), expected, "{unit}");
        }
        fs::remove_dir_all(root).unwrap();
    }
}
