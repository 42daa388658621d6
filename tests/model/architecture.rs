//! Checks the architecture: which layer may import which, what is confined to which module, file
//! headers.

#![expect(clippy::string_slice, reason = "a test fails by a panic")]

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use portscope::app::{COMMANDS, Context};

/// A layer and those it may import, all of them above it (`.github/CONTRIBUTING.md`).
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("allocator", &["domain"]),
    ("host", &["domain"]),
    ("engine", &["domain", "allocator", "host"]),
    ("app", &["domain", "allocator", "engine"]),
    ("view", &["domain", "app"]),
    ("report", &["domain", "allocator"]),
    ("tui", &["domain", "app", "view", "engine", "host"]),
    ("api", &["domain", "allocator", "host"]),
    ("cli", &["domain", "allocator", "host", "engine", "app", "view", "report", "tui"]),
];

/// Paths, and the only files or folders in which each may occur.
const CONFINED: &[(&str, &[&str])] = &[
    ("ratatui", &["view", "tui"]),
    ("crossterm", &["tui"]),
    ("signal_hook", &["tui", "host/signals"]),
    ("clap", &["cli"]),
    ("anyhow", &["cli"]),
    ("serde", &["report"]),
    ("serde_json", &["report"]),
    ("csv", &["report/csv"]),
    ("jiff", &["report"]),
    ("rand", &["allocator", "engine", "cli", "api"]),
    ("rustix", &["host", "tui", "api"]),
    (
        "libc",
        &[
            "host/signals",
            "host/linux/inherited",
            "host/linux/owners/kcmp",
            "host/linux/socket_option",
        ],
    ),
    ("socket2", &["host"]),
    ("sysinfo", &["host"]),
    ("crate::host::linux", &["host", "api", "cli"]),
    ("std::fs", &["host"]),
    ("std::thread", &["engine", "tui", "host/linux/netns"]),
    ("std::env", &["cli", "tui", "main"]),
    ("std::process::exit", &[]),
    ("std::process::Command", &["host/linux/actor/child", "host/linux/handover"]),
    ("Instant::now", &["host", "engine", "tui", "api"]),
    ("SystemTime::now", &["host"]),
];

#[test]
fn layers_import_only_allowed_layers() {
    let files = sources(Path::new("src"));
    assert!(files.len() > 20, "the sources are not where they were");
    let broken: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let name = file.strip_prefix("src").unwrap().with_extension("");
            violations(name.to_str().unwrap(), &fs::read_to_string(file).unwrap())
        })
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_two_layers_may_import_each_other() {
    for (index, (layer, allowed)) in MAY_IMPORT.iter().enumerate() {
        let is_above = |name: &&str| MAY_IMPORT[..index].iter().any(|(above, _)| above == name);
        assert!(allowed.iter().all(is_above), "{layer} may import {allowed:?}");
    }
}

#[test]
fn a_planted_violation_is_found() {
    for (file, planted) in [
        ("domain/port", "use crate::host::Host;"),
        ("domain/port", "use crate::{domain::{Text, Gap}, host::{Host, HostError}};"),
        ("engine", "fn f() { crate::app::start() }"),
        ("view/map", "use std::{fmt, fs};"),
        ("app/update", "let now = Instant::now();"),
        ("app/update", "use super::super::host::Host;"),
        ("domain", "use super::host::Host;"),
        ("report/json", "let x = std::fs::read(path);"),
        ("allocator/pool", "use ::rustix::net;"),
        ("engine/race", "use crate::host::{Host, linux::actor};"),
        ("util", "fn f() {}"),
    ] {
        let source = format!("//! A head.\n\n{planted}\n");
        assert!(!violations(file, &source).is_empty(), "{file}: {planted}");
    }
    assert_eq!(violations("domain/port", "use std::fmt;\n"), ["domain/port: no //! head"]);
    let clean = "//! A head.\n// crate::host\nuse crate::domain::Text; // std::fs\n";
    assert_eq!(violations("host/linux", clean), [""; 0]);
}

#[test]
fn keys_md_matches_the_command_table() {
    let page = fs::read_to_string(".github/KEYS.md").unwrap();
    let (_, rest) =
        page.split_once("tests/model/architecture.rs -->\n").expect("KEYS.md marks its keys");
    let (keys, _) = rest.split_once("<!-- /keys -->").unwrap();
    let mut table = "| key | where | does |\n|---|---|---|\n".to_owned();
    for command in COMMANDS {
        let keys: Vec<String> = command.keys.split(' ').map(|key| format!("`{key}`")).collect();
        let places = if command.contexts.len() == Context::EACH.len() {
            "everywhere".to_owned()
        } else {
            let names: Vec<_> = command.contexts.iter().map(|&context| name(context)).collect();
            names.join(", ")
        };
        writeln!(table, "| {} | {places} | {} |", keys.join(" "), command.help).unwrap();
    }
    assert_eq!(keys, table, "the keys in .github/KEYS.md should be:\n{table}");
}

fn name(context: Context) -> &'static str {
    match context {
        Context::Overview => "Overview",
        Context::Map => "Map",
        Context::Sockets => "Sockets",
        Context::Filter => "filter",
        Context::Free => "free",
        Context::Allocate => "Allocate",
        Context::Lab => "Lab",
        Context::Help => "help",
        Context::GoTo => "go to",
        Context::WriteRows => "write",
        Context::Finding => "finding",
        Context::Names => "names",
        Context::Panel => "panel",
        Context::Race => "race",
        Context::Pool => "pool",
    }
}

#[test]
fn metrics_md_matches_the_metric_table() {
    let page = fs::read_to_string(".github/METRICS.md").unwrap();
    let (_, rest) = page.split_once("tests/model/architecture.rs metrics -->\n").unwrap();
    let (listed, _) = rest.split_once("<!-- /metrics -->").unwrap();
    let mut table = "| metric | labels | meaning |\n|---|---|---|\n".to_owned();
    for metric in portscope::report::diagnose::prometheus::METRICS {
        let name = metric.name.strip_prefix("portscope_").unwrap();
        writeln!(table, "| `{name}` | {} | {} |", metric.labels(), metric.help).unwrap();
    }
    assert_eq!(listed, table, "the metrics in .github/METRICS.md should be:\n{table}");
}

#[test]
fn module_files_have_no_banned_names() {
    for file in sources(Path::new("src")) {
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let banned = ["mod", "util", "utils", "common", "helpers", "types", "core", "manager"];
        assert!(!banned.contains(&stem), "{}", file.display());
    }
}

/// Returns the violations in a file. `name` is its path below src/, without `.rs`.
fn violations(name: &str, source: &str) -> Vec<String> {
    let layer = name.split('/').next().unwrap();
    let row = MAY_IMPORT.iter().find(|(known, _)| *known == layer);
    let mut wrong = Vec::new();
    if !source.starts_with("//! ") {
        wrong.push("no //! head".to_owned());
    }
    if row.is_none() && !["lib", "main"].contains(&name) {
        wrong.push(format!("{layer} is no layer"));
    }
    for path in paths(&code_of(source)) {
        if let Some(rest) = path.strip_prefix("crate::")
            && let Some((_, allowed)) = row
            && let other = rest.split("::").next().unwrap()
            && MAY_IMPORT.iter().any(|(known, _)| *known == other)
            && other != layer
            && !allowed.contains(&other)
        {
            wrong.push(format!("imports {path}"));
        }
        let leaves = name == layer && path.starts_with("super::") && path != "super::*";
        if leaves || path.starts_with("super::super") {
            wrong.push(format!("spell {path} from crate::"));
        }
        for (confined, homes) in CONFINED {
            let is_named = path == *confined || path.starts_with(&format!("{confined}::"));
            let is_home = |home: &&str| name == *home || name.starts_with(&format!("{home}/"));
            if is_named && !homes.iter().any(is_home) {
                wrong.push(format!("{path} is confined to {homes:?}"));
            }
        }
    }
    wrong.into_iter().map(|what| format!("{name}: {what}")).collect()
}

/// Returns the source without comments and without unit tests.
fn code_of(source: &str) -> String {
    let code = source.split("#[cfg(test)]\nmod ").next().unwrap();
    code.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// Returns every path that contains `::`. The trees of `use` are expanded.
fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(start) = rest.find(|c: char| c.is_alphanumeric() || c == '_') {
        let line = code[..code.len() - rest.len() + start].rsplit('\n').next().unwrap();
        rest = &rest[start..];
        let is_use = rest.starts_with("use ") && ["", "pub"].contains(&line.trim());
        let ends_path = |c: char| !c.is_alphanumeric() && c != '_' && c != ':';
        let is_after = |c: char| if is_use { c == ';' } else { ends_path(c) };
        let end = rest.find(is_after).unwrap_or(rest.len());
        let (path, after) = rest.split_at(end);
        rest = after;
        match path.strip_prefix("use ") {
            Some(tree) if is_use => expand("", tree, &mut found),
            _ if path.contains("::") => found.push(path.to_owned()),
            _ => {}
        }
    }
    found
}

/// Expands `a::{b, c::{d}}` to `a::b` and `a::c::d`.
fn expand(prefix: &str, tree: &str, found: &mut Vec<String>) {
    let mut depth = 0;
    let is_comma_at_top = |c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    };
    for branch in tree.split(is_comma_at_top).map(str::trim).filter(|b| !b.is_empty()) {
        if let Some((head, inner)) = branch.split_once('{') {
            let inner = inner.strip_suffix('}').expect("braces of a use tree match");
            expand(&format!("{prefix}{head}"), inner, found);
        } else {
            let name = branch.split(" as ").next().unwrap().trim_start_matches("::");
            found.push(format!("{prefix}{name}"));
        }
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .collect()
}
