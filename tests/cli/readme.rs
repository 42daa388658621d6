//! README and the pages in .github: the commands they show, the output of these, their links.

use std::{
    env, fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use crate::{
    namespace::{in_new_namespace, set_sysctl},
    outputs::{PROGRAM, program},
};

/// The pid and the user that README shows instead of those of the test.
const SHOWN_PID: &str = "812";
const SHOWN_USER: &str = "alice";

/// Held by each test that starts programs: between fork and exec a child holds the sockets of the
/// other tests.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn commands_in_console_blocks_print_what_readme_shows() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let readme = fs::read_to_string("README.md").unwrap();
    let blocks = blocks(&readme, "console");
    assert!(blocks.len() >= 4, "README shows the output of four commands");
    for block in blocks {
        assert!(block.starts_with("$ portscope "), "{block}");
        in_new_namespace(|| {
            let _sockets = if block.contains(":5432") { exhausted() } else { listening() };
            for shown in block.split("$ ").skip(1) {
                let (command, expected) = shown.split_once('\n').unwrap();
                let printed = normal(&run(command), &own_names());
                assert_eq!(printed, normal(expected, &[]), "$ {command}");
            }
        });
    }
}

#[test]
fn shown_commands_and_options_exist() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut count = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let lines = blocks(&text, "sh").into_iter().flat_map(str::lines);
        let inline = without_blocks(&text);
        let spans = inline.split('`').skip(1).step_by(2);
        for command in lines.chain(spans) {
            let mut words = words(command).into_iter();
            if words.next() != Some("portscope") {
                continue;
            }
            // `--help` ends the parsing: unknown options before it are refused, nothing is run.
            let arguments = words.take_while(|word| !["--", "|", "&", "#"].contains(word));
            let status =
                program().args(arguments).arg("--help").stdout(Stdio::null()).status().unwrap();
            assert!(status.success(), "{}: {command}", page.display());
            count += 1;
        }
    }
    assert!(count > 20, "only {count} commands were found");
}

/// Splits a command into words as a shell does. Knows single quotes only.
fn words(command: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for (number, part) in command.split('\'').enumerate() {
        if number % 2 == 0 {
            words.extend(part.split_whitespace());
        } else {
            words.push(part);
        }
    }
    words
}

#[test]
fn readme_has_at_most_250_lines_and_valid_links() {
    assert!(fs::read_to_string("README.md").unwrap().lines().count() <= 250);
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let inline = without_blocks(&text);
        for link in inline.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            // A link that begins with # stays on the page.
            let beside = page.parent().unwrap().join(file);
            let target = if file.is_empty() { page.clone() } else { beside };
            assert!(target.is_file(), "{}: {link}", page.display());
            if !anchor.is_empty() {
                let text = fs::read_to_string(target).unwrap();
                assert!(anchors(&text).any(|known| known == anchor), "{}: {link}", page.display());
            }
        }
    }
}

/// Creates the sockets of most examples: `node` listens on 127.0.0.1:8080.
fn listening() -> (Vec<TcpListener>, Vec<TcpStream>) {
    fs::write("/proc/self/comm", "node").unwrap();
    (vec![TcpListener::bind("127.0.0.1:8080").unwrap()], Vec::new())
}

/// Creates the sockets of an example: the ephemeral range has 100 ports, and `payments` uses all of
/// them towards 127.0.0.1:5432.
fn exhausted() -> (Vec<TcpListener>, Vec<TcpStream>) {
    fs::write("/proc/self/comm", "payments").unwrap();
    set_sysctl("ip_local_port_range", "40000 40099");
    let listener = TcpListener::bind("127.0.0.1:5432").unwrap();
    let connections = (0..100).flat_map(|_| {
        let client = TcpStream::connect("127.0.0.1:5432").unwrap();
        [client, listener.accept().unwrap().0]
    });
    let connections = connections.collect();
    (vec![listener], connections)
}

/// Runs a shell command and returns what a terminal would show.
fn run(command: &str) -> String {
    let mut path = Path::new(PROGRAM).parent().unwrap().as_os_str().to_owned();
    path.push(":");
    path.push(env::var_os("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1\n{command}")])
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .env_remove("COLUMNS")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the test's pid and user, each with the text that README shows instead.
fn own_names() -> [(String, &'static str); 2] {
    let user = Command::new("id").arg("-un").output().unwrap().stdout;
    let user = str::from_utf8(&user).unwrap().trim().to_owned();
    [(std::process::id().to_string(), SHOWN_PID), (user, SHOWN_USER)]
}

/// Returns the text with single spaces, with `replaced` words replaced, and with `PORT` instead of
/// ports of the range `free`, which are random.
fn normal(text: &str, replaced: &[(String, &str)]) -> String {
    let is_end = |c: char| !c.is_alphanumeric();
    let mut words = String::new();
    for piece in text.split_inclusive(is_end) {
        let word = piece.trim_end_matches(is_end);
        let is_free = word.parse().is_ok_and(|port: u32| (61000..=65535).contains(&port));
        let shown = replaced.iter().find(|(own, _)| own == word).map_or(word, |(_, shown)| shown);
        words += if is_free { "PORT" } else { shown };
        words += piece.strip_prefix(word).unwrap();
    }
    let lines = words.trim_end().lines();
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
}

/// Returns README and the pages in .github.
fn pages() -> Vec<PathBuf> {
    let entries = fs::read_dir(".github").unwrap().map(|entry| entry.unwrap().path());
    let pages = entries.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    [PathBuf::from("README.md")].into_iter().chain(pages).collect()
}

/// Returns the code blocks of a language, each with its last newline.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let rests = text.split(&format!("```{language}\n")).skip(1).collect::<Vec<_>>();
    rests.into_iter().map(|rest| rest.split("```").next().unwrap()).collect()
}

fn without_blocks(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// Returns the anchors that GitHub generates for the headings.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}
