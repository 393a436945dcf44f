//! `--against URL`: which selectors find no series at a running server.
//!
//! Each selector is asked for once, for the last hour, and only whether there is one series.
//! What the rules themselves record counts as there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use futures::StreamExt as _;
use serde_json::Value;
use url::Url;

use crate::clock::{Clock as _, SystemClock};
use crate::model::Matcher;
use crate::model::spelling::nearest;
use crate::notify::http_client;
use crate::promql::selectors;
use crate::rule::RuleKind;
use crate::rule::lint::{Advice, LintFile, Severity, place_in_expression};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How many questions are under way at a time.
const CONCURRENCY: usize = 8;
/// How far back a series may lie to count as there, s.
const SINCE_SECONDS: f64 = 3600.0;

/// A selector as the server is asked, and where the rules have it.
struct Asked {
    matchers: Vec<Matcher>,
    uses: Vec<(usize, Advice)>,
}

/// Asks a server about every selector of the files; returns for each file those without series.
pub(crate) fn unseen_selectors(
    url: &str,
    files: &[LintFile<'_>],
    progress: &mut dyn Write,
) -> anyhow::Result<Vec<Vec<Advice>>> {
    let server = Server::at(url)?;
    let asked = selectors_of(files);
    writeln!(
        progress,
        "  NOTE: asking {} about {} selectors",
        server.shown,
        asked.len()
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let mut found = vec![Vec::new(); files.len()];
    let unseen = runtime.block_on(server.unseen(&asked))?;
    for (selector, suggestion) in unseen {
        let asked = &asked[&selector];
        for (file_idx, advice) in &asked.uses {
            let mut advice = advice.clone();
            advice.message += &format!(
                "no series of the last hour at {} fits {selector}",
                server.shown
            );
            advice.remedy = suggestion.clone();
            found[*file_idx].push(advice);
        }
    }
    Ok(found)
}

/// Collects the selectors of all rules, but for those of recorded series.
fn selectors_of(files: &[LintFile<'_>]) -> BTreeMap<String, Asked> {
    let rules = files.iter().flat_map(|file| file.groups);
    let recorded: BTreeSet<&str> = rules
        .flat_map(|group| &group.rules)
        .filter(|rule| matches!(rule.kind, RuleKind::Recording))
        .map(|rule| rule.name.as_str())
        .chain(["ALERTS", "ALERTS_FOR_STATE"])
        .collect();
    let mut asked: BTreeMap<String, Asked> = BTreeMap::new();
    for (file_idx, file) in files.iter().enumerate() {
        for group in file.groups {
            for (rule_idx, rule) in group.rules.iter().enumerate() {
                for used in selectors(&rule.expr) {
                    let is_recorded =
                        Matcher::exact_name(&used.matchers).is_some_and(|n| recorded.contains(n));
                    if is_recorded {
                        continue;
                    }
                    let place = place_in_expression(file.text, rule, used.span);
                    let advice = Advice {
                        name: "unseen-selector",
                        severity: Severity::Advice,
                        file: file.path.to_owned(),
                        line: place.line,
                        column: place.column,
                        message: format!(
                            "group {:?}, rule {}, {:?}: ",
                            group.name,
                            rule_idx + 1,
                            rule.name
                        ),
                        remedy: String::new(),
                    };
                    let text = printed(&used.matchers);
                    let entry = asked.entry(text).or_insert_with(|| Asked {
                        matchers: used.matchers.clone(),
                        uses: Vec::new(),
                    });
                    entry.uses.push((file_idx, advice));
                }
            }
        }
    }
    asked
}

fn printed(matchers: &[Matcher]) -> String {
    let texts: Vec<String> = matchers.iter().map(ToString::to_string).collect();
    format!("{{{}}}", texts.join(","))
}

struct Server {
    /// The base of its URLs, without user and password.
    base: String,
    shown: String,
    user: Option<(String, Option<String>)>,
    client: reqwest::Client,
    start: String,
    end: String,
}

impl Server {
    fn at(url: &str) -> anyhow::Result<Self> {
        let mut base = Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                anyhow!("--against: {url:?} is no URL; write one such as http://127.0.0.1:9090")
            })?;
        let decoded = |text: &str| {
            percent_encoding::percent_decode_str(text)
                .decode_utf8_lossy()
                .into_owned()
        };
        let user = (!base.username().is_empty())
            .then(|| (decoded(base.username()), base.password().map(decoded)));
        // A URL with a host takes both.
        let _ = base.set_username("");
        let _ = base.set_password(None);
        base.set_query(None);
        base.set_fragment(None);
        let base = base.as_str().trim_end_matches('/').to_owned();
        let now = SystemClock.now().seconds();
        Ok(Server {
            shown: base.clone(),
            base,
            user,
            client: http_client::plain()?,
            start: (now - SINCE_SECONDS).to_string(),
            end: now.to_string(),
        })
    }

    /// Returns the selectors that no series fits, each with what to do about it.
    async fn unseen(
        &self,
        asked: &BTreeMap<String, Asked>,
    ) -> anyhow::Result<Vec<(String, String)>> {
        let questions = asked.keys().map(|selector| async move {
            let params = [("match[]", selector.as_str()), ("limit", "1")];
            let answer = self.get("series", &params).await;
            let answer = answer.with_context(|| format!("ask for {selector}"))?;
            let is_empty = answer.as_array().is_none_or(Vec::is_empty);
            anyhow::Ok(is_empty.then_some(selector))
        });
        let mut answers = futures::stream::iter(questions).buffered(CONCURRENCY);
        let mut unseen = Vec::new();
        while let Some(answer) = answers.next().await {
            unseen.extend(answer?);
        }
        if unseen.is_empty() {
            return Ok(Vec::new());
        }
        let names = self.get("label/__name__/values", &[]).await?;
        let names: Vec<&str> = names
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        Ok(unseen
            .into_iter()
            .map(|selector| {
                let remedy = remedy(&asked[selector].matchers, &names);
                (selector.clone(), remedy)
            })
            .collect())
    }

    async fn get(&self, path: &str, params: &[(&str, &str)]) -> anyhow::Result<Value> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(params);
        form.extend_pairs([("start", &self.start), ("end", &self.end)]);
        let url = format!("{}/api/v1/{path}?{}", self.base, form.finish());
        let mut request = self.client.get(url).timeout(TIMEOUT);
        if let Some((user, password)) = &self.user {
            request = request.basic_auth(user, password.as_ref());
        }
        let answer = request.send().await.map_err(|e| {
            let why = match (e.is_timeout(), e.is_connect()) {
                (true, _) => format!("no answer within {} s", TIMEOUT.as_secs()),
                (_, true) => "no connection".to_owned(),
                _ => e.without_url().to_string(),
            };
            anyhow!(
                "--against: cannot ask {}: {why}; is it running there?",
                self.shown
            )
        })?;
        let status = answer.status();
        if matches!(status.as_u16(), 401 | 403) {
            bail!(
                "--against: {} answered {status}; write user and password into the URL: \
                 http://user:password@host",
                self.shown
            );
        }
        let body = answer.text().await.unwrap_or_default();
        let is_api = |answer: &Value| answer["status"].is_string();
        let Some(answer) = serde_json::from_str(&body).ok().filter(is_api) else {
            bail!(
                "--against: {} answered {status}, and not as Prometheus' API does; write the URL \
                 that /api/v1 stands below",
                self.shown
            );
        };
        match answer["error"].as_str() {
            Some(error) => bail!("--against: {} answered: {error}", self.shown),
            None => Ok(answer["data"].clone()),
        }
    }
}

fn remedy(matchers: &[Matcher], names: &[&str]) -> String {
    let Some(name) = Matcher::exact_name(matchers) else {
        return "look at the label values: no series has all of them".to_owned();
    };
    if names.contains(&name) {
        return format!("there are series of {name}: look at the other matchers");
    }
    match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("nothing is called {name}: is it scraped, or recorded by other rules?"),
    }
}
