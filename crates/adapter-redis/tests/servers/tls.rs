//! An authority, a certificate for 127.0.0.1, and commands over TLS for the tests to look behind the adapter.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::own::Server;

fn openssl(folder: &Path, words: &str) {
    let done = Command::new("openssl")
        .args(words.split(' '))
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("openssl is not here; install it");
    assert!(done.success(), "openssl {words}");
}

/// An authority `ca.pem`, and a certificate `server.pem` by it for 127.0.0.1.
pub(crate) fn certificates(folder: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(folder, &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca"));
    openssl(folder, &format!("req {key} -keyout server.key -out server.csr -subj /CN=server"));
    std::fs::write(folder.join("san"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        .unwrap();
    openssl(
        folder,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile san",
    );
}

/// The lines of a server that speaks TLS only, with what [`certificates`] left in `folder`.
pub(crate) fn tls_only(port: u16, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "port 0\ntls-port {port}\nbind 127.0.0.1\ntls-cert-file {folder}/server.pem\ntls-key-file {folder}/server.key\ntls-ca-cert-file {folder}/ca.pem\ntls-auth-clients no\ntls-replication yes\n"
    )
}

/// A command over TLS, as the user whom `user:password@` names.
pub(crate) fn command(
    server: &Server,
    folder: &Path,
    user: &str,
    words: &[&str],
) -> redis::RedisResult<redis::Value> {
    // A second one is refused, and the first one does.
    drop(rustls::crypto::ring::default_provider().install_default());
    let root_cert = Some(std::fs::read(folder.join("ca.pem"))?);
    let url = format!("rediss://{user}127.0.0.1:{}", server.port);
    let client =
        redis::Client::build_with_tls(url, redis::TlsCertificates { client_tls: None, root_cert })?;
    redis::cmd(words[0]).arg(&words[1..]).query(&mut client.get_connection()?)
}
