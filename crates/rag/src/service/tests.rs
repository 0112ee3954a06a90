//! Tests of the service on in-process stores.

mod ask;
mod cut_off;
mod keep;
mod reembed;
mod refine;
mod world;
