//! `burnwatch demo`: three incidents of ML services, noticed by the bundled rules.
//!
//! A real server on a free port, a simulated service for each story that pushes by real remote
//! write, event time faster than the wall clock, as a backlog is. At the end: what was to be
//! seen, what was seen.

mod display;
mod push;
mod random;
pub mod scenario;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tracing::level_filters::LevelFilter;

use crate::cli::demo::display::Display;
use crate::cli::demo::push::Pusher;
use crate::cli::demo::scenario::{STEP_SECONDS, Scenario, Variant};
use crate::clock::{Clock as _, SystemClock};
use crate::model::{Dialect, DurationMs, TimestampMs};
use crate::server::shards::Share;
use crate::server::{Options, QueryFlags, Server};
use crate::telemetry::logging::{self, LogFormat};

/// How to show the stories.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Which stories; all three by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    scenario: Vec<Scenario>,
    /// `control`: the same traffic without an incident, in which nothing may fire.
    #[arg(long, value_enum, default_value = "incident")]
    variant: Variant,
    /// The seed of the noise; the same seed tells the same story.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seconds to take for the six hours; 0 = as fast as it goes.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Where the server of the demo listens; port 0 takes a free one.
    #[arg(long = "web.listen-address", default_value = "127.0.0.1:0")]
    listen: String,
    /// Leave at the end, although somebody could look at the server's pages.
    #[arg(long)]
    exit: bool,
}

/// Seconds by which the services' scrapes lie apart, as those of real targets do.
const SCRAPE_OFFSET_SECONDS: i64 = 2;

/// Runs the command. Fails when an alert of the truth is missing or one too many fired.
pub fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    logging::init(LevelFilter::ERROR, LogFormat::Logfmt)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let as_told = runtime.block_on(async {
        tokio::select! {
            outcome = tell(&args) => outcome,
            _ = tokio::signal::ctrl_c() => {
                println!("\nstopped; nothing is left behind");
                Ok(true)
            }
        }
    })?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(if as_told {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn tell(args: &DemoArgs) -> anyhow::Result<bool> {
    // Removed when it goes out of scope, on Ctrl-C too.
    let directory = tempfile::tempdir().context("cannot make a directory for the demo")?;
    let scenarios = if args.scenario.is_empty() {
        Scenario::ALL.to_vec()
    } else {
        args.scenario.clone()
    };
    let longest = scenarios
        .iter()
        .map(|scenario| scenario.seconds())
        .max()
        .unwrap_or(0);
    let start = start_of_story(longest);
    let display = Arc::new(Display::new(start));
    let observer = Arc::clone(&display);
    let server = Server::start(Options {
        config_path: None,
        own_config_path: None,
        storage_path: directory.path().to_owned(),
        listen: args.listen.clone(),
        external_url: None,
        lifecycle: false,
        rules_dialect: Dialect::default(),
        features: Vec::new(),
        web_config_path: None,
        query: QueryFlags::default(),
        cors_origin: None,
        resend_delay: DurationMs::from_seconds(60),
        shards: None,
        share: Share::default(),
        flags: Vec::new(),
        observer: Some(Box::new(move |effect, wall| observer.show(effect, wall))),
        clock: Arc::new(SystemClock),
    })
    .await?;
    let url = format!("http://{}", server.address());
    display.title(&url, &scenarios, args.variant);

    let pusher = Pusher::new(&url)?;
    let mut stories: Vec<_> = scenarios
        .iter()
        .zip(0..)
        .map(|(scenario, n)| (*scenario, n, scenario.start(args.variant, args.seed)))
        .collect();
    let n_steps = u64::try_from(longest / STEP_SECONDS).unwrap_or(1).max(1);
    let pause = Duration::from_secs(args.seconds) / u32::try_from(n_steps).unwrap_or(1);
    let mut pace = tokio::time::interval(pause.max(Duration::from_nanos(1)));
    for seconds in (0..longest).step_by(STEP_SECONDS as usize) {
        if !pause.is_zero() {
            pace.tick().await;
        }
        // A service whose story is told goes on: one that went silent would be another story.
        for (scenario, n, story) in &mut stories {
            let offset = *n * SCRAPE_OFFSET_SECONDS;
            let at = start + DurationMs::from_seconds(seconds + offset);
            pusher
                .push(scenario.job(), at, &story.scrape(seconds))
                .await?;
        }
        display.progress(seconds, longest);
    }
    settle(&server).await;
    let as_told = display.summary(&scenarios, args.variant);
    if !args.exit && std::io::stdout().is_terminal() {
        display.invite(&url);
        let _ = tokio::signal::ctrl_c().await;
    }
    server.stop();
    server.run().await?;
    Ok(as_told)
}

/// The stories end now: their beginning lies as far back as the longest of them is long.
fn start_of_story(longest: i64) -> TimestampMs {
    let now = SystemClock.now();
    let start = now - DurationMs::from_seconds(longest + 60);
    TimestampMs(start.0 - start.0.rem_euclid(STEP_SECONDS * 1000))
}

/// Waits until the engine has applied all that was sent.
async fn settle(server: &Server) {
    // An answer comes only after everything before the question has been applied.
    let _ = crate::api::Backend::groups(server.backend().as_ref()).await;
}
