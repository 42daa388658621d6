//! Properties of filters for every input: parsing never panics, what is printed is parsed as the
//! same filter, and an error marks a part of the input.

use portscope::domain::{Filter, ServiceNames};
use proptest::{collection::vec, prelude::*, sample};

/// Words that are near the grammar, right and wrong.
const WORDS: [&str; 88] = [
    "state",
    "exclude",
    "excl",
    "src",
    "dst",
    "to",
    "sport",
    "dport",
    "dev",
    "fwmark",
    "cgroup",
    "autobound",
    "pid",
    "user",
    "unit",
    "listen",
    "tcp",
    "udp",
    "age",
    "and",
    "or",
    "not",
    "AND",
    "&",
    "&&",
    "|",
    "||",
    "!",
    "(",
    ")",
    "( ",
    " )",
    "=",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "eq",
    "neq",
    "ge",
    "lt",
    "established",
    "time-wait",
    "LISTEN",
    "closed",
    "all",
    "big",
    "connected",
    "bucket",
    "10.0.0.5",
    "10/8",
    "0/0",
    "127.0.0.1:80",
    "10.0.0.0/8:443",
    "[::1]:443",
    "::1",
    "::/0",
    "[2001:db8::/32]",
    "*",
    "*:80",
    ":8080",
    ":http",
    ":8000-8090",
    "8080",
    "70000",
    "any",
    "localhost",
    "db.example",
    "db:5432",
    "inet:10.0.0.1",
    "inet6:*",
    "unix:/x",
    "lo",
    "eth0",
    "nginx",
    "stat",
    "usr",
    "1m",
    "90s",
    "1h30m",
    "812",
    "root",
    "\"tmux: server\"",
    "a\\ b",
    "'",
    "\u{65e5}\u{672c}",
];

/// Generates words of the grammar in any order.
fn words() -> impl Strategy<Value = String> {
    let separators = sample::select(&[" ", " ", " ", " ", "\t", ""][..]);
    vec((sample::select(&WORDS[..]), separators), 0..12).prop_map(|words| {
        words.into_iter().flat_map(|(word, separator)| [word, separator]).collect()
    })
}

/// Generates terms that are right, joined and nested.
fn filters() -> impl Strategy<Value = String> {
    let tests = sample::select(
        &[
            "src 10.0.0.5",
            "dst = [::1]:443",
            "sport >= :1024",
            "dport ne https",
            "dev = lo",
            "pid 812",
            "user != app",
            "unit nginx.service",
            "age > 1m30s",
            "listen",
            "udp",
            "time-wait",
            "state bucket exclude syn-recv",
            "exclude listening exclude closed",
            ":8080",
            ":8000-8090",
            "10.0.0.0/8",
            "nginx",
            "\"stat\"",
            "\"a \\\"b\\\" \\\\\"",
        ][..],
    );
    let leaf = tests.prop_map(str::to_owned);
    let term = leaf.prop_recursive(4, 24, 4, |inner| {
        let connectives = sample::select(&[" and ", " or ", " ", "|", "&&"][..]);
        let chain = vec((connectives, inner.clone()), 1..4).prop_map(|terms| {
            terms
                .into_iter()
                .fold("tcp".to_owned(), |chain, (connective, term)| chain + connective + &term)
        });
        prop_oneof![
            chain.clone(),
            chain.prop_map(|chain| format!("( {chain} )")),
            inner.prop_map(|term| format!("not ( {term} )")),
        ]
    });
    let states = sample::select(&["", "state all ", "state time-wait ", "excl big "][..]);
    (states, term).prop_map(|(states, term)| format!("{states}{term}"))
}

/// Checks everything that holds for each input.
fn check(text: &str) -> Result<Option<Filter>, TestCaseError> {
    let services = ServiceNames::default();
    match Filter::parse(text, &services) {
        Ok(filter) => {
            let printed = filter.to_string();
            let again = Filter::parse(&printed, &services);
            prop_assert_eq!(again.as_ref(), Ok(&filter), "{}", printed);
            prop_assert_eq!(filter.to_string(), printed);
            let _ = filter.as_ss();
            Ok(Some(filter))
        }
        Err(error) => {
            prop_assert!(text.get(error.span.clone()).is_some(), "{:?}", error);
            let [line, mark] = error.marked(text);
            prop_assert!(line.chars().chain(mark.chars()).all(|c| !c.is_control()));
            prop_assert!(mark.trim_start_matches(' ').bytes().all(|b| b == b'^'));
            Ok(None)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_parsed_or_refused(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn any_words_are_parsed_or_refused(text in words()) {
        check(&text)?;
    }

    #[test]
    fn filters_that_are_right_are_parsed_and_printed(text in filters()) {
        prop_assert!(check(&text)?.is_some(), "{}", text);
    }
}
