//! Recorded scores of other programs for trees that are given (tests/data/ml): how a tree is drawn
//! cannot be compared between programs, what it says of a point can.

use serde_json::Value as Json;

/// One recorded case.
pub(super) struct Vector {
    pub id: String,
    pub inputs: Json,
    pub args: Json,
    expected: Vec<f64>,
    relative: f64,
    absolute: f64,
}

/// Reads cases, one a line.
pub(super) fn read(text: &str) -> Vec<Vector> {
    let cases = text.lines().map(|line| {
        let case: Json = serde_json::from_str(line).expect("JSON");
        let tolerance = |name: &str| case["tolerance"][name].as_f64().expect("a tolerance");
        Vector {
            id: case["id"].as_str().expect("an id").to_owned(),
            inputs: case["inputs"].clone(),
            args: case["args"].clone(),
            expected: numbers(&case["expected"]),
            relative: tolerance("rel"),
            absolute: tolerance("abs"),
        }
    });
    cases.collect()
}

pub(super) fn numbers(list: &Json) -> Vec<f64> {
    let list = list.as_array().expect("a list");
    list.iter()
        .map(|number| number.as_f64().expect("a number"))
        .collect()
}

impl Vector {
    pub fn points(&self) -> Vec<Vec<f64>> {
        let points = self.inputs["points"].as_array().expect("points");
        points.iter().map(numbers).collect()
    }

    pub fn trees(&self) -> &[Json] {
        self.inputs["trees"].as_array().expect("trees")
    }

    pub fn arg(&self, name: &str) -> u64 {
        self.args[name].as_u64().expect(name)
    }

    pub fn check(&self, got: &[f64]) {
        assert_eq!(got.len(), self.expected.len(), "{}", self.id);
        for (number, (got, expected)) in got.iter().zip(&self.expected).enumerate() {
            let allowed = self.absolute.max(self.relative * expected.abs());
            let is_near = (got - expected).abs() <= allowed;
            assert!(
                is_near,
                "{} [{number}]: {got}, recorded {expected}",
                self.id
            );
        }
    }
}
