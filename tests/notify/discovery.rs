//! Alertmanagers from files that change.

use std::time::Duration;

use burnwatch::notify::AlertmanagerView;

use crate::support::{PATIENCE, Receiver, World, config};

async fn views_become(world: &World, expected: &[(String, bool)]) {
    let expected: Vec<AlertmanagerView> = expected
        .iter()
        .map(|(address, dropped)| AlertmanagerView {
            url: format!("http://{address}/api/v2/alerts"),
            dropped: *dropped,
        })
        .collect();
    let become_so = async {
        while world.notify.alertmanagers() != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, become_so).await;
    assert!(waited.is_ok(), "{:?}", world.notify.alertmanagers());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_followed_and_relabelled() {
    let receiver = Receiver::start([]).await;
    let dir = tempfile::tempdir().expect("a directory");
    let write = |text: String| {
        let (path, new) = (dir.path().join("am.json"), dir.path().join("new"));
        std::fs::write(&new, text).expect("a file");
        std::fs::rename(new, path).expect("a file");
    };
    let text = format!(
        "alerting:\n  alertmanagers:\n    - file_sd_configs: [{{files: ['{}/*.json'], \
         refresh_interval: 20ms}}]\n      relabel_configs: [{{source_labels: [role], regex: \
         spare, action: drop}}]\n",
        dir.path().display()
    );
    let world = World::start(config(&text));
    assert_eq!(world.notify.alertmanagers(), []);
    world.fire("A");

    let address = receiver.address.to_string();
    write(format!(
        r#"[{{"targets": ["{address}"]}}, {{"targets": ["spare:9"], "labels": {{"role": "spare"}}}}]"#
    ));
    views_become(
        &world,
        &[(address.clone(), false), ("spare:9".to_owned(), true)],
    )
    .await;
    // What fired before is told to whoever is found later.
    assert_eq!(receiver.requests(1).await[0].alert_names(), ["A"]);

    // A file that cannot be read keeps what it said.
    write("[{".to_owned());
    tokio::time::sleep(Duration::from_millis(60)).await;
    views_become(&world, &[(address, false), ("spare:9".to_owned(), true)]).await;

    write("[]".to_owned());
    views_become(&world, &[]).await;
}
