//! As much of HTTP/1.1 as a strict client and a small server need, with nothing guessed.

use std::io::{self, Read};

/// The most that a head (first line and headers) may take.
const HEAD_LIMIT: usize = 64 * 1024;

/// The first line and the headers of a request or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// `GET / HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub first: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

/// Why a message could not be read to its end.
#[derive(Debug)]
pub enum Fault {
    /// The other end closed before the first byte.
    Nothing,
    /// The other end closed, or stopped making sense, in the middle.
    Truncated,
    /// Not HTTP, or more than we take.
    Malformed(String),
    /// The socket failed; the number of bytes that had come before.
    Io(io::Error, usize),
}

impl Head {
    /// The value of the header `name` (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// Whether the connection must not be used again.
    pub fn closes(&self) -> bool {
        match self.header("connection") {
            Some(value) => value.to_ascii_lowercase().contains("close"),
            None => self.first.contains("HTTP/1.0"),
        }
    }

    /// The status of an answer.
    pub fn status(&self) -> Option<u16> {
        self.first.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()
    }

    /// The path of a request, without its query, and the query.
    pub fn target(&self) -> (&str, &str) {
        let target = self.first.split(' ').nth(1).unwrap_or("/");
        target.split_once('?').unwrap_or((target, ""))
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default().to_owned();
        if !first.contains("HTTP/1.") {
            return Err(Fault::Malformed(first));
        }
        let mut headers = vec![];
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) =
                line.split_once(':').ok_or_else(|| Fault::Malformed(line.to_owned()))?;
            headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Self { first, headers })
    }
}

/// Reads messages from a connection one after the other; keeps what belongs to the next one.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    /// Bytes that have come and that nobody has asked for.
    pub fn left_over(&self) -> usize {
        self.buffer.len()
    }

    /// Reads the first line and the headers.
    pub fn head(&mut self, from: &mut impl Read) -> Result<Head, Fault> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                let bytes: Vec<u8> = self.buffer.drain(..at + 4).collect();
                return Head::parse(&String::from_utf8_lossy(&bytes));
            }
            if self.buffer.len() > HEAD_LIMIT {
                return Err(Fault::Malformed("a head without an end".to_owned()));
            }
            self.more(from)?;
        }
    }

    /// Reads the body of an answer to a GET to its end, as its head says where that is.
    pub fn body(&mut self, head: &Head, from: &mut impl Read) -> Result<Vec<u8>, Fault> {
        if matches!(head.status(), Some(204 | 304)) {
            return Ok(vec![]);
        }
        let chunked = head.header("transfer-encoding").is_some_and(|value| value == "chunked");
        if chunked {
            return self.chunks(from);
        }
        if let Some(length) = head.header("content-length") {
            let length =
                length.parse().map_err(|_| Fault::Malformed(format!("length {length}")))?;
            return self.exactly(length, from);
        }
        self.until_closed(from)
    }

    fn chunks(&mut self, from: &mut impl Read) -> Result<Vec<u8>, Fault> {
        let mut body = vec![];
        loop {
            let line = self.line(from)?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16)
                .map_err(|_| Fault::Malformed(format!("chunk size {line}")))?;
            if size == 0 {
                while !self.line(from)?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.exactly(size, from)?);
            if !self.line(from)?.is_empty() {
                return Err(Fault::Malformed("a chunk that goes on".to_owned()));
            }
        }
    }

    fn line(&mut self, from: &mut impl Read) -> Result<String, Fault> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let bytes: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned());
            }
            self.inside(from)?;
        }
    }

    fn exactly(&mut self, length: usize, from: &mut impl Read) -> Result<Vec<u8>, Fault> {
        while self.buffer.len() < length {
            self.inside(from)?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    fn until_closed(&mut self, from: &mut impl Read) -> Result<Vec<u8>, Fault> {
        loop {
            match self.more(from) {
                Ok(()) => {}
                Err(Fault::Nothing | Fault::Truncated) => {
                    return Ok(std::mem::take(&mut self.buffer));
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    /// More of a message whose head has come: an end now is in the middle.
    fn inside(&mut self, from: &mut impl Read) -> Result<(), Fault> {
        match self.more(from) {
            Err(Fault::Nothing) => Err(Fault::Truncated),
            Err(Fault::Io(error, got)) => Err(Fault::Io(error, got.max(1))),
            other => other,
        }
    }

    fn more(&mut self, from: &mut impl Read) -> Result<(), Fault> {
        let mut piece = [0; 16 * 1024];
        match from.read(&mut piece) {
            Ok(0) if self.buffer.is_empty() => Err(Fault::Nothing),
            Ok(0) => Err(Fault::Truncated),
            Ok(got) => {
                self.buffer.extend_from_slice(&piece[..got]);
                Ok(())
            }
            Err(error) => Err(Fault::Io(error, self.buffer.len())),
        }
    }
}

/// An answer with a length, ready to be written.
pub fn answer(status: &str, body: &str, close: bool) -> Vec<u8> {
    let connection = if close { "close" } else { "keep-alive" };
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
         Connection: {connection}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The value of `name` in a query as `a=1&b=2`.
pub fn query<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(have, _)| *have == name)
        .map(|(_, value)| value)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
