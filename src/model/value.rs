//! What an expression evaluates to: a scalar, a string, an instant vector or a matrix.

use crate::model::{Labels, Point, SampleValue};

/// One element of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorElement {
    /// The element's labels.
    pub labels: Labels,
    /// Its value at the evaluation time.
    pub value: SampleValue,
}

/// One series of a matrix, points ascending in time.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesPoints {
    /// The series' labels.
    pub labels: Labels,
    /// Its points.
    pub points: Vec<Point>,
}

/// The result of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Scalar(f64),
    /// A text.
    String(String),
    /// Elements at one instant.
    Vector(Vec<VectorElement>),
    /// Series over time.
    Matrix(Vec<SeriesPoints>),
}

impl Value {
    /// Returns the word PromQL uses for the type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Scalar(_) => "scalar",
            Value::String(_) => "string",
            Value::Vector(_) => "vector",
            Value::Matrix(_) => "matrix",
        }
    }
}
