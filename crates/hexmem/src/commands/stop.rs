//! Being asked to stop.

/// Ends when the process has been asked to stop so many times from now on, by Ctrl-C or, as service managers do, by
/// SIGTERM. Where that cannot be heard it never ends.
pub(crate) fn asked_to_stop(times: u32) -> impl Future<Output = ()> {
    #[cfg(unix)]
    let mut streams = {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::interrupt()).ok().zip(signal(SignalKind::terminate()).ok())
    };
    async move {
        for _ in 0..times {
            #[cfg(unix)]
            if let Some((interrupt, terminate)) = &mut streams {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                continue;
            }
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
