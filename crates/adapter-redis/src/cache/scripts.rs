//! The scripts of the cache.

use crate::script::Script;

const PRELUDE: &str = include_str!("../lua/cache/prelude.lua");

macro_rules! scripts {
    ($($access:ident $name:ident = $file:literal;)+) => {
        $(pub(super) static $name: Script =
            Script::$access(&[PRELUDE, include_str!(concat!("../lua/cache/", $file, ".lua"))]);)+
    };
}

scripts! {
    writes PUT = "put";
    writes MAKE = "make";
    writes END_TAG = "end_tag";
    writes END_KEY = "end_key";
    writes BEGIN = "begin";
    writes RELEASE = "release";
    writes COUNT = "count";
    reads STATS = "stats";
    writes SWEEP_ANSWERS = "sweep_answers";
    writes SWEEP_TAGS = "sweep_tags";
    writes NAME = "name";
    reads SCAN_ANSWERS = "scan_answers";
    reads SCAN_TAGS = "scan_tags";
    writes RESTORE_ANSWER = "restore_answer";
    writes RESTORE_TAG = "restore_tag";
}
