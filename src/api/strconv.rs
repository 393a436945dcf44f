//! Whole numbers and truth values as Go's `strconv` reads them, with its words about those it
//! does not.

use std::num::IntErrorKind;

use crate::model::labels::quote;

/// Reads a whole number as Go's `Atoi`; at most 64 bits.
pub fn atoi(text: &str) -> Result<i64, String> {
    parse(text).map_err(|why| format!("strconv.Atoi: parsing {}: {why}", quote(text)))
}

/// Reads a whole number as Go's `ParseInt` with 32 bits.
pub fn parse_int32(text: &str) -> Result<i32, String> {
    let number =
        parse(text).and_then(|number| i32::try_from(number).map_err(|_| "value out of range"));
    number.map_err(|why| format!("strconv.ParseInt: parsing {}: {why}", quote(text)))
}

/// Reads `1`, `t`, `true`, `0`, `f`, `false`; in lower case only.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "true" => Ok(true),
        "0" | "f" | "false" => Ok(false),
        _ => Err(format!(
            "strconv.ParseBool: parsing {}: invalid syntax",
            quote(text)
        )),
    }
}

fn parse(text: &str) -> Result<i64, &'static str> {
    text.parse::<i64>().map_err(|error| match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_in_go_s_words() {
        assert_eq!(atoi("+7"), Ok(7));
        let error = |result: Result<i64, String>| result.unwrap_err();
        let wanted = r#"strconv.Atoi: parsing "x": invalid syntax"#;
        assert_eq!(error(atoi("x")), wanted);
        let wanted = r#"strconv.Atoi: parsing "99999999999999999999": value out of range"#;
        assert_eq!(error(atoi("99999999999999999999")), wanted);
        let wanted = r#"strconv.ParseInt: parsing "99999999999": value out of range"#;
        assert_eq!(parse_int32("99999999999").unwrap_err(), wanted);
        assert_eq!(parse_bool("t"), Ok(true));
        let wanted = r#"strconv.ParseBool: parsing "yes": invalid syntax"#;
        assert_eq!(parse_bool("yes").unwrap_err(), wanted);
    }
}
