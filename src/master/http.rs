//! HTTP for probes and metrics: one GET, one answer, goodbye.

mod request;

use dutch_master::wire::exposition::{OPENMETRICS, PROMETHEUS};

use self::request::Asked;
use super::{
    Master,
    client::{Client, Waits},
};

const TEXT: &str = "text/plain; charset=utf-8";

impl Master {
    /// Answers a client whose request is complete.
    pub(super) fn serve_http(&mut self, client: &mut Client) {
        let Some(head) = client.head() else { return };
        let (status, media, body, is_head) = match request::parse(head) {
            Asked::More => return,
            Asked::Bad(status) => (status, TEXT, format!("{status}\n"), false),
            Asked::Get { path, is_head, is_openmetrics } => {
                let (status, media, body) = self.page(&path, is_openmetrics);
                (status, media, body, is_head)
            }
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {media}\r\nContent-Length: {length}\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        );
        client.waits = Waits::Nothing;
        client.put(head.as_bytes(), self.now);
        if !is_head {
            client.put(body.as_bytes(), self.now);
        }
    }

    fn page(&mut self, path: &str, is_openmetrics: bool) -> (&'static str, &'static str, String) {
        match path {
            "/metrics" => {
                let media = if is_openmetrics { OPENMETRICS } else { PROMETHEUS };
                ("200 OK", media, self.metrics(is_openmetrics))
            }
            "/livez" => ("200 OK", TEXT, "the loop answers\n".to_owned()),
            "/readyz" => {
                let (is_ready, why) = self.readiness_verdict();
                let status = if is_ready { "200 OK" } else { "503 Service Unavailable" };
                (status, TEXT, format!("{why}\n"))
            }
            "/status.json" => {
                let text = serde_json::to_string(&self.status()).unwrap_or_default();
                ("200 OK", "application/json", text)
            }
            _ => {
                let text = "try /metrics, /livez, /readyz or /status.json\n";
                ("404 Not Found", TEXT, text.to_owned())
            }
        }
    }
}
