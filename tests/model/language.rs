//! The words of the project: each type has a name of its own, and words that have a plainer
//! equivalent are not used in documentation, strings, README and help.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use proc_macro2::{TokenStream, TokenTree};

/// Words that are not allowed in documentation and in texts for users. Each has a plainer
/// equivalent: see "How we write" in `.github/CONTRIBUTING.md`.
const REPLACED: &[&str] = &[
    "anew",
    "arena",
    "at most so",
    "by chance",
    "can be had",
    "census",
    "desk",
    "goes by",
    "goodbye",
    "happening",
    "hear",
    "heard",
    "hears",
    "heir",
    "in vain",
    "is had",
    "it seems",
    "makes no sense",
    "mend",
    "mended",
    "mends",
    "obey",
    "obeys",
    "of its own accord",
    "older than our",
    "patience",
    "shelf",
    "so many",
    "stand",
    "stands",
    "stood",
    "strays",
    "tell",
    "tells",
    "tenant",
    "thief",
    "told",
    "victim",
    "whence",
    "whoever",
    "wishes",
];

/// Type names that may be defined more than once, in the public interface and in the layer below
/// it.
const SHARED: &[&str] = &[];

#[test]
fn each_type_has_a_name_of_its_own() {
    let mut places: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in sources(Path::new("src")) {
        let mut names = Vec::new();
        collect_types(parse(&file), &mut names);
        for name in names {
            places.entry(name).or_default().push(file.clone());
        }
    }
    assert!(places.len() > 500, "{} types", places.len());
    places.retain(|name, files| files.len() > 1 && !SHARED.contains(&name.as_str()));
    assert!(places.is_empty(), "defined more than once: {places:#?}");
}

#[test]
fn no_replaced_word_is_in_documentation_and_strings() {
    let mut found = Vec::new();
    for file in sources(Path::new("src")) {
        collect_words(parse(&file), &mut |line, text| {
            for word in replaced_words(text) {
                found.push(format!("{}:{line}: {word}: {text}", file.display()));
            }
        });
    }
    assert!(found.is_empty(), "{} words:\n{}", found.len(), found.join("\n"));
}

#[test]
fn no_replaced_word_is_in_the_readme_and_in_help() {
    let readme = ("README.md".to_owned(), fs::read_to_string("README.md").unwrap());
    let commands = [
        "", "scan", "diagnose", "explain", "free", "wait", "reserve", "pick", "exec", "serve",
        "lab",
    ];
    let helps = commands.into_iter().flat_map(|command| {
        ["-h", "--help"].map(|option| {
            let mut program = Command::new(env!("CARGO_BIN_EXE_portscope"));
            let arguments = [command, option].into_iter().filter(|word| !word.is_empty());
            let output = program.args(arguments).output().unwrap();
            assert!(output.status.success(), "{command} {option}");
            (format!("portscope {command} {option}"), String::from_utf8(output.stdout).unwrap())
        })
    });
    let mut found = Vec::new();
    for (position, text) in std::iter::once(readme).chain(helps) {
        for (line, text) in text.lines().enumerate() {
            let words = replaced_words(text);
            found.extend(words.map(|word| format!("{position}:{}: {word}: {text}", line + 1)));
        }
    }
    assert!(found.is_empty(), "{} words:\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_replaced_word_is_found_as_a_whole_word_only() {
    let words = |text: &str| replaced_words(text).collect::<Vec<_>>();
    assert_eq!(words("It Stands there, so\nmany times."), ["so many", "stands"]);
    assert_eq!(words("standard output, understood, retells"), [""; 0]);
    let mut lines = Vec::new();
    let source: TokenStream = "/// Told.\nfn f() { g(\"anew\") }".parse().unwrap();
    collect_words(source, &mut |line, text| lines.push((line, text.trim().to_owned())));
    assert_eq!(lines, [(1, "Told.".to_owned()), (2, "anew".to_owned())]);
}

fn replaced_words(text: &str) -> impl Iterator<Item = &'static str> {
    let mut words = String::from(" ");
    for word in text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty()) {
        words.push_str(&word.to_lowercase());
        words.push(' ');
    }
    REPLACED.iter().copied().filter(move |word| words.contains(&format!(" {word} ")))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension() {
            _ if path.is_dir() => files.extend(sources(&path)),
            // Files with unit tests are left out.
            Some(extension) if extension == "rs" && !path.ends_with("tests.rs") => files.push(path),
            _ => {}
        }
    }
    files.sort();
    files
}

fn parse(file: &Path) -> TokenStream {
    fs::read_to_string(file).unwrap().parse().unwrap()
}

/// Collects the structs, enums, traits and type aliases at the top level of the file.
fn collect_types(tokens: TokenStream, names: &mut Vec<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (position, token) in tokens.iter().enumerate() {
        let TokenTree::Ident(keyword) = token else { continue };
        let is_type = ["struct", "enum", "trait", "type"].iter().any(|word| keyword == word);
        if let (true, Some(TokenTree::Ident(name))) = (is_type, tokens.get(position + 1)) {
            names.push(name.to_string());
        }
    }
}

/// Calls `visit` for each string literal and doc comment outside of unit tests, with its line.
fn collect_words(tokens: TokenStream, visit: &mut dyn FnMut(usize, &str)) {
    let mut is_test = false;
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let is_attribute_of_test = group.stream().to_string().starts_with("cfg (test)");
                if is_attribute_of_test {
                    is_test = true;
                } else if !(is_test && group.delimiter() == proc_macro2::Delimiter::Brace) {
                    collect_words(group.stream(), visit);
                } else {
                    is_test = false;
                }
            }
            TokenTree::Literal(literal) if !is_test => {
                let text = literal.to_string();
                if let Some(text) = text.trim_start_matches(['r', 'c', '#']).strip_prefix('"') {
                    // A string that continues on the next line is one text.
                    let text = text.trim_end_matches(['#', '"']).replace("\\\n", " ");
                    visit(literal.span().start().line, &text.replace("\\n", " "));
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => is_test = false,
            TokenTree::Literal(_) | TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}
