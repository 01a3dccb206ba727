//! The settings of what the outside sees: output, logs, control, metrics.

use super::{Form, Setting};

pub(super) const OUTSIDE: &[Setting] = &[
    Setting {
        name: "OUTPUT",
        form: Form::Text("HOW"),
        default: "inherit",
        meaning: "what becomes of the workers' output",
        allowed: "inherit, lines, prefix, json",
        example: "prefix",
    },
    Setting {
        name: "LOG",
        form: Form::List("LEVELS"),
        default: "info",
        meaning: "how much is logged, also per target",
        allowed: "off, error, warn, info, debug or trace, and TARGET=LEVEL, comma list",
        example: "warn,roll=debug",
    },
    Setting {
        name: "LOG_FORMAT",
        form: Form::Text("HOW"),
        default: "auto",
        meaning: "auto: pretty on a terminal, else json",
        allowed: "auto, pretty, json, bunyan",
        example: "json",
    },
    Setting {
        name: "CONTROL",
        form: Form::Path("PATH"),
        default: "auto",
        meaning: "where the control socket is",
        allowed: "auto, off, or an absolute path",
        example: "/run/app/control.sock",
    },
    Setting {
        name: "HTTP",
        form: Form::Text("ADDRESS"),
        default: "off",
        meaning: "where metrics and probes are served",
        allowed: "off, or a port or ADDRESS:PORT",
        example: ":9102",
    },
];
