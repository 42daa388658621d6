//! Turns clap's errors into one line that says what was wrong and what is accepted.

use std::{
    error::Error as _,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
};

use clap::{
    CommandFactory as _,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    cli::{
        args::{Arguments, COMMANDS},
        settings::BadInput,
    },
    domain::{Text, process_name::differing_letters},
};

/// Maximum number of letters in which a misspelt command differs from the right one.
const MOST_WRONG: usize = 2;

/// Options whose values may be bytes that are not UTF-8.
const OPTIONS_OF_BYTES: [&str; 3] = ["--output", "--netns", "--socket"];

/// Describes an error of clap. `arguments` are the arguments that clap parsed.
pub fn explain(error: &clap::Error, arguments: &[OsString]) -> BadInput {
    let typed = Typed::of(arguments);
    let misspelt = typed.misspelt();
    let about = |kind| error.get(kind).map(shown).unwrap_or_default();
    let option = without_placeholder(&about(ContextKind::InvalidArg));
    let value = about(ContextKind::InvalidValue);
    BadInput(match error.kind() {
        ErrorKind::InvalidValue if value.is_empty() => {
            format!("{option} needs a value: {}", typed.choices(error))
        }
        ErrorKind::InvalidValue => {
            format!("invalid value '{value}' for {option}: {}", typed.choices(error))
        }
        ErrorKind::ValueValidation => invalid_value(error, &option, &value),
        ErrorKind::UnknownArgument | ErrorKind::ArgumentConflict if misspelt.is_some() => {
            misspelt.unwrap_or_default()
        }
        ErrorKind::UnknownArgument if option.starts_with('-') => {
            typed.unknown_option(&option, error.get(ContextKind::SuggestedArg))
        }
        ErrorKind::UnknownArgument => typed.unexpected_argument(&option),
        ErrorKind::ArgumentConflict if option.is_empty() => {
            let extra = about(ContextKind::InvalidSubcommand);
            format!("unexpected argument '{extra}': expected one PORT or NAME, or a command first")
        }
        ErrorKind::ArgumentConflict => conflict(&option, &about(ContextKind::PriorArg)),
        ErrorKind::MissingRequiredArgument => {
            format!("missing argument {}: {}", about(ContextKind::InvalidArg), typed.see_help())
        }
        ErrorKind::TooManyValues => {
            format!("unexpected value '{value}' for {option}: it takes no value")
        }
        ErrorKind::InvalidUtf8 => typed.not_utf8(),
        _ => on_one_line(error),
    })
}

/// Describes an error of a value parser. A `BadInput` is the whole message; any other error says
/// only what is expected.
fn invalid_value(error: &clap::Error, option: &str, value: &str) -> String {
    match error.source() {
        Some(reason) if reason.is::<BadInput>() => reason.to_string(),
        Some(reason) if option == "<PORT|NAME>" => format!("invalid port '{value}': {reason}"),
        Some(reason) => format!("invalid value '{value}' for {option}: {reason}"),
        None => on_one_line(error),
    }
}

/// Returns an error if the word differs from a command in one or two letters, but not in more than
/// half of its letters. None: the word is a command, an option or a different word.
pub fn misspelt_command(word: &str) -> Option<BadInput> {
    let compared = |command: &'static str| (differing_letters(word, command), command);
    let (letters, command) = COMMANDS.into_iter().map(compared).min()?;
    let is_near = (1..=MOST_WRONG).contains(&letters) && letters * 2 <= word.chars().count();
    (is_near && !word.starts_with('-'))
        .then(|| BadInput(format!("unknown command '{word}': did you mean '{command}'?")))
}

/// Returns an error if the words are `help WORD` and WORD is neither a command nor an option.
pub fn unknown_topic(arguments: &[OsString]) -> Option<BadInput> {
    let [_, help, word] = arguments else { return None };
    let word = Text::scrub(word.as_bytes()).to_string();
    if help != "help" || word.starts_with('-') || COMMANDS.contains(&word.as_str()) {
        return None;
    }
    let unknown = || BadInput(format!("unknown command '{word}': see 'portscope --help'"));
    Some(misspelt_command(&word).unwrap_or_else(unknown))
}

/// The arguments that were typed.
struct Typed<'a> {
    /// The first one is the name of the program.
    arguments: &'a [OsString],
    /// Empty if the first word is not a command.
    command: &'static str,
}

impl<'a> Typed<'a> {
    fn of(arguments: &'a [OsString]) -> Self {
        let first = arguments.get(1).map_or(OsStr::new(""), OsString::as_os_str);
        let command = COMMANDS.into_iter().find(|command| first == *command);
        Self { arguments, command: command.unwrap_or_default() }
    }

    /// Returns an error if the first word looks like a misspelt command.
    fn misspelt(&self) -> Option<String> {
        let first = self.arguments.get(1).filter(|_| self.command.is_empty())?;
        let first = Text::scrub(first.as_bytes());
        misspelt_command(first.as_str()).map(|BadInput(words)| words)
    }

    fn see_help(&self) -> String {
        match self.command {
            "" => "see 'portscope --help'".to_owned(),
            command => format!("see 'portscope {command} --help'"),
        }
    }

    fn choices(&self, error: &clap::Error) -> String {
        match error.get(ContextKind::ValidValue) {
            Some(ContextValue::Strings(names)) if !names.is_empty() => {
                format!("expected one of {}", names.join(", "))
            }
            _ => self.see_help(),
        }
    }

    fn unknown_option(&self, option: &str, similar: Option<&ContextValue>) -> String {
        let option = self.whole_word(option);
        let is_near = |near: &String| differing_letters(near, &option) <= MOST_WRONG;
        let meant = similar.map(shown).filter(is_near).or_else(|| self.with_two_dashes(&option));
        let command = if self.command.is_empty() { "portscope" } else { self.command };
        let refused = format!("{command} has no option '{option}'");
        let others = commands_with(&option);
        match meant {
            Some(meant) => format!("{refused}: did you mean '{meant}'?"),
            None if others.is_empty() => format!("{refused}: {}", self.see_help()),
            None => format!("{refused}: it is an option of {}", others.join(", ")),
        }
    }

    /// Returns the option as it was typed, without `=` and a value: of `-count` clap reports only
    /// `-c`.
    fn whole_word(&self, option: &str) -> String {
        let is_letter = !option.starts_with("--");
        let begins = |word: &&OsString| word.as_bytes().starts_with(option.as_bytes());
        let word = self.arguments.iter().skip(1).find(begins).filter(|_| is_letter);
        let word = word.map(|word| Text::scrub(word.as_bytes()).to_string());
        let word = word.unwrap_or_else(|| option.to_owned());
        word.split('=').next().unwrap_or_default().to_owned()
    }

    /// Returns `--count` for `-count`, if the command has such an option.
    fn with_two_dashes(&self, word: &str) -> Option<String> {
        let name = word.strip_prefix('-')?;
        let root = Arguments::command();
        let command = root.find_subcommand(self.command).unwrap_or(&root);
        has_option(command, name).then(|| format!("--{name}"))
    }

    fn unexpected_argument(&self, argument: &str) -> String {
        let is_range = !argument.is_empty()
            && argument.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if is_range && ["pick", "serve", "lab"].contains(&self.command) {
            return format!("unexpected argument '{argument}': use --range {argument}");
        }
        format!("unexpected argument '{argument}': {}", self.see_help())
    }

    /// Names the argument that is not UTF-8, because clap does not report it.
    fn not_utf8(&self) -> String {
        let takes_bytes = |option: &OsString| {
            OPTIONS_OF_BYTES.iter().any(|known| option.as_bytes() == known.as_bytes())
        };
        let pairs = self.arguments.iter().zip(self.arguments.iter().skip(1));
        let words = pairs.filter(|(option, _)| !takes_bytes(option)).map(|(_, word)| word);
        let wrong = words.filter(|word| word.to_str().is_none()).map(|word| word.as_bytes());
        let shown = wrong.map(Text::scrub).next().map(|word| format!(" '{word}'"));
        let shown = shown.unwrap_or_default();
        format!("invalid argument{shown}: expected UTF-8, except in paths, names and COMMAND")
    }
}

/// Returns the commands that have the option `--NAME`.
fn commands_with(option: &str) -> Vec<&'static str> {
    let Some(name) = option.strip_prefix("--") else { return Vec::new() };
    let root = Arguments::command();
    let has = |command: &&str| {
        root.find_subcommand(*command).is_some_and(|command| has_option(command, name))
    };
    COMMANDS.into_iter().filter(has).collect()
}

/// Returns whether the help of the command lists the option `--name`.
fn has_option(command: &clap::Command, name: &str) -> bool {
    command.get_arguments().any(|option| !option.is_hide_set() && option.get_long() == Some(name))
}

/// Describes a conflict of arguments. If an argument is given twice, clap reports that it conflicts
/// with itself or with no argument.
fn conflict(option: &str, conflicting: &str) -> String {
    let conflicting = without_placeholder(conflicting);
    if conflicting.is_empty() || conflicting == option {
        return format!("{option} is given twice: expected once");
    }
    format!("{option} cannot be used with {conflicting}")
}

/// Returns `--range` for `--range <RANGE>`.
fn without_placeholder(argument: &str) -> String {
    argument.split_once(" <").map_or(argument, |(option, _)| option).to_owned()
}

/// Formats a value. Scrubs it, because it contains what the user typed.
fn shown(value: &ContextValue) -> String {
    match value {
        ContextValue::Strings(names) => Text::scrub(names.join(", ")).to_string(),
        value => Text::scrub(value.to_string()).to_string(),
    }
}

/// Returns the whole message of clap in one line.
fn on_one_line(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let words: Vec<&str> = rendered.trim_start_matches("error: ").split_whitespace().collect();
    Text::scrub(words.join(" ")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(typed: &[&str]) -> String {
        let arguments: Vec<OsString> = typed.iter().map(OsString::from).collect();
        let error = Arguments::read(&arguments).unwrap_err();
        explain(&error, &arguments).0
    }

    #[test]
    fn word_that_differs_from_a_command_in_up_to_two_letters_is_misspelt() {
        for (word, command) in [
            ("diagnos", "diagnose"),
            ("explian", "explain"),
            ("scna", "scan"),
            ("Pick", "pick"),
            ("serv", "serve"),
            ("lam", "lab"),
            ("web", ""),
            ("man", ""),
            ("executes", ""),
            ("scan", ""),
            ("redis", ""),
            ("nginx", ""),
            ("-a", ""),
            ("a", ""),
            ("", ""),
        ] {
            let words = misspelt_command(word).map(|BadInput(words)| words);
            let expected = format!("unknown command '{word}': did you mean '{command}'?");
            assert_eq!(words, (!command.is_empty()).then_some(expected), "{word}");
        }
    }

    #[test]
    fn help_of_an_unknown_command_is_refused() {
        for (word, words) in [
            ("foo", Some("unknown command 'foo': see 'portscope --help'")),
            ("diagnos", Some("unknown command 'diagnos': did you mean 'diagnose'?")),
            ("scan", None),
            ("--xyz", None),
        ] {
            let refused = unknown_topic(&["portscope", "help", word].map(OsString::from));
            assert_eq!(refused.map(|BadInput(words)| words).as_deref(), words, "{word}");
        }
    }

    #[test]
    fn refusals_name_the_command_and_what_was_typed() {
        for (typed, words) in [
            ("pick --xyz", "pick has no option '--xyz': see 'portscope pick --help'"),
            ("pick -count 3", "pick has no option '-count': did you mean '--count'?"),
            ("pick -x", "pick has no option '-x': see 'portscope pick --help'"),
            ("--xyz", "portscope has no option '--xyz': see 'portscope --help'"),
            ("--no-owners", "portscope has no option '--no-owners': it is an option of scan"),
            (
                "serve --strategy x",
                "serve has no option '--strategy': it is an option of pick, exec, lab",
            ),
            ("pick 8080", "unexpected argument '8080': use --range 8080"),
            ("scan 80 443", "unexpected argument '443': see 'portscope scan --help'"),
            ("diagnose 80", "unexpected argument '80': see 'portscope diagnose --help'"),
            ("explain", "missing argument <PORT|NAME>: see 'portscope explain --help'"),
            ("serve --drain x", "missing argument --socket <PATH>: see 'portscope serve --help'"),
            ("pick --count x --block 2", "--count cannot be used with --block"),
            ("explain PORT --xyz", "explain has no option '--xyz': see 'portscope explain --help'"),
            ("pick --format x --xyz", "pick has no option '--xyz': see 'portscope pick --help'"),
            ("pick --format x", "invalid value 'x' for --format: expected one of text, json"),
            ("pick --format", "--format needs a value: expected one of text, json"),
            ("pick --format --json", "--format needs a value: expected one of text, json"),
            ("diagnos --format json", "unknown command 'diagnos': did you mean 'diagnose'?"),
            ("explian 8080", "unknown command 'explian': did you mean 'explain'?"),
        ] {
            let typed: Vec<&str> = ["portscope"].into_iter().chain(typed.split(' ')).collect();
            assert_eq!(refused(&typed), words, "{typed:?}");
        }
    }

    #[test]
    fn refused_values_are_shown_with_what_is_accepted() {
        const RANGE: &str = "free, ephemeral, iana, registered, system, all, FIRST-LAST or PORT";
        const ONE_NAMESPACE: &str = "one network namespace: a name in /run/netns, a pid or a path";
        for (command, option, value, expected) in [
            ("scan", "--range", "\u{1b}[2J", RANGE),
            ("scan", "--range", "1-70000", "ports 0 to 65535"),
            ("pick", "--range", "1-70000", "ports 1 to 65535"),
            ("pick", "--range", "0-9", "1-9 (port 0 cannot be allocated)"),
            ("pick", "--range", "9-8", "8-9, the lower port first"),
            ("pick", "--exclude", "-", "PORT, FIRST-LAST or browsers"),
            ("pick", "--netns", "", ONE_NAMESPACE),
            ("scan", "--netns", "", "a name in /run/netns, a pid, a path, or all"),
            ("pick", "--netns", "all", ONE_NAMESPACE),
            ("pick", "--max-attempts", "-1", "a whole number, 1 to 4294967295"),
            ("pick", "--count", "65536", "a whole number, 1 to 65535"),
            ("pick", "--seed", "-1", "a whole number below 2^53"),
            ("pick", "--address", "x", "an address such as 127.0.0.1, ::1 or fe80::1%eth0"),
            ("scan", "--output", "", "a file"),
            ("serve", "--socket", "@", "a path or @NAME"),
            ("diagnose", "--warn", "0.9", "1 to 100 percent"),
            ("diagnose", "--sample", "60.1", "0 to 60 seconds"),
            ("diagnose", "--top", "1001", "0 to 1000"),
            ("lab", "--fill", "\u{1b}", "0 to 1"),
            ("lab", "--band", "-1", "a whole number, 0 or more"),
            ("lab", "--window", "61", "0 to 60 seconds"),
            ("lab", "--competitor", "0", "1 to 1000000 binds per second"),
        ] {
            let shown = Text::scrub(value);
            let words = format!("invalid value '{shown}' for {option}: expected {expected}");
            assert_eq!(refused(&["portscope", command, option, value]), words);
        }
        let interval = "invalid value '0' for --interval: expected 0.1 to 3600 seconds";
        assert_eq!(refused(&["portscope", "--interval", "0"]), interval);
        assert_eq!(refused(&["portscope", "70000"]), "invalid port '70000': expected 0 to 65535");
        let drain = "invalid value '-1' for --drain: expected 0 to 86400 seconds";
        assert_eq!(refused(&["portscope", "serve", "--socket", "@x", "--drain", "-1"]), drain);
        let port = "invalid port '-1': expected 1 to 65535";
        assert_eq!(refused(&["portscope", "explain", "-1"]), port);
        let word = "invalid value 'x' for --exclude: expected PORT, FIRST-LAST or browsers";
        assert_eq!(refused(&["portscope", "pick", "--exclude", "80, x"]), word);
    }
}
