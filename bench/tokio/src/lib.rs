//! What both programs share: a runtime with as many workers as they are told.

use tokio::runtime::{Builder, Runtime};

pub fn runtime(workers: usize) -> Runtime {
    let mut builder = if workers == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    if workers > 1 {
        builder.worker_threads(workers);
    }
    builder.enable_all().build().expect("runtime")
}

pub fn workers() -> usize {
    std::env::args().nth(1).and_then(|w| w.parse().ok()).unwrap_or(1)
}
