//! The metrics' text, as both formats want it.

use dutch_master::wire::exposition::{Family, Kind, render};

fn families() -> Vec<Family> {
    vec![
        Family::new("a_rolls", Kind::Counter, "Rolls").with(&[("outcome", "complete")], 3),
        Family::new("a_queue", Kind::Gauge, "Queue")
            .with(&[("listener", "a\"b\\c\nd"), ("slot", "0")], 1)
            .with_real(&[], 0.5),
        Family::new("a_seconds", Kind::Histogram, "Times").with_histogram(
            &[(0.1, 2), (1.0, 3)],
            6,
            7.25,
        ),
        Family::new("a_nothing", Kind::Gauge, "Not to be seen"),
    ]
}

#[test]
fn prometheus_calls_a_counters_family_by_its_whole_name() {
    let wanted = r#"# HELP a_rolls_total Rolls
# TYPE a_rolls_total counter
a_rolls_total{outcome="complete"} 3
# HELP a_queue Queue
# TYPE a_queue gauge
a_queue{listener="a\"b\\c\nd",slot="0"} 1
a_queue 0.5
# HELP a_seconds Times
# TYPE a_seconds histogram
a_seconds_bucket{le="0.1"} 2
a_seconds_bucket{le="1.0"} 5
a_seconds_bucket{le="+Inf"} 6
a_seconds_sum 7.25
a_seconds_count 6
"#;
    assert_eq!(render(&families(), false), wanted);
}

#[test]
fn openmetrics_calls_it_without_total_and_has_an_end() {
    let text = render(&families(), true);
    assert!(text.starts_with("# HELP a_rolls Rolls\n# TYPE a_rolls counter\na_rolls_total{"));
    assert!(text.ends_with("a_seconds_count 6\n# EOF\n"));
}
