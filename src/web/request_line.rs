//! Requests whose target has characters that belong percent-encoded: `curl -g '…?query=up{a="b"}'`.
//!
//! Prometheus' server takes them as they are, ours refuses the request before any handler sees
//! it. So `"`, `<` and `>` are encoded on their way in. That is done for `GET` alone, and no longer
//! once a request has a body: from there on it would take a whole HTTP parser to know where the
//! next request begins.

/// What a connection has sent, up to here.
#[derive(Debug, Default)]
pub struct RequestLines {
    place: Place,
    /// The line so far, as much of it as is needed.
    line: Vec<u8>,
    has_body: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// In the line with method and target.
    #[default]
    Target,
    /// In the headers.
    Head,
    /// Nothing is looked at any more.
    Beyond,
}

/// As much of a line as is looked at: the longest name of a header that tells of a body.
const LOOKED_AT_BYTES: usize = "transfer-encoding:".len();

impl RequestLines {
    /// Tells whether what comes is passed on as it is.
    pub fn is_beyond(&self) -> bool {
        self.place == Place::Beyond
    }

    /// Appends to `out` what came, with targets encoded.
    pub fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for (at, &byte) in bytes.iter().enumerate() {
            match self.place {
                Place::Beyond => {
                    out.extend_from_slice(&bytes[at..]);
                    return;
                }
                Place::Target => self.pass_target(byte, out),
                Place::Head => {
                    out.push(byte);
                    self.look_at_head(byte);
                }
            }
        }
    }

    fn pass_target(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            b'"' => out.extend_from_slice(b"%22"),
            b'<' => out.extend_from_slice(b"%3C"),
            b'>' => out.extend_from_slice(b"%3E"),
            _ => out.push(byte),
        }
        if byte == b'\n' && !self.line.is_empty() {
            self.place = Place::Head;
            self.line.clear();
        } else if !matches!(byte, b'\r' | b'\n') {
            self.keep(byte);
            if !b"GET ".starts_with(&self.line[..self.line.len().min(4)]) {
                self.place = Place::Beyond;
            }
        }
    }

    fn look_at_head(&mut self, byte: u8) {
        match byte {
            b'\n' if self.line.is_empty() => {
                self.place = if self.has_body {
                    Place::Beyond
                } else {
                    Place::Target
                };
            }
            b'\n' => {
                let line = self.line.to_ascii_lowercase();
                let tells_of_body = [&b"content-length:"[..], b"transfer-encoding:", b"upgrade:"];
                self.has_body |= tells_of_body.iter().any(|name| line.starts_with(name));
                self.line.clear();
            }
            b'\r' => {}
            _ => self.keep(byte),
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.line.len() < LOOKED_AT_BYTES {
            self.line.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes a text in pieces of every length.
    fn check(text: &str, expected: &str) {
        for length in 1..=text.len() {
            let mut lines = RequestLines::default();
            let mut out = Vec::new();
            for piece in text.as_bytes().chunks(length) {
                lines.pass(piece, &mut out);
            }
            assert_eq!(String::from_utf8(out).unwrap(), expected, "by {length}");
        }
    }

    #[test]
    fn targets_of_get_are_encoded_and_nothing_else() {
        let head = "Host: \"a\"\r\nX: <>\r\n\r\n";
        let plain = format!("GET /?q=a{{b=\"c\"}}<d> HTTP/1.1\r\n{head}");
        let encoded = format!("GET /?q=a{{b=%22c%22}}%3Cd%3E HTTP/1.1\r\n{head}");
        check(&plain, &encoded);
        check(&format!("{plain}{plain}"), &format!("{encoded}{encoded}"));
        check(&format!("\r\n{plain}"), &format!("\r\n{encoded}"));
        check(
            "GET /\"\nHost: a\n\nGET /\"\n\n",
            "GET /%22\nHost: a\n\nGET /%22\n\n",
        );
    }

    #[test]
    fn from_a_body_on_nothing_is_touched() {
        let same = |text: &str| check(text, text);
        same("POST /\" HTTP/1.1\r\n\r\nGET /\" HTTP/1.1\r\n\r\n");
        same("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\"\"\"");
        same("GET / HTTP/1.1\r\nCONTENT-length: 7\r\n\r\nGET /\"\nGET /\" HTTP/1.1\r\n\r\n");
        same("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nGET \r\n\"");
    }
}
