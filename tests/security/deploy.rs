//! What an operator copies from deploy/ runs without root, and without what it does not need.
//!
//! Neither systemd nor an image can be run here: what is looked at is what the files say. Where
//! `systemd-analyze` is there, `tests/deploy.sh` asks it, too.

use std::path::Path;

use serde_json::Value;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The directives that systemd's own judgement (`systemd-analyze security`) weighs most, with
/// the values that it holds for safe.
const DIRECTIVES: &[(&str, &str)] = &[
    ("DynamicUser", "yes"),
    ("NoNewPrivileges", "yes"),
    ("CapabilityBoundingSet", ""),
    ("AmbientCapabilities", ""),
    ("ProtectSystem", "strict"),
    ("ProtectHome", "yes"),
    ("PrivateTmp", "yes"),
    ("PrivateDevices", "yes"),
    ("PrivateUsers", "yes"),
    ("DevicePolicy", "closed"),
    ("ProtectClock", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectProc", "invisible"),
    ("ProcSubset", "pid"),
    ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("LockPersonality", "yes"),
    ("MemoryDenyWriteExecute", "yes"),
    ("RemoveIPC", "yes"),
    ("KeyringMode", "private"),
    ("UMask", "0077"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", "@system-service"),
    ("StateDirectory", "burnwatch"),
    ("StateDirectoryMode", "0750"),
];

#[test]
fn the_unit_runs_without_root_and_without_the_rest() {
    let unit = read("burnwatch.service");
    let service = unit.split("[Service]").nth(1).expect("a service");
    let lines: Vec<&str> = service.lines().collect();
    for (name, value) in DIRECTIVES {
        let line = format!("{name}={value}");
        assert!(lines.contains(&line.as_str()), "{line} is missing");
    }
    assert!(lines.contains(&"SystemCallFilter=~@privileged @resources"));
    // Nothing takes back what stands above, and nothing is run as root.
    for word in [
        "User=root",
        "+/",
        "!/",
        "PermissionsStartOnly",
        "ReadWritePaths",
    ] {
        assert!(!service.contains(word), "{word}");
    }
}

#[test]
fn the_image_has_no_shell_and_no_root() {
    let dockerfile = read("Dockerfile");
    let last = dockerfile.rsplit("\nFROM ").next().expect("a stage");
    assert!(
        last.starts_with("gcr.io/distroless/cc-debian12:nonroot"),
        "{last}"
    );
    assert!(last.contains("\nUSER 65532:65532\n"), "{last}");
    assert!(!last.contains("\nRUN "), "there is nothing to run it with");
    // What is not to be in an image is not sent to its build.
    let ignored = read("Dockerfile.dockerignore");
    assert!(
        ignored.lines().any(|line| line == "*"),
        "all but what is named: {ignored}"
    );
    assert!(!ignored.contains("!deploy/secrets"), "{ignored}");
}

#[test]
fn the_containers_keep_their_root_and_give_up_the_rest() {
    let compose: Value = serde_saphyr::from_str(&read("docker-compose.yml")).expect("YAML");
    let burnwatch = &compose["services"]["burnwatch"];
    assert_eq!(burnwatch["read_only"], true);
    assert_eq!(burnwatch["cap_drop"][0], "ALL");
    assert_eq!(burnwatch["security_opt"][0], "no-new-privileges:true");
    let mounts = burnwatch["volumes"].as_array().expect("mounts");
    let writable: Vec<&str> = mounts
        .iter()
        .filter_map(Value::as_str)
        .filter(|mount| !mount.ends_with(":ro"))
        .collect();
    assert_eq!(writable, ["burnwatch:/var/lib/burnwatch"]);
}

/// The restricted Pod Security Standard, line by line.
#[test]
fn the_pod_meets_the_restricted_standard() {
    let documents = read("kubernetes/burnwatch.yaml");
    let documents: Vec<Value> = documents
        .split("\n---\n")
        .map(|text| serde_saphyr::from_str(text).expect("YAML"))
        .collect();
    let of_kind = |kind: &str| {
        let found = documents.iter().find(|document| document["kind"] == kind);
        found.unwrap_or_else(|| panic!("no {kind}"))
    };
    let pod = &of_kind("StatefulSet")["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["runAsUser"], 65532);
    assert_eq!(
        pod["securityContext"]["seccompProfile"]["type"],
        "RuntimeDefault"
    );
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(pod.get(field).is_none(), "{field}");
    }
    let containers = pod["containers"].as_array().expect("containers");
    assert!(!containers.is_empty() && pod.get("initContainers").is_none());
    for container in containers {
        let context = &container["securityContext"];
        assert_eq!(context["allowPrivilegeEscalation"], false);
        assert_eq!(context["readOnlyRootFilesystem"], true);
        assert_eq!(context["capabilities"]["drop"][0], "ALL");
        assert!(context["capabilities"].get("add").is_none());
        assert!(container["resources"]["limits"].get("memory").is_some());
        for mount in container["volumeMounts"].as_array().expect("mounts") {
            let is_data = mount["mountPath"] == "/var/lib/burnwatch";
            assert!(is_data || mount["readOnly"] == true, "{mount}");
        }
    }
    for volume in pod["volumes"].as_array().expect("volumes") {
        assert!(volume.get("hostPath").is_none(), "{volume}");
    }
    let policy = &of_kind("NetworkPolicy")["spec"]["ingress"][0];
    assert!(
        policy["from"]
            .as_array()
            .is_some_and(|from| !from.is_empty())
    );
    // The configuration that goes with it loads, and is not open.
    let own = of_kind("ConfigMap")["data"]["burnwatch.yml"]
        .as_str()
        .expect("a file");
    let prometheus = of_kind("ConfigMap")["data"]["prometheus.yml"]
        .as_str()
        .expect("a file");
    let source = |path, text| burnwatch::config::Source {
        path: Path::new(path),
        text,
    };
    let own = source("/etc/burnwatch/config/burnwatch.yml", own);
    let config = burnwatch::config::load(source("/p.yml", prometheus), Some(own), &|_| None);
    let access = config.expect("it loads").burnwatch.access;
    assert!(!access.tokens.is_empty());
}
