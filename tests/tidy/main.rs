//! The plan of the house as a test: which module may use which, what core may not know, and that
//! nothing lies about unused.
//!
//! The order is the code map of ARCHITECTURE.md, the arrows are the table below. A new arrow is a
//! change of design: it edits the table and says why. Comments, texts and what is compiled for
//! tests alone do not count.

#[macro_use]
#[path = "../support/say.rs"]
mod say;

mod acceptance;
mod inventory;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{is_word, read, root, sources, tree, words};

/// The modules in reading order, each with those above it that it uses.
const MODULES: &[(&str, &[&str])] = &[
    // Ground.
    ("sync", &[]),
    ("model", &[]),
    ("clock", &["model"]),
    ("arrivals", &["clock", "model"]),
    ("relabel", &["model"]),
    ("telemetry", &["model"]),
    ("wire", &[]),
    ("yaml", &["model"]),
    ("config", &["model", "relabel", "yaml"]),
    // In.
    ("log", &["model"]),
    ("ingest", &["arrivals", "clock", "log", "model", "sync"]),
    // Core.
    ("history", &["model"]),
    ("promql", &["model"]),
    ("windows", &["history", "model"]),
    ("functions", &["model", "promql", "windows"]),
    ("series", &["history", "model"]),
    (
        "eval",
        &[
            "functions",
            "history",
            "model",
            "promql",
            "series",
            "windows",
        ],
    ),
    ("template", &["model"]),
    // Specifications of objectives, which become rules.
    ("slo", &["model", "promql", "yaml"]),
    // Templates are read with the file, so that their faults are known before anything changes;
    // specifications of objectives are compiled where a rule file may stand.
    ("rule", &["model", "promql", "slo", "template", "yaml"]),
    ("alert", &["model"]),
    // What surrounds an alert: its expression is evaluated anew, its links are templates.
    (
        "context",
        &["eval", "functions", "model", "promql", "series", "template"],
    ),
    (
        "engine",
        &[
            "alert",
            "context",
            "eval",
            "functions",
            "history",
            "model",
            "promql",
            "rule",
            "series",
            "template",
        ],
    ),
    // Out.
    (
        "notify",
        &[
            "arrivals",
            "clock",
            "config",
            "model",
            "relabel",
            "telemetry",
            "wire",
        ],
    ),
    // Queries are evaluated here, outside the engines, on copies of their series.
    (
        "api",
        &[
            "clock",
            "context",
            "engine",
            "eval",
            "functions",
            "model",
            "promql",
            "series",
            "telemetry",
        ],
    ),
    // The page is one more reader of what the API asks for.
    ("ui", &["api", "engine", "functions", "model", "promql"]),
    // Shell.
    ("bundled", &[]),
    // The files of history, behind the trait that core knows, and of checkpoints, on the log's disk.
    ("storage", &["history", "log", "model"]),
    ("backfill", &["config", "ingest", "model", "notify", "wire"]),
    // What stands between the socket and the router: it knows what a route needs, not what it does.
    ("web", &["api", "clock", "config", "ingest"]),
    (
        "server",
        &[
            "api",
            "arrivals",
            "backfill",
            "bundled",
            "clock",
            "config",
            "engine",
            "history",
            "ingest",
            "log",
            "model",
            "notify",
            "series",
            "storage",
            "telemetry",
            "ui",
            "web",
        ],
    ),
    (
        "cli",
        &[
            "api",
            "backfill",
            "bundled",
            "clock",
            "config",
            "engine",
            "functions",
            // `check storage` reads a data directory without a server.
            "log",
            "model",
            "notify",
            "promql",
            "rule",
            "server",
            "slo",
            "storage",
            "telemetry",
            "web",
            "wire",
            "yaml",
        ],
    ),
];

/// Pure: the same input gives the same output, whenever and wherever.
const CORE: &[&str] = &[
    "model",
    "relabel",
    "yaml",
    "history",
    "promql",
    "windows",
    "functions",
    "series",
    "eval",
    "template",
    "slo",
    "rule",
    "alert",
    "context",
    "engine",
];
/// Words that core's code does not have. (`std::net` is allowed for its addresses, which are
/// plain values.)
const IMPURE: &[&str] = &[
    "async",
    "await",
    "tokio",
    "std::fs",
    "std::env",
    "std::io",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "std::time::Instant",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "fastrand",
    "tracing",
    "prometheus_client",
];
/// The only modules in which something may wait.
const ASYNC: &[&str] = &[
    "log", "ingest", "notify", "api", "ui", "backfill", "web", "server", "cli",
];

/// Collects what is wrong, and says all of it at once.
fn nothing(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for source in sources() {
        for rest in words(&source.code, "crate::") {
            let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
            if name.is_empty() {
                wrong.push(format!(
                    "src/{}: write crate::module, one a line",
                    source.path
                ));
            } else if name != source.module() {
                used.entry(source.module().to_owned())
                    .or_default()
                    .insert(name);
            }
        }
        if words(&source.code, "super::").next().is_some() {
            wrong.push(format!("src/{}: write crate::…, not super::", source.path));
        }
    }
    for (module, allowed) in MODULES {
        let used = used.remove(*module).unwrap_or_default();
        let allowed: BTreeSet<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        for new in used.difference(&allowed) {
            wrong.push(format!(
                "{module} uses {new}, which the table does not allow"
            ));
        }
        for old in allowed.difference(&used) {
            wrong.push(format!(
                "{module} may use {old}, and does not: take it off the table"
            ));
        }
    }
    for module in used.keys() {
        wrong.push(format!("{module} is not in the table"));
    }
    nothing(wrong);
}

#[test]
fn modules_stand_in_reading_order_and_use_only_those_above() {
    let text = read(&root().join("ARCHITECTURE.md"));
    let headed = text.lines().filter_map(|line| line.strip_prefix("**[`"));
    let map: Vec<&str> = headed.filter_map(|line| line.split('`').next()).collect();
    let table: Vec<&str> = MODULES.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        map, table,
        "the code map of ARCHITECTURE.md and the table here differ"
    );
    let mut wrong = Vec::new();
    for (at, (module, uses)) in MODULES.iter().enumerate() {
        let below = uses.iter().filter(|used| !table[..at].contains(used));
        wrong.extend(below.map(|used| format!("{module} uses {used}, which stands below it")));
    }
    nothing(wrong);
    let declared = tree();
    let declared = declared
        .keys()
        .filter_map(|path| match path.split_once('/') {
            Some((folder, "mod.rs")) => Some(folder),
            Some(_) => None,
            None => path.strip_suffix(".rs"),
        });
    let mut declared: Vec<&str> = declared.filter(|m| !matches!(*m, "lib" | "main")).collect();
    let mut table = table;
    declared.sort_unstable();
    table.sort_unstable();
    assert_eq!(declared, table, "modules of lib.rs and the table differ");
}

#[test]
fn core_is_pure() {
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.module();
        if CORE.contains(&module) {
            let impure = IMPURE.iter().filter(|word| source.has(word));
            wrong.extend(impure.map(|word| format!("src/{}: core names {word}", source.path)));
        }
        let may_wait = ASYNC.contains(&module) || module == "main";
        if !may_wait && (source.has("async") || source.has("tokio")) {
            wrong.push(format!("src/{}: {module} may not wait", source.path));
        }
    }
    nothing(wrong);
}

#[test]
fn one_file_reads_the_clock() {
    const READS: [&str; 4] = [
        "Instant::now",
        "SystemTime::now",
        "UNIX_EPOCH",
        "thread::sleep",
    ];
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.path != "clock.rs") {
        let reads = READS.iter().filter(|word| source.has(word));
        wrong.extend(reads.map(|word| format!("src/{}: {word}", source.path)));
    }
    nothing(wrong);
}

/// Each has the reason beside it; a new one is a change of design.
const UNSAFE: &[&str] = &["ingest/route_table/part.rs", "storage/segment.rs"];

#[test]
fn unsafe_stands_in_named_places_alone() {
    let sources = sources();
    let found = sources.iter().filter(|source| source.has("unsafe"));
    let found: Vec<&str> = found.map(|source| source.path.as_str()).collect();
    assert_eq!(found, UNSAFE);
    let library = read(&root().join("src/lib.rs"));
    assert!(library.contains("#![deny(unsafe_code)]"));
}
