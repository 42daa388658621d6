//! The help of each command: `-h` has one line for each option, `--help` adds texts below them.

use std::process::Stdio;

use crate::{outputs::program, snapshots::assert_golden};

/// The program without a command, and its commands.
const COMMANDS: [&str; 11] =
    ["", "scan", "diagnose", "explain", "free", "wait", "reserve", "pick", "exec", "serve", "lab"];

const OPTIONS: [&str; 2] = ["-h", "--help"];

/// Returns what the program prints for these words in a terminal of 80 columns.
fn printed(words: &[&str]) -> String {
    let mut program = program();
    program.args(words.iter().filter(|word| !word.is_empty()));
    let output = program.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    assert_eq!(output.stderr, b"", "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_of_each_command_is_as_recorded() {
    for command in COMMANDS {
        for option in OPTIONS {
            let name = if command.is_empty() { "root" } else { command };
            let name = format!("usage-{name}-{}", option.trim_start_matches('-'));
            assert_golden(&name, &printed(&[command, option]));
        }
    }
}

#[test]
fn help_fits_80_columns_and_each_option_one_line() {
    for command in COMMANDS {
        let texts = OPTIONS.map(|option| printed(&[command, option]));
        for line in texts.iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() <= 80, "{command}: {line}");
        }
        for text in &texts {
            let (_, options) = text.split_once("Options:\n").unwrap();
            let (options, _) = options.split_once("\n\n").unwrap_or((options, ""));
            for line in options.lines() {
                let is_option = line.starts_with("  -") || line.starts_with("      --");
                assert!(is_option, "{command}: {line}");
            }
        }
        let [short, long] = texts;
        assert!(short.lines().count() < 40, "{command} -h: {short}");
        assert!(long.len() > short.len(), "{command} --help: {long}");
    }
}

#[test]
fn words_help_and_version_are_the_options() {
    assert_eq!(printed(&["help"]), printed(&["--help"]));
    assert_eq!(printed(&["help", "pick"]), printed(&["pick", "--help"]));
    assert_eq!(printed(&["version"]), printed(&["--version"]));
}
