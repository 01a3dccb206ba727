//! What others build upon: the schema of the status, the names of the metrics, the dashboard.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

use crate::harness::{Master, NOTIFIES};

/// A file of the repository.
fn file(name: &str) -> String {
    std::fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Whether a value is of one of a schema's types.
fn has_type(value: &Value, types: &Value) -> bool {
    let one = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("type {other}: not known to this test"),
    };
    match types {
        Value::Array(names) => names.iter().any(|name| one(name.as_str().unwrap())),
        name => one(name.as_str().unwrap()),
    }
}

/// What of a value the schema does not allow; only the words of JSON Schema that ours uses.
fn faults(value: &Value, schema: &Value, root: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let target = root.pointer(name.trim_start_matches('#')).unwrap();
        return faults(value, target, root, at);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let tries = choices.iter().map(|choice| faults(value, choice, root, at));
        return tries.min_by_key(Vec::len).unwrap();
    }
    let mut found = vec![];
    if !schema["type"].is_null() && !has_type(value, &schema["type"]) {
        found.push(format!("{at}: {value} is not {}", schema["type"]));
    }
    if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(value)) {
        found.push(format!("{at}: {value} is not one of {allowed:?}"));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            found.push(format!("{at}: {name} is missing"));
        }
    }
    for (name, inside) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(schema) => found.extend(faults(inside, schema, root, &format!("{at}.{name}"))),
            None => found.push(format!("{at}.{name}: not in the schema")),
        }
    }
    for (index, inside) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(faults(inside, &schema["items"], root, &format!("{at}[{index}]")));
    }
    found
}

#[test]
fn the_status_is_as_its_schema_says() {
    let settings = [("LISTEN", "http=127.0.0.1:0"), ("BALANCE", "slot"), ("READY", "notify")];
    let mut master = Master::start_only(NOTIFIES, &settings);
    master.until("roll complete");
    let schema: Value = serde_json::from_str(&file("docker/status.schema.json")).unwrap();
    let check = |master: &Master| {
        let text = master.run(&["status", "--json"]).out;
        assert_eq!(text.lines().count(), 1);
        let status: Value = serde_json::from_str(&text).unwrap();
        let faults = faults(&status, &schema, &schema, "status");
        assert!(faults.is_empty(), "{}\n{text}", faults.join("\n"));
        status
    };
    let status = check(&master);
    assert_eq!(status["listeners"][0]["name"], "http");
    assert_eq!(status["workers"].as_array().unwrap().len(), 2);
    assert_eq!(master.run(&["reload"]).code, 0);
    assert_eq!(check(&master)["last_roll"]["is_complete"], true);
    master.release("never ready", "exec sleep 1000");
    master.run(&["reload", "--no-wait"]).is("roll requested\n");
    assert_eq!(check(&master)["roll"]["to"], 3);
}

/// The families of a text of metrics.
fn families(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn every_promised_metric_exists_and_labels_stay_bounded() {
    let mut master = Master::start(&[("LISTEN", "http=127.0.0.1:0")]);
    assert_eq!(master.run(&["reload"]).code, 0);
    // The old ones may still be leaving when the new ones serve.
    (0..2).for_each(|_| drop(master.until("worker exited")));
    let text = master.run(&["metrics"]).out;
    let found = families(&text);
    for name in [
        "workers",
        "worker_start_seconds",
        "rolls_total",
        "roll_duration_seconds",
        "worker_exits_total",
        "worker_restarts_total",
        "orphans_reaped_total",
        "accept_queue_length",
        "accept_queue_limit",
        "listen_drops_total",
        "worker_resident_memory_bytes",
        "worker_cpu_seconds_total",
        "generation",
        "build_info",
    ] {
        assert!(found.contains(&format!("dutch_master_{name}")), "{name}\n{text}");
    }
    let labels = ["state", "reason", "cause", "outcome", "listener", "slot", "version", "le"];
    for line in text.lines().filter(|line| line.contains('{')) {
        let label = line.split(['{', '=']).nth(1).unwrap();
        assert!(labels.contains(&label), "{line}");
    }
    assert!(text.contains("dutch_master_rolls_total{outcome=\"complete\"} 1\n"), "{text}");
    assert!(text.contains("dutch_master_worker_exits_total{reason=\"clean\"} 2\n"), "{text}");
    assert!(text.contains("dutch_master_accept_queue_limit{listener=\"http\"} "), "{text}");
}

#[test]
fn the_dashboard_names_only_metrics_that_exist() {
    let master = Master::start(&[("LISTEN", "http=127.0.0.1:0")]);
    let found = families(&master.run(&["metrics"]).out);
    let dashboard: Value = serde_json::from_str(&file("docker/grafana.json")).unwrap();
    let mut seen = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
            for word in query.split(|letter| !is_name(letter)) {
                if word.starts_with("dutch_master_") {
                    let base = word.strip_suffix("_bucket").unwrap_or(word);
                    assert!(found.contains(base), "{word}: no such metric");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn the_parsers_of_prometheus_take_every_line() {
    let master = Master::start(&[("LISTEN", "http=127.0.0.1:0"), ("HTTP", "127.0.0.1:0")]);
    let script = "import sys
from urllib.request import Request, urlopen
from prometheus_client.openmetrics import parser as om
from prometheus_client import parser as prom
kind = 'application/openmetrics-text; version=1.0.0'
url = 'http://%s/metrics' % sys.argv[1]
text = urlopen(Request(url, headers={'Accept': kind})).read().decode()
assert len(list(om.text_string_to_metric_families(text))) > 12, text
text = urlopen(url).read().decode()
assert len(list(prom.text_string_to_metric_families(text))) > 12, text
";
    let address = master.http.as_ref().unwrap();
    // Debian's own interpreter is the one that has Debian's package.
    let output = Command::new("/usr/bin/python3")
        .args(["-c", script, address])
        .output()
        .expect("python3 and python3-prometheus-client: scripts/test host installs them");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn promtool_has_nothing_to_say_about_the_metrics() {
    let master = Master::start(&[("LISTEN", "http=127.0.0.1:0"), ("HTTP", "127.0.0.1:0")]);
    let script = r#"/usr/bin/python3 -c 'import sys, urllib.request as u
print(u.urlopen("http://%s/metrics" % sys.argv[1]).read().decode(), end="")' "$1" | promtool check metrics"#;
    let address = master.http.as_ref().unwrap();
    let output = Command::new("sh").args(["-c", script, "sh", address]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && said.is_empty(),
        "promtool: {said} (scripts/test host brings it)"
    );
}
