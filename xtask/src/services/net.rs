//! Free ports, and just enough of two protocols to see that a server answers.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::outcome::{Failure, Result, Trying as _};

const PATIENCE: Duration = Duration::from_secs(5);

/// A loopback port that nobody uses now.
pub(super) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).trying("bind a loopback port")?;
    Ok(listener.local_addr().trying("read a loopback port")?.port())
}

/// `count` free ports whose cluster bus ports (10,000 above) are free too.
pub(super) fn cluster_ports(count: usize) -> Result<Vec<u16>> {
    let seed = std::process::id() % 2_000;
    let first = 12_000 + u16::try_from(seed).unwrap_or_default() * 5;
    let mut held = Vec::new();
    let mut ports = Vec::new();
    for port in first..first + 2_000 {
        let both = [port, port + 10_000].map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
        if let [Ok(port_held), Ok(bus_held)] = both {
            held.push((port_held, bus_held));
            ports.push(port);
        }
        if ports.len() == count {
            return Ok(ports);
        }
    }
    Err(Failure::new(format!("no {count} free ports for a cluster")))
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// What the HTTP server on `port` answers to `path`; `None` unless that is 200. Chunked answers are not read.
pub(super) fn http_get(port: u16, path: &str) -> Option<String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = connect(port)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = ask().ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head.split(' ').nth(1)?;
    (code == "200").then(|| body.to_owned())
}

/// Whether the PostgreSQL on `port` lets `user` in: it refuses while it starts up.
pub(super) fn postgres_answers(port: u16, user: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut body = 196_608u32.to_be_bytes().to_vec(); // protocol 3.0
        body.extend(format!("user\0{user}\0database\0postgres\0\0").bytes());
        let length = u32::try_from(body.len() + 4).unwrap_or_default();
        let mut stream = connect(port)?;
        stream.write_all(&length.to_be_bytes())?;
        stream.write_all(&body)?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        Ok(kind == *b"R")
    };
    ask().unwrap_or(false)
}

/// Sends one command to the Redis on `port`; its whole answer as text.
pub(super) fn redis(port: u16, command: &[&str]) -> Result<String> {
    let ask = || -> std::io::Result<String> {
        let mut request = format!("*{}\r\n", command.len());
        for word in command {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        let mut stream = connect(port)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let count = stream.read(&mut chunk)?;
            answer.extend_from_slice(chunk.get(..count).unwrap_or_default());
            if count == 0 || is_whole(&answer) {
                return Ok(String::from_utf8_lossy(&answer).into_owned());
            }
        }
    };
    let what = command.iter().take(2).copied().collect::<Vec<_>>().join(" ");
    let answer = ask().trying(format!("ask Redis for {what}"))?;
    match answer.strip_prefix('-') {
        Some(error) => Err(Failure::new(format!("Redis refuses {what}: {}", error.trim()))),
        None => Ok(answer),
    }
}

/// Whether a simple or bulk answer has come whole.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, rest)) = text.split_once("\r\n") else { return false };
    match head.strip_prefix('$').map(str::parse::<usize>) {
        Some(Ok(length)) => rest.len() >= length + 2,
        _ => true,
    }
}
