//! `docs/API.md` names every route with its methods, and no parameter that nobody reads.

use std::collections::BTreeSet;
use std::fs;

use burnwatch::api::routes::{Methods, ROUTES};

/// The rows of the table of endpoints: method and path, parameters.
fn rows() -> Vec<(String, Vec<String>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/API.md");
    let page = fs::read_to_string(path).unwrap();
    let quoted = |cell: &str| -> Vec<String> {
        let odd = |(at, part): (usize, &str)| (at % 2 == 1).then(|| part.to_owned());
        cell.split('`').enumerate().filter_map(odd).collect()
    };
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix('|')?.split('|');
        let endpoint = quoted(cells.next()?).pop()?;
        let parameters = quoted(cells.next()?);
        endpoint
            .contains(" /api/v1/")
            .then_some((endpoint, parameters))
    });
    rows.collect()
}

#[test]
fn every_route_has_its_row() {
    let rows: BTreeSet<String> = rows().into_iter().map(|(endpoint, _)| endpoint).collect();
    let routes = ROUTES.iter().map(|route| {
        let methods = match route.methods {
            Methods::Get => "GET",
            Methods::GetPost => "GET POST",
            Methods::PostPut => "POST PUT",
            Methods::GetTell => "GET POST",
        };
        format!("{methods} /api/v1{}", route.path)
    });
    assert_eq!(rows, routes.collect());
}

#[test]
fn every_parameter_is_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api");
    let files = fs::read_dir(folder).unwrap();
    let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let source: String = texts.collect();
    let mut n_parameters = 0;
    for (endpoint, parameters) in rows() {
        for parameter in parameters {
            n_parameters += 1;
            let literal = format!("\"{parameter}\"");
            assert!(source.contains(&literal), "{parameter} of {endpoint}");
        }
    }
    assert!(n_parameters > 40, "{n_parameters} parameters");
}
