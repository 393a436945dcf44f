//! Which labels say what an alert, a change or a series is about, and whether two agree.

use crate::model::{ALERT_NAME, Labels, METRIC_NAME};

/// Returns the labels that an alert has from its expression: those that say what it is about.
/// `written` are the names of the labels that its rule writes itself, such as `severity`.
pub fn identity<'a>(labels: &Labels, written: impl IntoIterator<Item = &'a str>) -> Labels {
    let written: Vec<&str> = written.into_iter().collect();
    labels.filter(|name| name != ALERT_NAME && name != METRIC_NAME && !written.contains(&name))
}

/// Returns how many labels two sets have in common, and `None` where a label that both have
/// differs.
pub(in crate::context) fn agreement(a: &Labels, b: &Labels) -> Option<usize> {
    let mut n_common = 0;
    for (name, value) in a.iter() {
        match b.get(name) {
            Some(other) if other == value => n_common += 1,
            Some(_) => return None,
            None => {}
        }
    }
    Some(n_common)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_agree_where_both_have_them() {
        let set = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
        let check = |a: &[(&str, &str)], b: &[(&str, &str)], expected| {
            assert_eq!(agreement(&set(a), &set(b)), expected, "{a:?} {b:?}");
        };
        check(&[("job", "a"), ("x", "1")], &[("job", "a")], Some(1));
        check(&[("job", "a")], &[("job", "b")], None);
        check(&[("job", "a")], &[("instance", "i")], Some(0));
        check(&[], &[], Some(0));
    }
}
