//! What a running server knows: how warm a rule is, how many series and samples there are.
//!
//! Series are counted by queries that every Prometheus answers; how warm a rule is, a burnwatch
//! says at `/api/v1/explain`, which a Prometheus does not have.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::StatusCode;
use serde_json::Value;

use crate::cli::server_api::ServerApi;
use crate::engine::explain::{Explanation, LeafCount, Live, LiveRule, RuleName};
use crate::model::TimestampMs;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Asks a server about expressions, in order.
pub fn ask(server: &str, explanations: &[Explanation]) -> anyhow::Result<Vec<Live>> {
    let api = ServerApi::new(format_args!("{server:?}"), server, TIMEOUT)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(async {
        let asked = Asked { api };
        let mut found = Vec::with_capacity(explanations.len());
        for explanation in explanations {
            found.push(asked.about(explanation).await?);
        }
        Ok(found)
    })
}

struct Asked {
    api: ServerApi,
}

impl Asked {
    async fn about(&self, explanation: &Explanation) -> anyhow::Result<Live> {
        let plan = &explanation.plan;
        let mut live = match self.api.post("explain", &[("query", &plan.text)]).await? {
            (StatusCode::NOT_FOUND, _) => Live {
                is_prometheus: true,
                ..Live::default()
            },
            answer => {
                let data = self.api.data(answer, None)?;
                live_of(&data["explanations"][0]["live"])
            }
        };
        live.server = Some(self.api.base().to_owned());
        for leaf in &plan.leaves {
            let (window, at) = (leaf.count_over_time(), leaf.pinned.or(live.frontier));
            live.counts
                .push(self.count(window, leaf.is_window(), at).await?);
        }
        Ok(live)
    }

    /// Counts the series and the samples of a window that a query has an element for.
    async fn count(
        &self,
        window: Option<String>,
        with_samples: bool,
        at: Option<TimestampMs>,
    ) -> anyhow::Result<LeafCount> {
        let Some(window) = window else {
            return Ok(LeafCount::default());
        };
        let series = self.number(&format!("count({window})"), at).await?;
        let samples = match with_samples {
            true => Some(self.number(&format!("sum({window})"), at).await?),
            false => None,
        };
        Ok(LeafCount {
            series: Some(series),
            samples,
        })
    }

    /// Returns the one value that a query answers with; nothing is zero.
    async fn number(&self, query: &str, at: Option<TimestampMs>) -> anyhow::Result<u64> {
        let time = at.map(|at| at.seconds().to_string());
        let mut params = vec![("query", query)];
        params.extend(time.as_deref().map(|time| ("time", time)));
        let answer = self.api.post("query", &params).await?;
        let data = self.api.data(answer, None);
        let data = data.with_context(|| query.to_owned())?;
        let value = data["result"][0]["value"][1].as_str();
        Ok(value
            .and_then(|value| value.parse::<f64>().ok())
            .unwrap_or(0.0) as u64)
    }
}

fn live_of(json: &Value) -> Live {
    let rules = json["rules"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rules = rules.map(|rule| LiveRule {
        rule: RuleName {
            file: text(&rule["file"]),
            group: text(&rule["group"]),
            name: text(&rule["name"]),
        },
        kept_since: time_of(&rule["keptSince"]),
        warming_until: time_of(&rule["warmingUntil"]),
        learns_since: time_of(&rule["learnsSince"]),
        last_error: rule["lastError"].as_str().map(str::to_owned),
    });
    Live {
        frontier: time_of(&json["evaluatedUpTo"]),
        rules: rules.collect(),
        ..Live::default()
    }
}

fn time_of(json: &Value) -> Option<TimestampMs> {
    let at: jiff::Timestamp = json.as_str()?.parse().ok()?;
    Some(TimestampMs(at.as_millisecond()))
}
