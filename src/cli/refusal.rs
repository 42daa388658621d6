//! Turns clap's errors into one line that says what was wrong and what is accepted.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::{cli::settings::BadInput, domain::Text};

pub fn explain(error: &clap::Error) -> BadInput {
    let about = |kind| error.get(kind).map(shown).unwrap_or_default();
    let option = without_placeholder(&about(ContextKind::InvalidArg));
    let value = about(ContextKind::InvalidValue);
    BadInput(match error.kind() {
        ErrorKind::InvalidValue if value.is_empty() => {
            format!("{option} needs a value{}", choices(error))
        }
        ErrorKind::InvalidValue => {
            format!("invalid value '{value}' for {option}{}", choices(error))
        }
        ErrorKind::UnknownArgument if option.starts_with('-') => {
            format!("unknown option '{option}'{}", suggestion(error))
        }
        ErrorKind::UnknownArgument => {
            format!("unexpected argument '{option}'{}", suggestion(error))
        }
        ErrorKind::ArgumentConflict if option.is_empty() => {
            let extra = about(ContextKind::InvalidSubcommand);
            format!("unexpected argument '{extra}': expected one PORT or NAME, or a command first")
        }
        ErrorKind::ArgumentConflict => conflict(&option, &about(ContextKind::PriorArg)),
        ErrorKind::MissingRequiredArgument => {
            format!(
                "missing argument {}: see --help of the command",
                about(ContextKind::InvalidArg)
            )
        }
        ErrorKind::TooManyValues => {
            format!("unexpected value '{value}' for {option}: it takes no value")
        }
        ErrorKind::InvalidUtf8 => {
            "an argument is not UTF-8: expected UTF-8 except in paths and names".into()
        }
        _ => folded(error),
    })
}

/// Describes a conflict of arguments. For an argument that is given twice, clap reports a conflict
/// with itself or with no argument.
fn conflict(option: &str, prior: &str) -> String {
    let prior = without_placeholder(prior);
    if prior.is_empty() || prior == option {
        return format!("{option} is given twice: expected once");
    }
    format!("{option} cannot be used with {prior}")
}

/// Returns `--range` for `--range <RANGE>`.
fn without_placeholder(argument: &str) -> String {
    argument.split_once(" <").map_or(argument, |(option, _)| option).to_owned()
}

fn choices(error: &clap::Error) -> String {
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(names)) if !names.is_empty() => {
            format!(": expected one of {}", names.join(", "))
        }
        _ => ": see --help of the command".into(),
    }
}

fn suggestion(error: &clap::Error) -> String {
    match error.get(ContextKind::SuggestedArg) {
        Some(suggested) => {
            format!(": did you mean {}? see --help of the command", shown(suggested))
        }
        None => ": see --help of the command".into(),
    }
}

/// Formats a value. It contains what the user typed, so it is scrubbed.
fn shown(value: &ContextValue) -> String {
    match value {
        ContextValue::Strings(names) => Text::scrub(names.join(", ")).to_string(),
        value => Text::scrub(value.to_string()).to_string(),
    }
}

/// Returns the whole message of clap in one line.
fn folded(error: &clap::Error) -> String {
    let said = error.render().to_string();
    let words: Vec<&str> = said.trim_start_matches("error: ").split_whitespace().collect();
    Text::scrub(words.join(" ")).to_string()
}
