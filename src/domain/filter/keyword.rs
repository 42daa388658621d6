//! The words of the filter language, and which one a misspelt word means.

use crate::domain::{
    filter::{StateSet, token::TokenKind},
    process_name::differing_letters,
};

/// A word that begins a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    State,
    Exclude,
    Source,
    Destination,
    SourcePort,
    DestinationPort,
    Device,
    Mark,
    Cgroup,
    Autobound,
    Pid,
    User,
    Unit,
    Listen,
    Tcp,
    Udp,
    Age,
}

/// The words, those of `ss` first.
pub(super) const KEYWORDS: [(&str, Keyword); 19] = [
    ("state", Keyword::State),
    ("exclude", Keyword::Exclude),
    ("excl", Keyword::Exclude),
    ("src", Keyword::Source),
    ("dst", Keyword::Destination),
    ("sport", Keyword::SourcePort),
    ("dport", Keyword::DestinationPort),
    ("dev", Keyword::Device),
    ("fwmark", Keyword::Mark),
    ("cgroup", Keyword::Cgroup),
    ("autobound", Keyword::Autobound),
    ("to", Keyword::Destination),
    ("pid", Keyword::Pid),
    ("user", Keyword::User),
    ("unit", Keyword::Unit),
    ("listen", Keyword::Listen),
    ("tcp", Keyword::Tcp),
    ("udp", Keyword::Udp),
    ("age", Keyword::Age),
];

impl Keyword {
    /// Returns the keyword that the word is, in upper or lower case.
    pub fn named(word: &str) -> Option<Self> {
        let row = KEYWORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        row.map(|&(_, keyword)| keyword)
    }

    /// Returns whether the word may be taken for a misspelt keyword, if a value follows it.
    pub fn resembles(word: &str) -> bool {
        let lower = word.to_ascii_lowercase();
        KEYWORDS.iter().any(|(name, _)| is_near(&lower, name))
            || HINTS.iter().any(|(name, _)| *name == lower)
    }

    /// Returns whether the token could be the value of the keyword.
    fn accepts(self, value: &TokenKind) -> bool {
        let TokenKind::Word(value) = value else { return false };
        let starts_with_digit = value.starts_with(|c: char| c.is_ascii_digit());
        match self {
            Self::State | Self::Exclude => StateSet::named(value).is_some(),
            Self::Source | Self::Destination | Self::SourcePort | Self::DestinationPort => {
                starts_with_digit || value.starts_with([':', '[', '*'])
            }
            Self::Pid => starts_with_digit,
            Self::Device | Self::User | Self::Unit => Keyword::named(value).is_none(),
            _ => false,
        }
    }
}

/// Words of other programs, and what to write in place of them before a value.
const HINTS: [(&str, &str); 14] = [
    ("port", "write :PORT for either end, or sport or dport"),
    ("host", "write the address alone for either end, or src or dst"),
    ("addr", "write the address alone for either end, or src or dst"),
    ("address", "write the address alone for either end, or src or dst"),
    ("ip", "write the address alone for either end, or src or dst"),
    ("net", "write the prefix alone for either end, or src or dst"),
    ("proto", "write tcp or udp"),
    ("protocol", "write tcp or udp"),
    ("process", "write the name alone, or pid N"),
    ("name", "write the name alone"),
    ("owner", "write the name alone"),
    ("service", "write unit NAME, or :SERVICE for a port"),
    ("local", "write src or sport"),
    ("remote", "write dst or dport"),
];

/// What a word probably means that is followed by the value of another word.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meant {
    Keyword(&'static str),
    Hint(&'static str),
}

/// Returns what a name means if `next`, which follows it without `and` or `or`, could be the value
/// of a similar keyword. None: the word is taken for a name.
pub(super) fn meant(word: &str, next: &TokenKind) -> Option<Meant> {
    let lower = word.to_ascii_lowercase();
    let is_compared = matches!(next, TokenKind::Compare(_));
    let near = |&&(name, keyword): &&(&'static str, Keyword)| {
        is_near(&lower, name) && (is_compared || keyword.accepts(next))
    };
    if let Some((_, hint)) = HINTS.iter().find(|(name, _)| *name == lower)
        && (is_compared || matches!(next, TokenKind::Word(_) | TokenKind::Quoted(_)))
    {
        return Some(Meant::Hint(hint));
    }
    KEYWORDS.iter().find(near).map(|(name, _)| Meant::Keyword(name))
}

/// Returns whether the word differs from the keyword in one letter, or in two exchanged ones. Of a
/// keyword with three letters, only exchanged ones: many names have another letter.
fn is_near(word: &str, keyword: &str) -> bool {
    let letters = |word: &str| {
        let mut letters: Vec<char> = word.chars().collect();
        letters.sort_unstable();
        letters
    };
    // The distance takes long for absurd words.
    if word.len() > keyword.len() + 2 {
        return false;
    }
    match differing_letters(word, keyword) {
        1 => keyword.len() > 3,
        2 => letters(word) == letters(keyword),
        _ => false,
    }
}

/// Returns the name of a state that begins with the word, or else the most similar one, with at most
/// half of its letters different. None: there is none.
pub(super) fn nearest_state(word: &str) -> Option<&'static str> {
    if word.len() > 20 {
        return None;
    }
    let lower = word.to_ascii_lowercase();
    if let Some(name) = StateSet::names().find(|name| lower.len() > 2 && name.starts_with(&lower)) {
        return Some(name);
    }
    let named = StateSet::names().map(|name| (differing_letters(&lower, name), name));
    let (distance, name) = named.min()?;
    (distance <= 3 && distance * 2 <= lower.len()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::filter::Comparison;

    #[test]
    fn misspelt_keyword_is_recognised_by_the_value_after_it() {
        let word = |text: &str| TokenKind::Word(text.to_owned());
        let equal = || TokenKind::Compare(Comparison::Equal);
        for (typed, next, expected) in [
            ("stat", word("time-wait"), Some("state")),
            ("sate", word("LISTEN"), Some("state")),
            ("sprot", word(":80"), Some("sport")),
            ("dts", word("10.0.0.5"), Some("dst")),
            ("usr", word("app"), Some("user")),
            ("dprt", equal(), Some("dport")),
            // Names.
            ("top", word(":8080"), None),
            ("stat", word("nginx"), None),
            ("svc", word("10.0.0.5"), None),
            ("nginx", word("worker"), None),
            ("nginx", equal(), None),
        ] {
            let expected = expected.map(Meant::Keyword);
            assert_eq!(meant(typed, &next), expected, "{typed} {next:?}");
        }
        assert!(matches!(meant("port", &word("80")), Some(Meant::Hint(_))));
    }

    #[test]
    fn nearest_state_is_similar_or_begins_with_the_word() {
        for (word, state) in [
            ("timewait", Some("time-wait")),
            ("TIME_WAIT", Some("time-wait")),
            ("listening!", Some("listening")),
            ("establish", Some("established")),
            ("syn", Some("syn-sent")),
            ("time", Some("time-wait")),
            ("clsoed", Some("closed")),
            ("xyz", None),
        ] {
            assert_eq!(nearest_state(word), state, "{word}");
        }
    }
}
