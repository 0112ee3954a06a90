//! The scripts of the cache.

use crate::script::Script;

const PRELUDE: &str = include_str!("../lua/cache/prelude.lua");

macro_rules! scripts {
    ($($access:ident $name:ident = $file:literal;)+) => {
        $(pub(super) static $name: Script =
            Script::$access(&[PRELUDE, include_str!(concat!("../lua/cache/", $file))]);)+
    };
}

scripts! {
    writes PUT = "put.lua";
    writes MAKE = "make.lua";
    frees END_TAG = "end_tag.lua";
    frees END_KEY = "end_key.lua";
    writes BEGIN = "begin.lua";
    frees RELEASE = "release.lua";
    writes COUNT = "count.lua";
    reads STATS = "stats.lua";
    frees SWEEP_ANSWERS = "sweep_answers.lua";
    frees SWEEP_TAGS = "sweep_tags.lua";
    writes NAME = "name.lua";
    reads SCAN_ANSWERS = "scan_answers.lua";
    reads SCAN_TAGS = "scan_tags.lua";
    writes RESTORE_ANSWER = "restore_answer.lua";
    writes RESTORE_TAG = "restore_tag.lua";
}
