//! An embedder for tests: an endpoint whose vectors say which words a text has.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};

/// Numbers a vector.
pub(crate) const DIMENSION: u32 = 48;

/// Starts one, for as long as the test runs; the settings that name it.
pub(crate) fn endpoint() -> Vec<(String, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || answer(&stream));
        }
    });
    let dimension = DIMENSION.to_string();
    [("PROVIDER", "endpoint"), ("URL", &url), ("MODEL", "words"), ("DIMENSION", &dimension)]
        .map(|(key, value)| (format!("HEXMEM__EMBED__{key}"), value.to_owned()))
        .into()
}

/// Answers requests of one connection until it is closed.
fn answer(mut stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or_default() == 0 {
                return;
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let texts = asked["input"].as_array().unwrap();
        let data: Vec<Value> = (0..)
            .zip(texts)
            .map(|(index, text): (u32, _)| {
                json!({"index": index, "embedding": vector(text.as_str().unwrap())})
            })
            .collect();
        let body = json!({"model": "words", "data": data}).to_string();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json";
        let sent = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if sent.is_err() {
            return;
        }
    }
}

/// Each word adds to some numbers, by its letters.
fn vector(text: &str) -> Vec<f32> {
    let mut vector = vec![0.01f32; DIMENSION as usize];
    for word in text.split_whitespace() {
        let mut state =
            word.bytes().fold(7u64, |state, byte| state.wrapping_mul(31) + u64::from(byte));
        for number in &mut vector {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *number += f32::from(u8::try_from(state >> 56).unwrap()) / 128.0 - 1.0;
        }
    }
    vector
}
