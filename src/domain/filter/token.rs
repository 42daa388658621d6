//! Splits a filter into words and symbols. Does not know the grammar.

use std::ops::Range;

use crate::domain::{
    Text,
    filter::{Comparison, Connective, FilterError},
};

/// A word or a symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: TokenKind,
    /// Its bytes in the filter.
    pub span: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A word without escaped characters, which may be a keyword.
    Word(String),
    /// A word in quotes or with an escaped character, which is a name.
    Quoted(String),
    Join(Connective),
    Compare(Comparison),
    Not,
    Open,
    Close,
}

/// The words of operators, in upper or lower case. The symbols are in `symbol`.
const OPERATORS: [(&str, TokenKind); 12] = [
    ("and", TokenKind::Join(Connective::And)),
    ("or", TokenKind::Join(Connective::Or)),
    ("not", TokenKind::Not),
    ("eq", TokenKind::Compare(Comparison::Equal)),
    ("ne", TokenKind::Compare(Comparison::NotEqual)),
    ("neq", TokenKind::Compare(Comparison::NotEqual)),
    ("gt", TokenKind::Compare(Comparison::Greater)),
    ("ge", TokenKind::Compare(Comparison::GreaterOrEqual)),
    ("geq", TokenKind::Compare(Comparison::GreaterOrEqual)),
    ("lt", TokenKind::Compare(Comparison::Less)),
    ("le", TokenKind::Compare(Comparison::LessOrEqual)),
    ("leq", TokenKind::Compare(Comparison::LessOrEqual)),
];

/// Splits a filter. Errors: a quote is not closed, or a character could not be printed.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    let mut tokens = Vec::new();
    let mut position = 0;
    while let Some(rest) = text.get(position..).filter(|rest| !rest.is_empty()) {
        let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        if blank > 0 {
            position += blank;
            continue;
        }
        let (kind, length) = match symbol(rest) {
            Some(found) => found,
            None if rest.starts_with(['"', '\'']) => quoted(rest, position)?,
            None => word(rest, position)?,
        };
        tokens.push(Token { kind, span: position..position + length });
        position += length;
    }
    Ok(tokens)
}

/// Returns the symbol at the start of the text, and its length. None: a word starts there.
fn symbol(text: &str) -> Option<(TokenKind, usize)> {
    let mut characters = text.bytes();
    let (first, second) = (characters.next()?, characters.next());
    Some(match (first, second) {
        (b'(', _) => (TokenKind::Open, 1),
        (b')', _) => (TokenKind::Close, 1),
        (b'&', Some(b'&')) => (TokenKind::Join(Connective::And), 2),
        (b'&', _) => (TokenKind::Join(Connective::And), 1),
        (b'|', Some(b'|')) => (TokenKind::Join(Connective::Or), 2),
        (b'|', _) => (TokenKind::Join(Connective::Or), 1),
        (b'!', Some(b'=')) => (TokenKind::Compare(Comparison::NotEqual), 2),
        (b'!', _) => (TokenKind::Not, 1),
        (b'=', Some(b'=')) => (TokenKind::Compare(Comparison::Equal), 2),
        (b'=', _) => (TokenKind::Compare(Comparison::Equal), 1),
        (b'>', Some(b'=')) => (TokenKind::Compare(Comparison::GreaterOrEqual), 2),
        (b'>', _) => (TokenKind::Compare(Comparison::Greater), 1),
        (b'<', Some(b'=')) => (TokenKind::Compare(Comparison::LessOrEqual), 2),
        (b'<', _) => (TokenKind::Compare(Comparison::Less), 1),
        _ => return None,
    })
}

/// Reads a word up to a blank or symbol. A backslash makes the next character a part of the word.
fn word(text: &str, position: usize) -> Result<(TokenKind, usize), FilterError> {
    let mut word = String::new();
    let mut is_escaped = false;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => {
                is_escaped = true;
                word.extend(characters.next().map(|(_, escaped)| escaped));
            }
            ' ' | '\t' | '\n' | '\r' | '(' | ')' | '&' | '|' | '=' | '<' | '>' => {
                return finished(word, is_escaped, position..position + at);
            }
            '!' if text.get(at..).is_some_and(|rest| rest.starts_with("!=")) => {
                return finished(word, is_escaped, position..position + at);
            }
            character => word.push(character),
        }
    }
    finished(word, is_escaped, position..position + text.len())
}

/// Reads a word in quotes. A backslash makes the next character a part of the word.
fn quoted(text: &str, position: usize) -> Result<(TokenKind, usize), FilterError> {
    let mut word = String::new();
    let mut characters = text.char_indices();
    let quote = characters.next().map(|(_, quote)| quote);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => word.extend(characters.next().map(|(_, escaped)| escaped)),
            character if Some(character) == quote => {
                return finished(word, true, position..position + at + 1);
            }
            character => word.push(character),
        }
    }
    let span = position..position + text.len();
    Err(FilterError::new(span, "the quote is not closed"))
}

/// Returns the token of a word and its length. Errors: the word has a character that cannot be
/// printed, or is empty.
fn finished(
    word: String,
    is_quoted: bool,
    span: Range<usize>,
) -> Result<(TokenKind, usize), FilterError> {
    if word.is_empty() {
        return Err(FilterError::new(span, "the word is empty"));
    }
    // A backslash is no reason: `Text` doubles it, but can print it.
    if Text::around_scrubbed(&word).as_str() != word {
        return Err(FilterError::new(span, "the word has a character that cannot be printed"));
    }
    let length = span.len();
    let is_word = |operator: &str| operator.eq_ignore_ascii_case(&word) && !is_quoted;
    let operator = OPERATORS.iter().find(|(operator, _)| is_word(operator));
    let kind = match operator {
        Some((_, kind)) => kind.clone(),
        None if is_quoted => TokenKind::Quoted(word),
        None => TokenKind::Word(word),
    };
    Ok((kind, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        tokens(text).unwrap().into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn blanks_and_symbols_separate_words() {
        let word = |text: &str| TokenKind::Word(text.to_owned());
        let greater = TokenKind::Compare(Comparison::GreaterOrEqual);
        assert_eq!(kinds("sport>=:80"), [word("sport"), greater.clone(), word(":80")]);
        assert_eq!(kinds("sport ge\t:80"), [word("sport"), greater, word(":80")]);
        assert_eq!(kinds("(a)"), [TokenKind::Open, word("a"), TokenKind::Close]);
        assert_eq!(kinds("!a b!"), [TokenKind::Not, word("a"), word("b!")]);
        assert_eq!(kinds("  "), []);
    }

    #[test]
    fn quotes_and_backslashes_make_names() {
        let name = |text: &str| TokenKind::Quoted(text.to_owned());
        assert_eq!(kinds(r#""tmux: server""#), [name("tmux: server")]);
        assert_eq!(kinds(r"tmux:\ server"), [name("tmux: server")]);
        assert_eq!(kinds(r#"'a "b"' "a\"b\\""#), [name("a \"b\""), name("a\"b\\")]);
        assert_eq!(kinds(r"\and a\"), [name("and"), name("a")]);
    }

    #[test]
    fn words_that_cannot_be_printed_are_refused() {
        assert_eq!(tokens("a \u{1b}[2J").unwrap_err().span, 2..6);
        assert_eq!(tokens("\"a").unwrap_err().span, 0..2);
        assert_eq!(tokens("a \"\"").unwrap_err().span, 2..4);
        assert_eq!(tokens("a \\").unwrap_err().span, 2..3);
    }
}
