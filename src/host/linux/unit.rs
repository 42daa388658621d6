//! Finds the systemd unit or container of a process by its control group. Does not describe the
//! unit.

use crate::{domain::Text, host::linux::bounded_file};

/// Maximum number of bytes read of /proc/PID/cgroup: a few lines, each with a path.
pub(in crate::host::linux) const LIMIT: u64 = 16 * 1024;
/// Digits shown of a container id, as many as docker(1) shows.
const ID_SHOWN: usize = 12;
/// Digits shown of a pod's uid: the first group of a UUID.
const POD_SHOWN: usize = 8;
/// systemd units that hold processes (systemd.unit(5)); slices hold only other units.
const UNITS: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];

/// Returns the unit or container of a process. None: the process is in neither, or its control
/// group cannot be read.
pub fn read(pid: u32) -> Option<Text> {
    parse(&bounded_file::read(format!("/proc/{pid}/cgroup"), LIMIT).ok()?)
}

/// Parses /proc/PID/cgroup (cgroups(7)). Uses the line of cgroup version 2 if it names a unit or a
/// container, or else the line of systemd's own hierarchy if it does, or else any line that names a
/// container. None: there is none.
pub fn parse(cgroup: &[u8]) -> Option<Text> {
    let lines = lines(cgroup);
    let named = preferred(&lines).find_map(|path| container(path).or_else(|| unit(path)));
    named.or_else(|| lines.iter().find_map(|(_, _, path)| container(path))).map(Text::scrub)
}

/// A systemd service to which a process belongs.
#[derive(PartialEq, Eq)]
pub(in crate::host::linux) struct ServiceUnit {
    /// As systemd names it, not scrubbed.
    pub name: String,
    /// Whether it belongs to the service manager of a user.
    pub is_user: bool,
}

/// Returns the service of a process. None: it is in a container, or in no service.
pub(in crate::host::linux) fn service(cgroup: &[u8]) -> Option<ServiceUnit> {
    let lines = lines(cgroup);
    if lines.iter().any(|(_, _, path)| container(path).is_some()) {
        return None;
    }
    let path = preferred(&lines).find(|path| unit(path).is_some())?;
    let name = unit(path).filter(|name| name.ends_with(".service"))?;
    let is_user = path.contains("/user@") && !name.starts_with("user@");
    Some(ServiceUnit { name, is_user })
}

/// Returns whether the process is the service manager of a user, in `user@UID.service/init.scope`.
pub(in crate::host::linux) fn is_user_manager(cgroup: &[u8]) -> bool {
    preferred(&lines(cgroup)).any(|path| {
        let mut parts = path.rsplit('/');
        let is_scope = parts.next() == Some("init.scope");
        let service = parts.next().unwrap_or_default();
        is_scope && service.starts_with("user@") && service.ends_with(".service")
    })
}

fn lines(cgroup: &[u8]) -> Vec<(&str, &str, &str)> {
    cgroup.split(|&b| b == b'\n').filter_map(|line| fields(line)).collect()
}

/// Returns the paths in the hierarchies that systemd uses, that of version 2 first.
fn preferred<'a>(lines: &[(&'a str, &'a str, &'a str)]) -> impl Iterator<Item = &'a str> {
    let version_2 =
        lines.iter().filter(|(id, controllers, _)| *id == "0" && controllers.is_empty());
    let systemd = lines.iter().filter(|(_, controllers, _)| *controllers == "name=systemd");
    version_2.chain(systemd).map(|(_, _, path)| *path)
}

/// Splits `0::/system.slice/nginx.service` into hierarchy id, controllers and path. None: the line
/// has fewer fields or is not UTF-8.
fn fields(line: &[u8]) -> Option<(&str, &str, &str)> {
    let mut fields = std::str::from_utf8(line).ok()?.splitn(3, ':');
    let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    // The kernel adds this suffix for a zombie whose group was removed (`proc_cgroup_show`,
    // kernel/cgroup/cgroup.c).
    Some((id, controllers, path.strip_suffix(" (deleted)").unwrap_or(path)))
}

/// Returns the innermost unit. For the `init.scope` of a user's service manager, returns the unit
/// of that manager. None: the path contains no unit.
fn unit(path: &str) -> Option<String> {
    let is_unit = |part: &&str| UNITS.iter().any(|suffix| part.ends_with(suffix));
    let mut units = path.split('/').rev().filter(is_unit);
    let innermost = units.next()?;
    let outer = if innermost == "init.scope" { units.next() } else { None };
    Some(outer.unwrap_or(innermost).to_owned())
}

/// Returns, for example, `docker 3f2a1b0c9d8e`, `container 3f2a1b0c9d8e (pod 0b7e1c2d)`, `lxc web`
/// or, without a container, `k8s pod 0b7e1c2d`. None: the path names neither container nor pod.
fn container(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').collect();
    let parents = std::iter::once("").chain(parts.iter().copied());
    let pairs: Vec<(&str, &str)> = parents.zip(parts.iter().copied()).collect();
    let innermost = pairs.iter().rev().find_map(|(parent, part)| contained(parent, part));
    let pod = parts.iter().rev().find_map(|part| pod(part));
    match (innermost, pod) {
        (Some(container), Some(pod)) => Some(format!("{container} (pod {pod})")),
        (Some(container), None) => Some(container),
        (None, pod) => pod.map(|pod| format!("k8s pod {pod}")),
    }
}

/// Returns the container to which the directory `part`, below `parent`, belongs. None: it is not
/// the directory of a container.
fn contained(parent: &str, part: &str) -> Option<String> {
    if let Some(name) = part.strip_prefix("lxc.payload.") {
        return Some(format!("lxc {name}"));
    }
    if parent == "lxc" && !part.is_empty() {
        return Some(format!("lxc {part}"));
    }
    let scope = part.strip_suffix(".scope").unwrap_or(part);
    let (runtime, id) = scope.rsplit_once(['-', ':']).unwrap_or((parent, scope));
    let is_id = id.len() >= 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = id.get(..ID_SHOWN).filter(|_| is_id)?;
    let engine = match runtime {
        "docker" => "docker",
        _ if runtime.starts_with("libpod") => "podman",
        _ => "container",
    };
    Some(format!("{engine} {id}"))
}

/// Returns the first digits of the uid in `pod0b7e1c2d-…` or
/// `kubepods-burstable-pod0b7e1c2d_….slice`. None: the name is not that of a pod.
fn pod(part: &str) -> Option<&str> {
    let part = part.strip_suffix(".slice").unwrap_or(part);
    let start = if part.starts_with("kubepods") { part.rfind("-pod")? + 1 } else { 0 };
    let uid = part.get(start..)?.strip_prefix("pod")?;
    let shown = uid.get(..POD_SHOWN)?;
    shown.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::owner::is_container;

    const ID: &str = "3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a";

    fn reported(cgroup: &str) -> Option<String> {
        parse(cgroup.replace("ID", ID).as_bytes()).map(|text| text.to_string())
    }

    #[test]
    fn a_process_belongs_to_its_innermost_unit() {
        for (path, unit) in [
            ("/system.slice/nginx.service", "nginx.service"),
            ("/system.slice/nginx.service/worker", "nginx.service"),
            ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"),
            ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
            ("/user.slice/user-1000.slice/user@1000.service/app-foo.scope", "app-foo.scope"),
            ("/user.slice/user@1000.service/app.slice/app-foo.scope", "app-foo.scope"),
            ("/user.slice/user@1000.service/init.scope", "user@1000.service"),
            ("/init.scope", "init.scope"),
            ("/system.slice/old.service (deleted)", "old.service"),
            ("/machine.slice/machine-web.scope", "machine-web.scope"),
        ] {
            assert_eq!(reported(&format!("0::{path}\n")).as_deref(), Some(unit), "{path}");
            assert!(!is_container(&Text::scrub(unit)), "{unit}");
        }
    }

    #[test]
    fn service_manager_of_a_user_is_recognized_by_its_scope() {
        for (path, expected) in [
            ("/user.slice/user-1000.slice/user@1000.service/init.scope", true),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/web.service", false),
            ("/user.slice/user-1000.slice/user@1000.service", false),
            ("/init.scope", false),
            ("/system.slice/user@x/init.scope", false),
        ] {
            assert_eq!(is_user_manager(format!("0::{path}\n").as_bytes()), expected, "{path}");
        }
    }

    #[test]
    fn a_container_is_named_by_engine_and_id() {
        for (path, container) in [
            ("/system.slice/docker-ID.scope", "docker 3f2a1b0c9d8e"),
            ("/docker/ID", "docker 3f2a1b0c9d8e"),
            ("/docker/ID/system.slice/nginx.service", "docker 3f2a1b0c9d8e"),
            ("/machine.slice/libpod-ID.scope/container", "podman 3f2a1b0c9d8e"),
            ("/user.slice/user@1000.service/user.slice/libpod-ID.scope", "podman 3f2a1b0c9d8e"),
            ("/system.slice/crio-ID.scope", "container 3f2a1b0c9d8e"),
            ("/lxc/web/system.slice/nginx.service", "lxc web"),
            ("/lxc.payload.web", "lxc web"),
            ("/kubepods/burstable/pod0b7e1c2d-1111/ID", "container 3f2a1b0c9d8e (pod 0b7e1c2d)"),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0b7e1c2d_11.slice/\
                 cri-containerd-ID.scope",
                "container 3f2a1b0c9d8e (pod 0b7e1c2d)",
            ),
            (
                "/system.slice/containerd.service/kubepods-burstable-pod0b7e1c2d_11.slice:\
                 cri-containerd:ID",
                "container 3f2a1b0c9d8e (pod 0b7e1c2d)",
            ),
            ("/kubepods.slice/kubepods-pod0b7e1c2d_11.slice", "k8s pod 0b7e1c2d"),
        ] {
            assert_eq!(reported(&format!("0::{path}\n")).as_deref(), Some(container), "{path}");
            assert!(is_container(&Text::scrub(container)), "{container}");
        }
    }

    #[test]
    fn a_cgroup_v1_line_is_used_if_the_v2_line_names_nothing() {
        let old =
            "12:pids:/system.slice/x.service\n1:name=systemd:/system.slice/ssh.service\n0::/\n";
        assert_eq!(reported(old).as_deref(), Some("ssh.service"));
        let hybrid = "1:name=systemd:/system.slice/a.service\n0::/system.slice/b.service\n";
        assert_eq!(reported(hybrid).as_deref(), Some("b.service"));
        assert_eq!(reported("4:memory:/docker/ID\n0::/\n").as_deref(), Some("docker 3f2a1b0c9d8e"));
    }

    #[test]
    fn other_cgroups_have_neither_unit_nor_container() {
        for cgroup in [
            "0::/\n",
            "",
            "0::/user.slice\n",
            "0::/work/build\n",
            "0::/../../deeper\n",
            "garbage",
            "0::/abc-123\n",
            "0::/podcast\n",
        ] {
            assert_eq!(reported(cgroup), None, "{cgroup}");
        }
    }

    #[test]
    fn escape_sequences_in_a_cgroup_name_are_scrubbed() {
        let reported = parse("0::/\u{1b}[2J.service\n".as_bytes()).unwrap();
        assert_eq!(reported.as_str(), "\\u{1b}[2J.service");
    }
}
