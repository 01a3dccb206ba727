//! Fuzzes what `dutch_master_fuzz::listen` reads.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dutch_master_fuzz::listen(data));
