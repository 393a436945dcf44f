//! Types and arity, and what the grammar alone cannot refuse.
//!
//! The order of the checks is Prometheus', because only the first error is shown.

use crate::model::METRIC_NAME;
use crate::model::labels::quote;
use crate::promql::ast::{
    Aggregate, AggregateOp, Binary, Call, Cardinality, Expr, ExprKind, Span, Subquery,
    VectorSelector,
};
use crate::promql::signature::{Signature, SignatureTable, ValueType};
use crate::promql::{ParseError, line_and_column};

type Result<T> = std::result::Result<T, ParseError>;

/// Checks a parsed expression and completes its vector matchings: set operators match many to
/// many, and operators with a scalar side match nothing.
pub fn check_types(
    expr: &mut Expr,
    text: &str,
    functions: &dyn SignatureTable,
) -> Result<ValueType> {
    Checker { text, functions }.check(expr)
}

/// Returns the type of a checked expression.
pub fn type_of(expr: &Expr, functions: &dyn SignatureTable) -> ValueType {
    match &expr.kind {
        ExprKind::Number(_) => ValueType::Scalar,
        ExprKind::String(_) => ValueType::String,
        ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => type_of(inner, functions),
        ExprKind::Binary(binary) => binary_type(
            type_of(&binary.lhs, functions),
            type_of(&binary.rhs, functions),
        ),
        ExprKind::Aggregate(_) | ExprKind::Vector(_) => ValueType::Vector,
        ExprKind::Matrix(_) | ExprKind::Subquery(_) => ValueType::Matrix,
        ExprKind::Call(call) => functions
            .signature(&call.function)
            .map_or(ValueType::Vector, |signature| signature.returns),
    }
}

fn binary_type(lhs: ValueType, rhs: ValueType) -> ValueType {
    if lhs == ValueType::Scalar && rhs == ValueType::Scalar {
        ValueType::Scalar
    } else {
        ValueType::Vector
    }
}

struct Checker<'a> {
    text: &'a str,
    functions: &'a dyn SignatureTable,
}

impl Checker<'_> {
    fn error<T>(&self, span: Span, message: impl Into<String>) -> Result<T> {
        let (line, column) = line_and_column(self.text, span.start);
        Err(ParseError {
            message: message.into(),
            span,
            line,
            column,
        })
    }

    fn check(&self, expr: &mut Expr) -> Result<ValueType> {
        let span = expr.span;
        match &mut expr.kind {
            ExprKind::Number(_) => Ok(ValueType::Scalar),
            ExprKind::String(_) => Ok(ValueType::String),
            ExprKind::Paren(inner) => self.check(inner),
            ExprKind::Unary(_, inner) => self.check_unary(inner, span),
            ExprKind::Binary(binary) => self.check_binary(binary, span),
            ExprKind::Aggregate(aggregate) => self.check_aggregate(aggregate),
            ExprKind::Call(call) => self.check_call(call, span),
            ExprKind::Vector(selector) => {
                self.check_selector(selector, span)?;
                Ok(ValueType::Vector)
            }
            ExprKind::Matrix(matrix) => {
                self.check_selector(&matrix.selector, span)?;
                Ok(ValueType::Matrix)
            }
            ExprKind::Subquery(subquery) => self.check_subquery(subquery, span),
        }
    }

    fn expect_type(&self, expr: &mut Expr, wanted: ValueType, context: &str) -> Result<()> {
        let found = self.check(expr)?;
        if found == wanted {
            return Ok(());
        }
        let (wanted, found) = (wanted.documented(), found.documented());
        let message = format!("expected type {wanted} in {context}, got {found}");
        self.error(expr.span, message)
    }

    fn check_unary(&self, inner: &mut Expr, span: Span) -> Result<ValueType> {
        let found = self.check(inner)?;
        if matches!(found, ValueType::Scalar | ValueType::Vector) {
            return Ok(found);
        }
        let message = format!(
            "unary expression only allowed on expressions of type scalar or instant vector, \
             got {}",
            quote(found.documented())
        );
        self.error(span, message)
    }

    fn check_subquery(&self, subquery: &mut Subquery, span: Span) -> Result<ValueType> {
        let found = self.check(&mut subquery.expr)?;
        if found == ValueType::Vector {
            return Ok(ValueType::Matrix);
        }
        let name = match found {
            ValueType::Matrix => "matrix",
            other => other.documented(),
        };
        let message = format!("subquery is only allowed on instant vector, got {name} instead");
        self.error(span, message)
    }

    fn check_aggregate(&self, aggregate: &mut Aggregate) -> Result<ValueType> {
        let context = "aggregation expression";
        self.expect_type(&mut aggregate.expr, ValueType::Vector, context)?;
        if let Some(parameter) = &mut aggregate.parameter {
            let wanted = match aggregate.op {
                AggregateOp::CountValues => ValueType::String,
                _ => ValueType::Scalar,
            };
            self.expect_type(parameter, wanted, "aggregation parameter")?;
        }
        Ok(ValueType::Vector)
    }

    fn check_selector(&self, selector: &VectorSelector, span: Span) -> Result<()> {
        let Some(name) = &selector.name else {
            // At least one matcher must refuse the empty value, or else a typo could select
            // every series there is.
            if selector.matchers.iter().any(|m| !m.matches("")) {
                return Ok(());
            }
            let message = "vector selector must contain at least one non-empty matcher";
            return self.error(span, message);
        };
        // The last matcher is the one that the name in front of the braces stands for.
        let written = &selector.matchers[..selector.matchers.len().saturating_sub(1)];
        match written.iter().find(|m| m.name == METRIC_NAME) {
            None => Ok(()),
            Some(second) => {
                let (name, second) = (quote(name), quote(&second.value));
                let message = format!("metric name must not be set twice: {name} or {second}");
                self.error(span, message)
            }
        }
    }

    fn check_binary(&self, binary: &mut Binary, span: Span) -> Result<ValueType> {
        let lhs = self.check(&mut binary.lhs)?;
        let rhs = self.check(&mut binary.rhs)?;
        let op = binary.op;
        if binary.return_bool && !op.is_comparison() {
            let message = "bool modifier can only be used on comparison operators";
            return self.error(self.operator_span(binary), message);
        }
        let both_scalar = lhs == ValueType::Scalar && rhs == ValueType::Scalar;
        if op.is_comparison() && !binary.return_bool && both_scalar {
            let message = "comparisons between scalars must use BOOL modifier";
            return self.error(self.operator_span(binary), message);
        }
        if let Some(label) = label_on_and_grouped(binary) {
            let message = format!(
                "label {} must not occur in ON and GROUP clause at once",
                quote(label)
            );
            return self.error(self.operator_span(binary), message);
        }
        for (side, found) in [(&binary.lhs, lhs), (&binary.rhs, rhs)] {
            if !matches!(found, ValueType::Scalar | ValueType::Vector) {
                let message = "binary expression must contain only scalar and instant vector types";
                return self.error(side.span, message);
            }
        }
        if lhs == ValueType::Vector && rhs == ValueType::Vector {
            if op.is_set() {
                self.check_set_matching(binary, span)?;
            }
        } else {
            self.check_scalar_side(binary, span)?;
        }
        Ok(binary_type(lhs, rhs))
    }

    /// Returns the place of the operator with its modifiers.
    fn operator_span(&self, binary: &Binary) -> Span {
        let between = &self.text[binary.lhs.span.end..binary.rhs.span.start];
        let start = between.len() - between.trim_start().len();
        Span {
            start: binary.lhs.span.end + start,
            end: binary.lhs.span.end + between.trim_end().len().max(start),
        }
    }

    fn check_set_matching(&self, binary: &mut Binary, span: Span) -> Result<()> {
        let Some(matching) = &mut binary.matching else {
            return Ok(());
        };
        if matching.cardinality != Cardinality::OneToOne {
            let op = quote(binary.op.symbol());
            return self.error(span, format!("no grouping allowed for {op} operation"));
        }
        matching.cardinality = Cardinality::ManyToMany;
        if matching.fill_left.is_some() || matching.fill_right.is_some() {
            let message = "filling in missing series not allowed for set operators";
            return self.error(span, message);
        }
        Ok(())
    }

    fn check_scalar_side(&self, binary: &mut Binary, span: Span) -> Result<()> {
        if let Some(matching) = binary.matching.take() {
            if !matching.labels.is_empty() {
                let message = "vector matching only allowed between instant vectors";
                return self.error(span, message);
            }
            if matching.fill_left.is_some() || matching.fill_right.is_some() {
                let message = "filling in missing series only allowed between instant vectors";
                return self.error(span, message);
            }
        }
        if binary.op.is_set() {
            let message = format!(
                "set operator {} not allowed in binary scalar expression",
                quote(binary.op.symbol())
            );
            return self.error(span, message);
        }
        Ok(())
    }

    fn check_call(&self, call: &mut Call, span: Span) -> Result<ValueType> {
        let Some(signature) = self.functions.signature(&call.function) else {
            let message = format!("unknown function with name {}", quote(&call.function));
            return self.error(call.name_span, message);
        };
        self.check_arity(call, &signature, span)?;
        let labels_only = call.function == "info";
        for (at, arg) in call.args.iter_mut().enumerate() {
            if labels_only && at == 1 {
                self.check_label_selectors(arg, span)?;
                continue;
            }
            let at = at.min(signature.args.len().saturating_sub(1));
            if let Some(wanted) = signature.args.get(at) {
                let context = format!("call to function {}", quote(&call.function));
                self.expect_type(arg, *wanted, &context)?;
            }
        }
        self.check_texts(call)?;
        Ok(signature.returns)
    }

    fn check_texts(&self, call: &Call) -> Result<()> {
        let mut texts = Vec::new();
        let mut place = call.name_span;
        for arg in &call.args {
            let mut plain = arg;
            while let ExprKind::Paren(inner) = &plain.kind {
                plain = inner;
            }
            if let ExprKind::String(text) = &plain.kind {
                texts.push(text.as_str());
                // Options come last.
                place = plain.span;
            }
        }
        match self.functions.check_texts(&call.function, &texts) {
            Ok(()) => Ok(()),
            Err(message) => self.error(place, message),
        }
    }

    fn check_arity(&self, call: &Call, signature: &Signature, span: Span) -> Result<()> {
        let (n_args, n_types) = (call.args.len(), signature.args.len());
        let name = quote(&call.function);
        let n_min = match signature.variadic {
            0 if n_args == n_types => return Ok(()),
            0 => {
                let message =
                    format!("expected {n_types} argument(s) in call to {name}, got {n_args}");
                return self.error(span, message);
            }
            _ => n_types.saturating_sub(1),
        };
        if n_args < n_min {
            let message =
                format!("expected at least {n_min} argument(s) in call to {name}, got {n_args}");
            return self.error(span, message);
        }
        match usize::try_from(signature.variadic) {
            Ok(more) if n_args > n_min + more => {
                let n_max = n_min + more;
                let message =
                    format!("expected at most {n_max} argument(s) in call to {name}, got {n_args}");
                self.error(span, message)
            }
            _ => Ok(()),
        }
    }

    /// Checks the second argument of `info`: matchers in braces, which may all match the empty
    /// value.
    fn check_label_selectors(&self, arg: &Expr, call: Span) -> Result<()> {
        let found = type_of(arg, self.functions);
        if found != ValueType::Vector {
            let message = format!(
                "expected type instant vector in call to function \"info\", got {}",
                found.documented()
            );
            return self.error(call, message);
        }
        match &arg.kind {
            ExprKind::Vector(selector) if selector.name.is_none() => Ok(()),
            ExprKind::Vector(_) => {
                let message = "expected label selectors only, got vector selector instead";
                self.error(arg.span, message)
            }
            _ => self.error(arg.span, "expected label selectors only"),
        }
    }
}

fn label_on_and_grouped(binary: &Binary) -> Option<&String> {
    let matching = binary.matching.as_ref().filter(|matching| matching.on)?;
    let grouped = |label: &&String| matching.include.contains(label);
    matching.labels.iter().find(grouped)
}

#[cfg(test)]
mod tests {
    use crate::promql::test_functions::PrometheusFunctions;
    use crate::promql::{Features, parse};

    /// Checks the error without any feature flag.
    fn check(text: &str, expected: &str) {
        let error = parse(text, &PrometheusFunctions, Features::default()).expect_err(text);
        assert_eq!(error.to_string(), expected, "{text}");
    }

    #[test]
    fn what_needs_a_flag_says_so() {
        check(
            "limitk(1, x)",
            "1:1: parse error: limitk() is experimental and must be enabled with \
             --enable-feature=promql-experimental-functions",
        );
        check(
            "info(x)",
            "1:1: parse error: function \"info\" is not enabled",
        );
        check(
            "x + fill(0) y",
            "1:1: parse error: binop fill modifiers are experimental and not enabled",
        );
        check(
            "rate(x[5m] anchored)",
            "1:6: parse error: anchored modifier is experimental and not enabled",
        );
        check(
            "rate(x[5m * 2])",
            "1:8: parse error: experimental duration expression is not enabled",
        );
        let disabled = "1:10: parse error: experimental duration expression is not enabled";
        check("x offset -step()", disabled);
        check("x offset (5m)", &disabled.replacen("10", "11", 1));
        assert!(parse("x offset -(5m)", &PrometheusFunctions, Features::default()).is_ok());
    }

    #[test]
    fn behind_group_left_stand_labels_or_an_operand() {
        for behind in ["", "== y", "[5m]", "bool y", "on (c) y"] {
            let text = format!("x * on (a) group_left {behind}");
            let error = parse(&text, &PrometheusFunctions, Features::ALL).expect_err(&text);
            let error = error.to_string();
            assert!(
                error.starts_with("1:23: parse error: unexpected "),
                "{error}"
            );
            assert!(
                error.ends_with(" in grouping opts, expected \"(\""),
                "{error}"
            );
        }
    }

    #[test]
    fn positions_count_lines_and_bytes() {
        check(
            "sum(\n  rate(x)\n)",
            "2:8: parse error: expected type range vector in call to function \"rate\", \
             got instant vector",
        );
        check("\"ö\" + ;", "1:8: parse error: unexpected character: ';'");
        check(
            "\u{feff}x",
            "1:1: parse error: unexpected character: '\\ufeff'",
        );
        check(
            "",
            "unknown position: parse error: no expression found in input",
        );
    }
}
