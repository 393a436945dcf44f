//! `GET /`: what fires, how rules do, what is being received.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{Redirect, Response};

use crate::api::{ApiState, ReceiveView};
use crate::engine::{AlertState, AlertView, GroupStatus, RuleHealth, RuleStatus};
use crate::model::float::format_general;
use crate::model::{ALERT_NAME, Labels, TimestampMs};
use crate::ui::html::{Text, age, grouped, linked, query_text, span};
use crate::ui::layout;

/// How often browsers load the page anew.
const REFRESH_SECONDS: u32 = 15;
/// How many alerts and how many groups are shown; of more, the page says how many.
const SHOWN_MAX: usize = 500;

/// Answers `GET /rules`, which stands in Prometheus' links.
pub async fn to_rules(State(state): State<Arc<ApiState>>) -> Redirect {
    Redirect::to(&format!("{}/#rules", state.settings.external_path))
}

/// Answers `GET /alerts`, which stands in Prometheus' links.
pub async fn to_alerts(State(state): State<Arc<ApiState>>) -> Redirect {
    Redirect::to(&format!("{}/#alerts", state.settings.external_path))
}

/// Answers `GET /`.
pub async fn page(State(state): State<Arc<ApiState>>) -> Response {
    let mut body = String::new();
    if state.backend.is_ready() {
        match state.backend.groups().await {
            Ok(groups) => write_overview(&mut body, &state, &groups),
            Err(error) => write_note(&mut body, &error.to_string()),
        }
    } else if state.backend.is_stopping() {
        write_note(&mut body, "The server is stopping.");
    } else {
        write_note(
            &mut body,
            "The server is starting: it reads its log and is not yet ready.",
        );
    }
    layout::page(&state, "Overview", Some(REFRESH_SECONDS), &body)
}

fn write_overview(body: &mut String, state: &ApiState, groups: &[GroupStatus]) {
    let page = Page::new(state, groups);
    page.write_tiles(body);
    page.write_alerts(body);
    page.write_rules(body);
    page.write_receiving(body);
}

fn write_note(body: &mut String, note: &str) {
    append(
        body,
        format_args!(
            "<div class=\"card\"><p class=\"note\">{}</p></div>",
            Text(note)
        ),
    );
}

fn append(body: &mut String, arguments: std::fmt::Arguments<'_>) {
    body.write_fmt(arguments)
        .expect("a String takes every text");
}

struct Page<'a> {
    groups: &'a [GroupStatus],
    receive: ReceiveView,
    /// The event-time clock `C`.
    clock: Option<TimestampMs>,
    now: TimestampMs,
    root: &'a str,
    /// Only rules with this expression are shown.
    only_query: Option<&'a str>,
}

impl<'a> Page<'a> {
    fn new(state: &'a ApiState, groups: &'a [GroupStatus]) -> Self {
        Page {
            groups,
            receive: state.backend.receive_view(),
            clock: state.backend.event_time(),
            now: state.settings.clock.now(),
            root: &state.settings.external_path,
            only_query: None,
        }
    }

    fn rules(&self) -> impl Iterator<Item = &'a RuleStatus> + use<'a> {
        let only_query = self.only_query;
        let rules = self.groups.iter().flat_map(|group| &group.rules);
        rules.filter(move |rule| only_query.is_none_or(|query| rule.query == query))
    }

    /// Returns rules with their alerts, firing ones first, then the newest.
    fn alerts(&self) -> Vec<(&'a RuleStatus, &'a AlertView)> {
        let of_rule = |rule: &'a RuleStatus| {
            let alerts = rule.alerting.iter().flat_map(|alerting| &alerting.alerts);
            alerts.map(move |alert| (rule, alert))
        };
        let mut alerts: Vec<_> = self.rules().flat_map(of_rule).collect();
        alerts.retain(|(_, alert)| alert.state >= AlertState::Pending);
        alerts.sort_by(|(_, a), (_, b)| {
            let by_state = b.state.cmp(&a.state);
            by_state
                .then(b.active_at.cmp(&a.active_at))
                .then_with(|| a.labels.cmp(&b.labels))
        });
        alerts
    }

    fn write_tiles(&self, body: &mut String) {
        let alerts = self.alerts();
        let in_state = |state| {
            alerts
                .iter()
                .filter(|(_, alert)| alert.state == state)
                .count()
        };
        let is_failing = |rule: &&RuleStatus| matches!(rule.health, RuleHealth::Err(_));
        let failing = self.rules().filter(is_failing).count();
        let is_warming = |rule: &&RuleStatus| rule.warming_until.is_some();
        let warming = self.rules().filter(is_warming).count();
        let lag = |at: Option<TimestampMs>| at.map(|at| (self.now - at).seconds());
        let lag_text = |lag: Option<f64>| lag.map_or_else(|| "–".to_owned(), span);
        let clock_lag = lag(self.clock);
        let class = |class, on: bool| if on { class } else { "" };
        let count = |count: usize| grouped(count as u64);
        let (firing, pending) = (in_state(AlertState::Firing), in_state(AlertState::Pending));
        let samples_per_second = grouped(self.receive.samples_per_second.round() as u64);
        let tiles = [
            ("Firing", count(firing), class("bad", firing > 0)),
            ("Pending", count(pending), class("warn", pending > 0)),
            ("Rules failing", count(failing), class("bad", failing > 0)),
            ("Rules warming", count(warming), class("warn", warming > 0)),
            ("Samples/s", samples_per_second, ""),
            ("Series read", count(self.receive.series_read), ""),
            (
                "Clock lag",
                lag_text(clock_lag),
                class("warn", clock_lag.is_some_and(|lag| lag > 120.0)),
            ),
            ("Evaluation lag", lag_text(lag(self.receive.frontier)), ""),
        ];
        body.push_str("<div class=\"tiles\">");
        for (name, value, class) in tiles {
            append(
                body,
                format_args!(
                    "<div class=\"tile {class}\"><span>{name}</span><strong>{value}</strong></div>"
                ),
            );
        }
        body.push_str("</div>");
    }

    fn write_alerts(&self, body: &mut String) {
        let alerts = self.alerts();
        let n_alerts = alerts.len();
        append(
            body,
            format_args!("<h2 id=\"alerts\">Alerts <small>{n_alerts}</small></h2>"),
        );
        if alerts.is_empty() {
            return write_note(body, "Nothing is pending or firing.");
        }
        body.push_str(
            "<div class=\"card\"><table><tr><th class=\"s\">State</th><th>Alert</th><th class=\"n\">Since</th>\
             <th class=\"n\">Value</th></tr>",
        );
        for (rule, alert) in alerts.iter().take(SHOWN_MAX) {
            self.write_alert(body, rule, alert);
        }
        body.push_str("</table></div>");
        write_rest(body, n_alerts, "alerts", "/api/v1/alerts", self.root);
    }

    fn write_alert(&self, body: &mut String, rule: &RuleStatus, alert: &AlertView) {
        let state = alert.state.name();
        let name = Text(alert.labels.value(ALERT_NAME));
        append(
            body,
            format_args!(
                "<tr><td class=\"s\"><span class=\"tag {state}\">{state}</span></td><td>\
                 <a href=\"{root}/graph?g0.expr={expr}&amp;g0.tab=1\">{name}</a> {labels} \
                 <a href=\"{root}/api/v1/alerts/{fingerprint:016x}/context\">context</a>",
                root = Text(self.root),
                fingerprint = alert.labels.fingerprint(),
                expr = query_text(&rule.query),
                labels = labels_html(&alert.labels),
            ),
        );
        if !alert.annotations.is_empty() {
            body.push_str("<dl>");
            for (name, value) in &alert.annotations {
                append(
                    body,
                    format_args!("<dt>{}</dt><dd>{}</dd>", Text(name), linked(value)),
                );
            }
            body.push_str("</dl>");
        }
        append(
            body,
            format_args!(
                "</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
                age(alert.active_at, self.now),
                format_general(alert.value),
            ),
        );
    }

    fn write_rules(&self, body: &mut String) {
        let n_rules = self.rules().count();
        let n_groups = self.groups.len();
        append(
            body,
            format_args!(
                "<h2 id=\"rules\">Rules <small>{n_rules} in {}</small></h2>",
                counted(n_groups, "group")
            ),
        );
        if self.groups.is_empty() {
            return write_note(
                body,
                "No rule is loaded; rule_files in the configuration names none.",
            );
        }
        for group in self.groups.iter().take(SHOWN_MAX) {
            self.write_group(body, group);
        }
        write_rest(body, n_groups, "groups", "/api/v1/rules", self.root);
    }

    fn write_group(&self, body: &mut String, group: &GroupStatus) {
        let is_open = group.rules.iter().any(deserves_a_look);
        let open = if is_open { " open" } else { "" };
        let last = match group.last_evaluation {
            Some(at) => format!(
                "{} ago, took {}",
                age(at, self.now),
                milliseconds(group.evaluation_seconds)
            ),
            None => "not yet evaluated".to_owned(),
        };
        append(
            body,
            format_args!(
                "<details class=\"card\"{open}><summary>{name} <small>{file} · every {interval} · \
                 {last} · {n_rules}</small></summary><table>",
                name = Text(&group.name),
                file = Text(&group.file),
                interval = group.interval,
                n_rules = counted(group.rules.len(), "rule"),
            ),
        );
        for rule in &group.rules {
            self.write_rule(body, rule);
        }
        body.push_str("</table></details>");
    }

    fn write_rule(&self, body: &mut String, rule: &RuleStatus) {
        let (health, error) = match &rule.health {
            RuleHealth::Unknown => ("unknown", None),
            RuleHealth::Ok => ("ok", None),
            RuleHealth::Err(reason) => ("err", Some(reason)),
        };
        let state = rule.alerting.as_ref().map(|alerting| alerting.state.name());
        append(
            body,
            format_args!("<tr><td class=\"s\"><span class=\"tag {health}\">{health}</span> "),
        );
        if let Some(state) = state {
            append(
                body,
                format_args!("<span class=\"tag {state}\">{state}</span> "),
            );
        }
        if let Some(until) = rule.warming_until {
            let left = span((until - self.now).seconds().max(0.0));
            append(
                body,
                format_args!("<span class=\"tag warming\">warming, {left} left</span>"),
            );
        }
        let kind = if state.is_some() { "alert" } else { "record" };
        append(
            body,
            format_args!(
                "</td><td><span class=\"dim\">{kind}</span> {name} \
                 <a class=\"dim\" href=\"{root}/api/v1/explain?rule={own}&amp;format=text\">explain</a><br>\
                 <a href=\"{root}/graph?g0.expr={link}&amp;g0.tab=1\"><code>{query}</code></a>",
                name = Text(&rule.name),
                own = query_text(&rule.name),
                root = Text(self.root),
                link = query_text(&rule.query),
                query = Text(&rule.query),
            ),
        );
        if let Some(error) = error {
            append(
                body,
                format_args!("<div class=\"error\">{}</div>", Text(error)),
            );
        }
        let last = rule
            .last_evaluation
            .map_or_else(|| "–".to_owned(), |at| age(at, self.now));
        let took = milliseconds(rule.evaluation_seconds);
        append(
            body,
            format_args!("</td><td class=\"n\">{last}</td><td class=\"n\">{took}</td></tr>"),
        );
    }

    fn write_receiving(&self, body: &mut String) {
        let receive = &self.receive;
        append(
            body,
            format_args!(
                "<h2 id=\"receiving\">Receiving <small>{} samples accepted, {} refused, \
                 {} series read by no rule</small></h2>",
                grouped(receive.samples_total),
                grouped(receive.samples_rejected_total),
                grouped(receive.series_unread as u64),
            ),
        );
        if receive.senders.is_empty() {
            let note = "Nobody has sent anything yet. Point remote_write at /api/v1/write.";
            return write_note(body, note);
        }
        body.push_str(
            "<div class=\"card\"><table><tr><th>Sender</th><th class=\"n\">Requests</th>\
             <th class=\"n\">Samples</th><th class=\"n\">Last request</th></tr>",
        );
        for sender in receive.senders.iter().take(SHOWN_MAX) {
            let last = sender
                .last_request
                .map_or_else(|| "–".to_owned(), |at| age(at, self.now));
            let error = sender
                .last_error
                .as_deref()
                .map_or_else(String::new, |error| {
                    format!("<div class=\"error\">{}</div>", Text(error))
                });
            append(
                body,
                format_args!(
                    "<tr><td>{}{error}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
                     <td class=\"n\">{last}</td></tr>",
                    Text(&sender.name),
                    grouped(sender.requests_total),
                    grouped(sender.samples_total),
                ),
            );
        }
        body.push_str("</table></div>");
    }
}

/// Writes the alerts of the rules with this canonical expression, with their heading.
pub fn write_alerts_of<'a>(
    body: &mut String,
    state: &'a ApiState,
    groups: &'a [GroupStatus],
    query: &'a str,
) {
    let mut page = Page::new(state, groups);
    page.only_query = Some(query);
    if page.rules().next().is_some() {
        page.write_alerts(body);
    }
}

/// Tells whether a rule fails or is not at rest; its group is then shown unfolded.
fn deserves_a_look(rule: &RuleStatus) -> bool {
    let alerting = rule.alerting.as_ref();
    matches!(rule.health, RuleHealth::Err(_))
        || alerting.is_some_and(|alerting| alerting.state >= AlertState::Pending)
}

fn labels_html(labels: &Labels) -> String {
    let rest = labels.iter().filter(|(name, _)| *name != ALERT_NAME);
    let spans = rest.map(|(name, value)| format!("<span>{}={}</span>", Text(name), Text(value)));
    format!(
        "<span class=\"labels\">{}</span>",
        spans.collect::<String>()
    )
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(count as u64))
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.1}ms", seconds * 1000.0)
}

fn write_rest(body: &mut String, count: usize, what: &str, path: &str, root: &str) {
    if count > SHOWN_MAX {
        append(
            body,
            format_args!(
                "<p class=\"dim\">{} more {what} are listed at <a href=\"{root}{path}\">{path}</a></p>",
                grouped((count - SHOWN_MAX) as u64),
                root = Text(root),
            ),
        );
    }
}
