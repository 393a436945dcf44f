//! Templates as a whole: what they expand to, and the texts of what is wrong with them.

use std::sync::Arc;

use crate::model::{BucketSpan, FloatHistogram, Labels, SampleValue, TimestampMs, VectorElement};
use crate::template::{Template, TemplateData, TemplateError};

fn expand_with(
    text: &str,
    value: SampleValue,
    elements: &[(&str, &str, f64)],
) -> Result<String, TemplateError> {
    let labels = [
        ("__name__", "x"),
        ("i", "1"),
        ("instance", "web12.example.com:9100"),
    ];
    let data = TemplateData {
        labels: &Labels::from_pairs(labels),
        value: &value,
        external_labels: &Labels::from_pairs([("dc", "eu")]),
        external_url: "http://testhost:9090/path/prefix",
        at: TimestampMs(1_353_755_652_000),
    };
    let element = |(instance, value_label, value): &(&str, &str, f64)| VectorElement {
        labels: Labels::from_pairs([
            ("__name__", "metric"),
            ("instance", *instance),
            ("__value__", *value_label),
        ]),
        value: SampleValue::Float(*value),
    };
    let mut query = |text: &str| match text {
        "bad(" => Err("1:5: parse error: unclosed left parenthesis".to_owned()),
        "none" => Ok(Vec::new()),
        _ => Ok(elements.iter().map(element).collect()),
    };
    Template::parse("t", text)?.expand(&data, &mut query)
}

fn expand(text: &str) -> Result<String, TemplateError> {
    let elements = [("b", "x", 21.0), ("a", "", 11.0)];
    expand_with(text, SampleValue::Float(1.5), &elements)
}

fn check(text: &str, expected: &str) {
    assert_eq!(expand(text).as_deref(), Ok(expected), "{text}");
}

/// The position is given as it is in the text itself, without the prelude before it.
fn check_error(text: &str, column: usize, expected: &str) {
    let error = expand(text).expect_err(text).to_string();
    let position = format!(
        "error executing template t: template: t:1:{}: ",
        112 + column
    );
    let rest = error.strip_prefix(&position);
    assert_eq!(rest, Some(expected), "{text}: {error}");
}

fn check_parse_error(text: &str, expected: &str) {
    let error = Template::parse("t", text).expect_err(text);
    assert_eq!(error.to_string(), format!("template: {expected}"), "{text}");
}

#[test]
fn values_and_fields() {
    check("a{{ $value }}b{{ .Value }}", "a1.5b1.5");
    check(
        "{{ $labels.i }}|{{ .Labels.nope }}|{{ $labels }}",
        "1||map[__name__:x i:1 instance:web12.example.com:9100]",
    );
    check(
        "{{ $externalLabels.dc }} {{ $externalURL }} {{ externalURL }} {{ pathPrefix }}",
        "eu http://testhost:9090/path/prefix http://testhost:9090/path/prefix /path/prefix",
    );
    check(
        "{{ (index (query `q`) 1).Value }} {{ (query `q` | first).Labels.instance }}",
        "11 b",
    );
    check("{{ .Labels.i | printf `%s-%s` `a` }}", "a-1");
    check("{{ with $x := 3 }}{{ $x }}{{ end }}", "3");
    check(
        "{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $y := 3 }}{{ end }}{{ $x }}",
        "2",
    );
    check(
        "{{ `raw\\n` }}{{ \"q\\t\" }}{{ 'a' }}{{ 0x10 }}{{ 1e3 }}{{ true }}",
        "raw\\nq\t97161000true",
    );
}

#[test]
fn control_structures() {
    check(
        "{{ if eq $labels.i `1` }}one{{ else }}other{{ end }}",
        "one",
    );
    check(
        "{{ if false }}a{{ else if $value }}b{{ else }}c{{ end }}",
        "b",
    );
    check(
        "{{ with $labels.nope }}a{{ else with $labels.i }}{{ . }}{{ end }}",
        "1",
    );
    check(
        "{{ range query `q` | sortByLabel `instance` }}{{ .Labels.instance }}:{{ .Value }} {{ end }}",
        "a:11 b:21 ",
    );
    check(
        "{{ range $i, $e := query `q` }}{{ $i }}{{ $e | value }}{{ end }}",
        "021111",
    );
    check(
        "{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}",
        "__name__=x;i=1;instance=web12.example.com:9100;",
    );
    check("{{ range query `none` }}x{{ else }}empty{{ end }}", "empty");
    check(
        "{{ range 5 }}{{ if eq . 1 }}{{ continue }}{{ end }}{{ if eq . 3 }}{{ break }}{{ end }}{{ . }}{{ end }}",
        "02",
    );
    check(
        "{{ define `l` }}<{{ .arg0 }}:{{ .arg1 }}{{ .arg9 }}>{{ end }}{{ template `l` (args `v` 2) }}",
        "<v:2<no value>>",
    );
    check("{{ block `b` $value }}[{{ . }}]{{ end }}", "[1.5]");
    check("a  {{- /* c */ -}}  b {{- ` t ` -}} \n c", "ab t c");
}

#[test]
fn functions_of_go() {
    check(
        "{{ and true $labels.i }} {{ or `` `d` }} {{ not 0 }} {{ len $labels.i }}",
        "1 d true 1",
    );
    check(
        "{{ eq 1 2 1 }} {{ ne 1 2 }} {{ lt 1.5 $value }} {{ le $value 1.5 }} {{ gt `b` `a` }}",
        "true true false true true",
    );
    check(
        "{{ slice `abcdef` 1 3 }} {{ index `abc` 1 }} {{ index $labels `i` }}",
        "bc 98 1",
    );
    check("{{ print 1 2 `x` }} {{ println `a` 1 }}", "1 2x a 1\n");
    check(
        "{{ html `<a&'\">` }} {{ js `'<=` }} {{ urlquery `a b&ü` }}",
        "&lt;a&amp;&#39;&#34;&gt; \\'\\u003C\\u003D a+b%26%C3%BC",
    );
    check(
        "{{ printf `%d %5.1f|%-4s|%04d|%x|%q|%t|%%|%c|%U` 3 2.25 `ab` 7 255 `q` true 65 65 }}",
        "3   2.2|ab  |0007|ff|\"q\"|true|%|A|U+0041",
    );
    check(
        "{{ printf `%d %s %v` 1.5 2 nil }}",
        "%!d(float64=1.5) %!s(int=2) <nil>",
    );
    check(
        "{{ printf `%s %d` `a` }} {{ printf `a` 1 `b` }} {{ printf `%` }}",
        "a %!d(MISSING) a%!(EXTRA int=1, string=b) %!(NOVERB)",
    );
    check(
        "{{ printf `%[2]s %[1]s %[3]*d|%[5]*.[6]*[4]f` `a` `b` 5 42.0 1 2 }}",
        "b a %!d(float64=   42)|42.00",
    );
    check(
        "{{ printf `%[9]d %*d` 3 4 }} {{ printf `%*d` `x` 1 }}",
        "%!d(BADINDEX)   4 %!(BADWIDTH)1",
    );
    // What Go does with numbers that are too large: the rest of the format is lost.
    check(
        "{{ printf `%1000000000d|` 1 }} {{ printf `%.1000000000f` 1.5 }}",
        "%!(NOVERB)%!(EXTRA int=1) %!(NOVERB)%!(EXTRA float64=1.5)",
    );
    check(
        "{{ len (printf `%.100000f` 0.1) }} {{ len (printf `%.70000e` 0.1) }} {{ printf `%.70000g` 0.5 }}",
        "100002 70006 0.5",
    );
    check("{{ len (printf `%100000d` 7) }}", "100000");
    check(
        "{{ printf `%+.2e %g %08.3f %+d % d %x` 12345.678 1e21 -3.14159 5 5 `hi` }}",
        "+1.23e+04 1e+21 -003.142 +5  5 6869",
    );
    check(
        "{{ printf `%T %T %T` 1 $value (query `q`) }}",
        "int float64 template.queryResult",
    );
    check(
        "{{ printf `%v` $labels }} {{ printf `%s` .Labels.i }}",
        "map[__name__:x i:1 instance:web12.example.com:9100] 1",
    );
}

#[test]
fn functions_of_prometheus() {
    check(
        "{{ query `q` | first | value }} {{ query `q` | first | label `instance` }} {{ query `q` | first | strvalue }}",
        "21 b x",
    );
    check(
        "{{ humanize 1234567.0 }} {{ humanize .12 }} {{ humanize `0.0` }} {{ humanize 9223372036854775807 }}",
        "1.235M 120m 0 9.223E",
    );
    check(
        "{{ humanize1024 1048576.0 }} {{ humanize1024 1234567 }}",
        "1Mi 1.177Mi",
    );
    check(
        "{{ humanizeDuration 899.99 }} {{ humanizeDuration -183845 }} {{ humanizeDuration `.12345` }} {{ humanizeDuration 12.345 }}",
        "14m 59s -2d 3h 4m 5s 123.5ms 12.35s",
    );
    check(
        "{{ -0.22222 | humanizePercentage }} {{ 1.23456 | humanizePercentage }}",
        "-22.22% 123.5%",
    );
    check(
        "{{ humanizeTimestamp 1435065584.128 }} {{ humanizeTimestamp -1 }}",
        "2015-06-23 13:19:44.128 +0000 UTC 1969-12-31 23:59:59 +0000 UTC",
    );
    check(
        "{{ now }} {{ (now | toTime).Format `Mon Jan 2 15:04:05 2006` }}",
        "1.353755652e+09 Sat Nov 24 11:14:12 2012",
    );
    check(
        "{{ (`-30m` | parseDuration | toDuration | (now | toTime).Add).UnixMilli }}",
        "1353753852000",
    );
    check(
        "{{ (1800 | toDuration).String }} {{ toDuration 0.0015 }} {{ (toDuration 90).Minutes }}",
        "30m0s 1.5ms 1.5",
    );
    check(
        "{{ (toTime 0).Weekday }} {{ (toTime 0).Month }} {{ ((toTime 0).AddDate 0 1 30).Format `02 Jan 06 3:04PM .000 Z07:00` }}",
        "Thursday January 03 Mar 70 12:00AM .000 Z",
    );
    check(
        "{{ title `aa bb CC don't foo.bar` }} {{ toUpper `aß` }} {{ toLower `ÀB` }}",
        "Aa Bb CC Don't Foo.bar Aß àb",
    );
    check(
        "{{ stripPort `[::1]:80` }} {{ stripPort `a:1:2` }} {{ stripPort `h` }}",
        "::1 a:1:2 h",
    );
    check(
        "{{ stripDomain `foo.example.com:12345` }} {{ stripDomain `192.0.2.1:1` }} {{ stripDomain `[2001:0DB8::1]::12345` }}",
        "foo:12345 192.0.2.1:1 [2001:0DB8::1]::12345",
    );
    check(
        "{{ match `a+` `xaa` }} {{ reReplaceAll `(a)b` `x$1` `abab` }} {{ reReplaceAll `a` `${0}1$1x$$` `a` }}",
        "true xaxa a1$",
    );
    check(
        "{{ graphLink `up == 0` }} {{ tableLink `up` }}",
        "/graph?g0.expr=up+%3D%3D+0&g0.tab=0 /graph?g0.expr=up&g0.tab=1",
    );
    check(
        "{{ parseDuration `1h2m10ms` }} {{ parseDuration `-1m` }} {{ safeHtml `<i>` }}",
        "3720.01 -60 <i>",
    );
}

#[test]
fn histograms_print_as_prometheus_prints_them() {
    let histogram = FloatHistogram {
        count: 6.0,
        sum: 10.5,
        zero_threshold: 0.001,
        zero_count: 1.0,
        positive_spans: vec![BucketSpan {
            offset: 0,
            length: 2,
        }],
        positive_buckets: vec![1.0, 3.0],
        negative_spans: vec![BucketSpan {
            offset: 1,
            length: 1,
        }],
        negative_buckets: vec![1.0],
        ..FloatHistogram::default()
    };
    let value = SampleValue::Histogram(Arc::new(histogram));
    let text = expand_with(
        "{{ $value }} {{ $value.Count }} {{ printf `%s` $value }}",
        value,
        &[],
    );
    let printed = "{count:6, sum:10.5, [-2,-1):1, [-0.001,0.001]:1, (0.5,1]:1, (1,2]:3}";
    assert_eq!(text, Ok(format!("{printed} 6 {printed}")));
}

#[test]
fn failures_say_what_go_says() {
    let at = |words: &str, message: &str| format!("executing \"t\" at <{words}>: {message}");
    let check = |text, column, words, message| check_error(text, column, &at(words, message));
    check(
        "{{ humanize `one` }}",
        3,
        "humanize `one`",
        "error calling humanize: strconv.ParseFloat: parsing \"one\": invalid syntax",
    );
    check(
        "{{ query `none` | first | value }}",
        18,
        "first",
        "error calling first: first() called on vector with no elements",
    );
    check(
        "{{ query `bad(` | len }}",
        3,
        "query `bad(`",
        "error calling query: 1:5: parse error: unclosed left parenthesis",
    );
    check(
        "{{ (query `none`).banana }}",
        10,
        "`none`",
        "can't evaluate field banana in type template.queryResult",
    );
    check(
        "{{ humanize }}",
        3,
        "humanize",
        "wrong number of args for humanize: want 1 got 0",
    );
    check("{{ toUpper 5 }}", 11, "5", "expected string; found 5");
    check(
        "{{ toUpper $value }}",
        11,
        "$value",
        "wrong type for value; expected string; got float64",
    );
    check(
        "{{ if gt $value 5 }}x{{ end }}",
        6,
        "gt $value 5",
        "error calling gt: incompatible types for comparison: float64 and int",
    );
    check(
        "{{ $value 5 }}",
        3,
        "$value",
        "can't give argument to non-function $value",
    );
    check("{{ $x = 1 }}", 8, "1", "undefined variable: $x");
    check(
        "{{ template `x` }}",
        12,
        "{{template \"x\"}}",
        "template \"x\" not defined",
    );
    check(
        "{{ range 1.5 }}{{ end }}",
        9,
        "1.5",
        "range can't iterate over 1.5",
    );
    check(
        "{{ .Foo }}",
        3,
        ".Foo",
        "can't evaluate field Foo in type struct { Labels \
        map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }",
    );
}

#[test]
fn patterns_are_those_of_go() {
    check(
        "{{ match `^web\\d+[.]` $labels.instance }} {{ match `a.b` \"a\\nb\" }}",
        "true false",
    );
    let at = "executing \"t\" at <match `(` `a`>: ";
    check_error(
        "{{ match `(` `a` }}",
        3,
        &format!("{at}error calling match: error parsing regexp: missing closing ): `(`"),
    );
    let at = "executing \"t\" at <reReplaceAll `(` `` `a`>: ";
    check_error(
        "{{ reReplaceAll `(` `` `a` }}",
        3,
        &format!(
            "{at}error calling reReplaceAll: \
        regexp: Compile(`(`): error parsing regexp: missing closing ): `(`"
        ),
    );
}

#[test]
fn what_does_not_parse_says_what_go_says() {
    check_parse_error("{{ $nope }}", "t:1: undefined variable \"$nope\"");
    check_parse_error("{{ foo }}", "t:1: function \"foo\" not defined");
    check_parse_error("{{ tmpl `a` . }}", "t:1: function \"tmpl\" not defined");
    check_parse_error("{{ if }}", "t:1: missing value for if");
    check_parse_error("{{ if true }}x", "t:1: unexpected EOF");
    check_parse_error("{{ end }}", "t:1: unexpected {{end}}");
    check_parse_error(
        "line\n{{\"x\"\n\"y\"\n",
        "t:4: unclosed action started at t:2",
    );
    check_parse_error("{{", "t:1: unclosed action");
    check_parse_error("{{ .X 1 2 ) }}", "t:1: unexpected right paren");
    check_parse_error("{{ (.X }}", "t:1: unclosed left paren");
    check_parse_error(
        "{{ `a` | 5 }}",
        "t:1: non executable command in pipeline stage 2",
    );
    check_parse_error("{{ true.any }}", "t:1: unexpected . after term \"true\"");
    check_parse_error("{{ printf 3, 4 }}", "t:1: unexpected \",\" in operand");
    check_parse_error("{{ break }}", "t:1: {{break}} outside {{range}}");
    check_parse_error(
        "{{ define `a` }}x{{ end }}{{ define `a` }}y{{ end }}",
        "t:1: template: multiple definition of template \"a\"",
    );
    check_parse_error(
        "{{ range $a, $b, $c := .X }}{{ end }}",
        "t:1: too many declarations in range",
    );
    check_parse_error("{{ end end }}", "t:1: unexpected <end> in end");
    check_parse_error("{{ .Labels.a-b }}", "t:1: bad character U+002D '-'");
    check_parse_error(
        &format!("{{{{ {} }}}}", "(".repeat(200)),
        "t:1: max expression depth exceeded",
    );
}

#[test]
fn what_grows_without_end_is_stopped() {
    let fails = |text: &str, part: &str| {
        let error = expand(text).expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
    };
    fails(
        "{{ define `r` }}{{ template `r` }}{{ end }}{{ template `r` }}",
        "maximum template depth",
    );
    fails("{{ range 1000000000 }}{{ end }}", "maximum number of steps");
    fails(
        "{{ range 1000 }}{{ printf `%9999d` 1 }}{{ end }}",
        "longer than",
    );
    fails(
        "{{ printf `%999999d%999999d%999999d` 1 2 3 }}",
        "longer than",
    );
    fails(
        "{{ $a := args 1 }}{{ range 100 }}{{ $a = args $a $a }}{{ end }}",
        "too deep",
    );
    fails(
        "{{ range 2000 }}{{ $x := query `q` }}{{ end }}",
        "queries in one template",
    );
}

#[test]
fn constant_queries_are_found() {
    let text = "{{ query `a` }}{{ `b` | query }}{{ range query `c` }}{{ if (query `d`) }}{{ end }}{{ end }}\
        {{ define `x` }}{{ len (query `e`) }}{{ end }}{{ query (printf `f`) }}{{ (query `a`).x }}";
    let template = Template::parse("t", text).expect("parses");
    assert_eq!(template.constant_queries(), ["a", "b", "c", "d", "e"]);
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = expand(&text);
        let _ = expand(&format!("{{{{ {text} }}}}"));
    }

    #[test]
    fn no_words_panic(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..12)) {
        let text = words.join(" ");
        let _ = expand(&format!("{{{{ {text} }}}}"));
        let _ = expand(&text);
    }
}

const WORDS: &[&str] = &[
    "{{",
    "}}",
    "{{-",
    "-}}",
    "if",
    "else",
    "end",
    "range",
    "with",
    "define",
    "template",
    "block",
    "`x`",
    "$x",
    ":=",
    "=",
    "(",
    ")",
    "|",
    ".",
    ".Labels",
    "$value",
    "$labels.i",
    "nil",
    "true",
    "1",
    "1.5",
    "'a'",
    "-5",
    "query",
    "first",
    "value",
    "label",
    "printf",
    "`%[2]*.[1]*d%v%q%x`",
    "print",
    "index",
    "slice",
    "len",
    "args",
    "eq",
    "lt",
    "humanize",
    "humanizeDuration",
    "toTime",
    "(toTime 5).Format",
    "toDuration",
    "title",
    "match",
    "reReplaceAll",
    "sortByLabel",
    "call",
    "html",
    "and",
    "or",
    "not",
    "break",
    "continue",
    ",",
];

/// Would catch a construct or a function that rule authors use and we refuse.
#[test]
fn published_templates_parse() {
    let Ok(shared) = std::env::var("BURNWATCH_SHARED") else {
        say!("BURNWATCH_SHARED is not set: templates of other projects are not read");
        return;
    };
    let mut texts = std::collections::BTreeSet::new();
    let pattern = format!("{shared}/corpora/**/*.y*ml");
    for path in glob::glob(&pattern).expect("pattern").flatten() {
        let text = std::fs::read_to_string(&path).expect("readable");
        if let Ok(document) = serde_saphyr::from_str::<serde_json::Value>(&text) {
            collect_texts(&document, &mut texts);
        }
    }
    assert!(texts.len() > 6_000, "{} texts", texts.len());
    for (alert, text) in texts {
        let parsed = Template::parse(&format!("__alert_{alert}"), &text);
        assert!(parsed.is_ok(), "{text}: {parsed:?}");
    }
}

/// Finds the labels and annotations of all alerting rules.
fn collect_texts(
    value: &serde_json::Value,
    texts: &mut std::collections::BTreeSet<(String, String)>,
) {
    let values: Vec<&serde_json::Value> = match value {
        serde_json::Value::Array(items) => items.iter().collect(),
        serde_json::Value::Object(fields) => fields.values().collect(),
        _ => return,
    };
    if let (Some(alert), Some(_)) = (value["alert"].as_str(), value.get("expr")) {
        for field in ["labels", "annotations"] {
            let pairs = value[field].as_object().into_iter().flatten();
            let pairs = pairs.filter_map(|(_, text)| text.as_str());
            texts.extend(pairs.map(|text| (alert.to_owned(), text.to_owned())));
        }
    }
    values
        .into_iter()
        .for_each(|value| collect_texts(value, texts));
}
