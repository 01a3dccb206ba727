//! The head of an HTTP request, as bytes: what it asks for, or why it gets nothing.
//!
//! Pure, so that it can be fuzzed.

/// The longest head of an HTTP request: browsers and probes send less than a kilobyte.
pub(crate) const HEAD_LIMIT: usize = 8192;
/// More than a probe, a scraper or a browser sends.
const MOST_HEADERS: usize = 64;

/// What a request's head asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It is not all there.
    More,
    /// It is none, or too long: the status to say so.
    Bad(&'static str),
    Get {
        path: String,
        is_head: bool,
        /// Whether it likes `OpenMetrics`.
        is_openmetrics: bool,
    },
}

/// Reads as much of a request as has come.
pub(crate) fn parse(head: &[u8]) -> Asked {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Partial) if head.len() < HEAD_LIMIT => return Asked::More,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Asked::Bad("431 Request Header Fields Too Large");
        }
        Err(_) => return Asked::Bad("400 Bad Request"),
        Ok(httparse::Status::Complete(_)) => {}
    }
    let is_head = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Asked::Bad("405 Method Not Allowed"),
    };
    let accept = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("accept"));
    let is_openmetrics = accept.is_some_and(|header| {
        String::from_utf8_lossy(header.value).contains("application/openmetrics-text")
    });
    let path = request.path.unwrap_or("/").split('?').next().unwrap_or("/").to_owned();
    Asked::Get { path, is_head, is_openmetrics }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_complete_partial_or_refused() {
        let get = |path: &str, is_openmetrics| Asked::Get {
            path: path.to_owned(),
            is_head: false,
            is_openmetrics,
        };
        let long = format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(HEAD_LIMIT));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65));
        for (head, asked) in [
            ("", Asked::More),
            ("GET /livez HTTP/1.1\r\nHost: a\r\n", Asked::More),
            ("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", get("/livez", false)),
            ("GET /metrics?a=b HTTP/1.0\r\n\r\n", get("/metrics", false)),
            ("GET /m HTTP/1.1\r\naCCEPT: application/openmetrics-text\r\n\r\n", get("/m", true)),
            ("POST / HTTP/1.1\r\n\r\n", Asked::Bad("405 Method Not Allowed")),
            ("nonsense\0", Asked::Bad("400 Bad Request")),
            (&long, Asked::Bad("431 Request Header Fields Too Large")),
            (&many, Asked::Bad("431 Request Header Fields Too Large")),
        ] {
            assert_eq!(parse(head.as_bytes()), asked, "{head:.60}");
        }
    }
}
