//! The locale: which characters the terminal shows. Translates nothing.

use std::env;

/// Returns whether the characters of the locale are UTF-8.
pub fn is_utf8() -> bool {
    is_utf8_in(|name| env::var(name).ok())
}

/// The first of these variables that is not empty decides (locale(7)). Without any, the characters
/// are taken for UTF-8: containers and services often have none, and their terminals use UTF-8.
fn is_utf8_in(variable: impl Fn(&str) -> Option<String>) -> bool {
    let mut set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable);
    set.find(|value| !value.is_empty()).is_none_or(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_decides() {
        let of = |set: &[(&str, &str)]| {
            let value = |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, v)| *v);
            is_utf8_in(|name| value(name).map(str::to_owned))
        };
        assert!(of(&[("LANG", "en_GB.UTF-8")]) && of(&[("LC_CTYPE", "C.utf8")]));
        assert!(of(&[("LC_ALL", ""), ("LANG", "de_DE.UTF-8")]));
        assert!(of(&[]) && of(&[("LC_ALL", "")]) && !of(&[("LANG", "C")]));
        assert!(!of(&[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")]));
    }
}
