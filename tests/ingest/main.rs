//! Receiving remote write, from outside: over HTTP, against `prost`, under many threads.

mod decoding;
mod histograms;
mod http;
mod replicas;
mod routing;
mod support;
