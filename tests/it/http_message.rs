//! One HTTP request per connection, for the small servers of tests.

use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::TcpStream;

/// A request.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Lines of the header without `Connection`.
    pub(crate) header: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Reads a request; `None` if the client closed the connection.
    pub(crate) fn read(stream: &TcpStream) -> Result<Option<Self>> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let (mut header, mut length) = (Vec::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim_end();
            let Some((name, value)) = line.split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => {
                    length = value.trim().parse().unwrap();
                    header.push(line.to_owned());
                }
                "expect" => write!(&mut &*stream, "HTTP/1.1 100 Continue\r\n\r\n")?,
                "connection" => {}
                _ => header.push(line.to_owned()),
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Some(Self { method, path, header, body }))
    }

    /// Sends the request to a server and returns the response as received.
    pub(crate) fn forward(&self, address: &str) -> Result<Vec<u8>> {
        let mut stream = TcpStream::connect(address)?;
        let header = self.header.join("\r\n");
        write!(
            stream,
            "{} {} HTTP/1.1\r\n{header}\r\nConnection: close\r\n\r\n",
            self.method, self.path
        )?;
        stream.write_all(&self.body)?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response)?;
        Ok(response)
    }
}

/// Writes a response and ends the connection.
pub(crate) fn respond(
    stream: &mut TcpStream,
    status: &str,
    header: &str,
    body: &str,
) -> Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{header}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
