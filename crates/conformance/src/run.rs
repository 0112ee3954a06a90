//! Running a case, and running it against a double that breaks its clause.

use std::future::Future;

use hexmem_ports::Capability;

use crate::{Rig, ledger};

/// `sess_touch_2` as `SESS-TOUCH-2`.
pub fn clause(case: &str) -> String {
    case.to_uppercase().replace('_', "-")
}

/// Runs `case` on `rig` and notes it in the ledger. A case whose needs are not declared is skipped.
pub async fn run<P: ?Sized, F>(
    port: &str,
    case: &str,
    needs: &[Capability],
    rig: Rig<P>,
    body: impl FnOnce(Rig<P>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let (clause, declares, adapter) = (clause(case), rig.declares.clone(), rig.adapter);
    let note = |outcome| ledger::note(adapter, port, &clause, needs, &declares, outcome);
    if !needs.iter().all(|need| declares.has(*need)) {
        note("skipped");
        return;
    }
    note("started");
    match tokio::spawn(body(rig)).await {
        Ok(()) => note("passed"),
        Err(error) => {
            note("failed");
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// Runs `case` on a store that breaks its clause: the case must fail, otherwise it proves nothing.
pub async fn run_broken<P: ?Sized, F>(
    case: &str,
    needs: &[Capability],
    rig: Rig<P>,
    body: impl FnOnce(Rig<P>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    if !needs.iter().all(|need| rig.has(*need)) {
        return;
    }
    let outcome = tokio::spawn(body(rig)).await;
    assert!(outcome.is_err(), "{} passes on a store that breaks it", clause(case));
}

/// One test per case: `suite!([] port, make, module; case: [Needs], ...)`, or with `[broken]` one test per case
/// against the double `module::broken::Broken` that breaks its clause, or with `[together]` one test of all cases, where
/// each test would have to start a server. Used by each port's own macro.
#[macro_export]
macro_rules! suite {
    ([] $port:ident, $make:path; $($case:ident $(: [$($need:ident),*])?),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let needs = [$($($crate::__need!($need)),*)?];
                $crate::run(stringify!($port), stringify!($case), &needs, $make().await, $crate::$port::$case).await;
            }
        )*
    };
    ([together] $port:ident, $make:path; $($case:ident $(: [$($need:ident),*])?),* $(,)?) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn every_case() {
            $(
                let needs = [$($($crate::__need!($need)),*)?];
                $crate::run(stringify!($port), stringify!($case), &needs, $make().await, $crate::$port::$case).await;
            )*
        }
    };
    ([broken] $port:ident, $make:path; $($case:ident $(: [$($need:ident),*])?),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let needs = [$($($crate::__need!($need)),*)?];
                let rig = $crate::$port::broken(&$crate::clause(stringify!($case)), $make().await);
                $crate::run_broken(stringify!($case), &needs, rig, $crate::$port::$case).await;
            }
        )*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __need {
    ($need:ident) => {
        $crate::Need::$need
    };
}

pub use hexmem_ports::Capability as Need;
