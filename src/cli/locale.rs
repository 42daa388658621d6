//! The locale: which characters the terminal shows. Translates nothing.

use std::env;

/// Returns whether text may contain UTF-8. Without a locale it is C, whose characters are ASCII.
pub fn is_utf8() -> bool {
    named(|name| env::var(name).ok()).unwrap_or(false)
}

/// Returns whether the terminal shows UTF-8. Containers and services often have no locale, and
/// their terminals show it.
pub fn is_utf8_terminal() -> bool {
    named(|name| env::var(name).ok()).unwrap_or(true)
}

/// Returns whether the locale's characters are UTF-8: the first of these variables that is not
/// empty names the locale (locale(7)). None: none is set.
fn named(variable: impl Fn(&str) -> Option<String>) -> Option<bool> {
    let mut set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable);
    let locale = set.find(|value| !value.is_empty())?.to_ascii_lowercase();
    Some(locale.contains("utf-8") || locale.contains("utf8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_decides() {
        let of = |set: &[(&str, &str)]| {
            let value = |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, v)| *v);
            named(|name| value(name).map(str::to_owned))
        };
        assert_eq!(of(&[("LANG", "en_GB.UTF-8")]), Some(true));
        assert_eq!(of(&[("LC_CTYPE", "C.utf8")]), Some(true));
        assert_eq!(of(&[("LC_ALL", ""), ("LANG", "de_DE.UTF-8")]), Some(true));
        assert_eq!((of(&[]), of(&[("LANG", "C")])), (None, Some(false)));
        assert_eq!(of(&[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")]), Some(false));
    }
}
