use super::*;
use crate::functions::Functions;
use crate::promql::Features;
use crate::rule::parse_file;
