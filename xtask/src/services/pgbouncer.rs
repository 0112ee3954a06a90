//! PgBouncer in transaction mode before the PostgreSQL of the tests: every database of that server, few server
//! connections for many clients, so that statements of one client do meet different ones.

use std::path::PathBuf;
use std::process::Command;

use crate::outcome::{Failure, Result, Trying as _};
use crate::process::find;
use crate::services::install;
use crate::services::net::{free_port, postgres_answers};
use crate::services::postgres::{become_user, give, other_user};
use crate::services::state::State;

/// Starts one before the server of `url`; its URL.
pub(super) fn start(state: &mut State, url: &str) -> Result<String> {
    let server = Address::parse(url).ok_or_else(|| {
        Failure::new("the URL of PostgreSQL is not postgres://user@host:port/database")
    })?;
    let program =
        install::program("pgbouncer", || find("pgbouncer", &[PathBuf::from("/usr/sbin")]))
            .map_err(|why| Failure::new(format!("no HEXMEM_TEST_PGBOUNCER_URL; {why}")))?;
    let folder = state.data_folder("pgbouncer")?;
    let port = free_port()?;
    let file = folder.join("pgbouncer.ini");
    std::fs::write(&file, settings(&server, port)).trying("write the settings of PgBouncer")?;
    let mut pgbouncer = Command::new(program);
    pgbouncer.current_dir(&folder).arg(&file);
    if install::is_root() {
        let (uid, gid) = other_user()?;
        give(&folder, uid, gid)?;
        give(&file, uid, gid)?;
        become_user(&mut pgbouncer, uid, gid);
    }
    let user = server.user.clone();
    // INT: at once.
    state.spawn("pgbouncer", "INT", &mut pgbouncer)?.wait(|| postgres_answers(port, &user))?;
    Ok(format!("postgres://{}@127.0.0.1:{port}/{}", server.user, server.database))
}

#[derive(Debug, PartialEq, Eq)]
struct Address {
    user: String,
    password: Option<String>,
    host: String,
    port: u16,
    database: String,
}

impl Address {
    fn parse(url: &str) -> Option<Self> {
        let (_, rest) = url.split_once("://")?;
        let rest = rest.split('?').next()?;
        let (authority, database) = rest.split_once('/')?;
        let (login, place) = authority.rsplit_once('@')?;
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(password.to_owned())),
            None => (login, None),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (place, 5_432),
        };
        let [user, host, database] = [user, host, database].map(str::to_owned);
        Some(Self { user, password, host, port, database })
    }
}

/// Clients are let in as they come: it listens on the loopback alone.
fn settings(server: &Address, port: u16) -> String {
    let Address { user, password, host, port: server_port, .. } = server;
    let password = password.as_ref().map(|text| format!(" password={text}")).unwrap_or_default();
    format!(
        "[databases]\n\
         * = host={host} port={server_port} user={user}{password}\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = any\n\
         pool_mode = transaction\n\
         default_pool_size = 3\n\
         max_client_conn = 500\n\
         server_round_robin = 1\n\
         server_idle_timeout = 10\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read() {
        let read = Address::parse("postgres://me:a:b@h:1/d?sslmode=disable").unwrap();
        assert_eq!((read.user.as_str(), read.password.as_deref()), ("me", Some("a:b")));
        assert_eq!((read.host.as_str(), read.port, read.database.as_str()), ("h", 1, "d"));
        assert_eq!(Address::parse("postgres://me@h/d").unwrap().port, 5_432);
        assert_eq!(Address::parse("postgres"), None);
    }
}
