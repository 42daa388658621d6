//! Folds the parser's complaints into one line that says what was wrong and what is right.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::{cli::settings::BadInput, domain::Text};

pub fn explain(error: &clap::Error) -> BadInput {
    let about = |kind| error.get(kind).map(shown).unwrap_or_default();
    let argument = about(ContextKind::InvalidArg);
    let value = about(ContextKind::InvalidValue);
    BadInput(match error.kind() {
        ErrorKind::InvalidValue if value.is_empty() => {
            format!("{argument} needs a value{}", choices(error))
        }
        ErrorKind::InvalidValue => {
            format!("'{value}' is no value for {argument}{}", choices(error))
        }
        ErrorKind::UnknownArgument => {
            format!("'{argument}' is not known here{}", suggestion(error))
        }
        ErrorKind::ArgumentConflict => {
            let prior = about(ContextKind::PriorArg);
            if prior == argument {
                format!("{argument} is given twice: give it once")
            } else {
                format!("{argument} does not go with {prior}: see portscope --help")
            }
        }
        ErrorKind::TooManyValues | ErrorKind::NoEquals => {
            format!("'{value}' is not known here: see portscope --help")
        }
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8: only a file or a name may be".into(),
        _ => folded(error),
    })
}

fn choices(error: &clap::Error) -> String {
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(names)) if !names.is_empty() => {
            format!(": use {}", names.join(", "))
        }
        _ => String::new(),
    }
}

fn suggestion(error: &clap::Error) -> String {
    match error.get(ContextKind::SuggestedArg) {
        Some(suggested) => format!(": did you mean {}?", shown(suggested)),
        None => ": see portscope --help".into(),
    }
}

/// What was typed comes back in here, hence scrubbed.
fn shown(value: &ContextValue) -> String {
    match value {
        ContextValue::Strings(names) => Text::scrub(names.join(", ")).to_string(),
        value => Text::scrub(value.to_string()).to_string(),
    }
}

/// All that the parser says, in one line.
fn folded(error: &clap::Error) -> String {
    let said = error.render().to_string();
    let words: Vec<&str> = said.trim_start_matches("error: ").split_whitespace().collect();
    Text::scrub(words.join(" ")).to_string()
}
