//! Windows that move: two cursors over the one history of a series, and what lies between them.
//!
//! A window `(t - w, t]` at the frontier is two places in a history: the tail, where samples come
//! in, and the head, where they leave. Both only ever move forward, each over every sample once,
//! so what a window costs does not depend on how long it is. A place is named by its lag behind
//! the frontier, and windows of any number of rules share the places that they have in common.
//!
//! What lives here: the cursors of a series ([`SeriesWindows`]), what is known of a window from
//! its edges ([`Edges`]), state that samples enter and leave ([`WindowState`]), and how a function
//! says that it can be had from either ([`LiveForm`]). [`Blocks`] is the state of what never
//! forgets. What may not: labels, selectors, rules.
//! Called by the functions, which register their forms, and by `eval::live`, which asks.

mod blocks;
mod breaks;
mod changes;
mod cursor;
mod edges;
mod extrapolation;
mod extreme;
mod form;
mod leaving;
mod line;
mod ordered;
mod run;
mod saved;
mod series_windows;
mod state;
mod sum;

pub use blocks::{Blocks, Detector, first_boundary};
pub use changes::{CHANGES, Changes};
pub use edges::{Edges, HistogramEdges};
pub use extrapolation::{Extrapolation, LastExtrapolation, NEAR, Spacing};
pub use extreme::{Extreme, LARGEST, LAST_LARGEST, LAST_SMALLEST, SMALLEST};
pub use form::{
    Fixed, Known, Lasting, LiveArgs, LiveForm, LiveResult, NeedsSamples, Stretch, Worth,
};
pub use leaving::Leaving;
pub use line::{LINE, Line};
pub use ordered::{ORDERED, Ordered, VALUES_MAX};
pub use series_windows::{Content, Heads, Newest, SeriesWindows, Span, look_ahead};
pub use state::{Held, Inside, NoState, StateArgs, StateKind, WindowState};
pub use sum::{MOMENTS, Moments, SUM, Sum};
