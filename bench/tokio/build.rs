//! Which Tokio this is, from the lock file that cargo made.

fn main() {
    let lock = std::fs::read_to_string("Cargo.lock").unwrap_or_default();
    let version = lock
        .split("[[package]]")
        .find(|p| p.contains("name = \"tokio\"\n"))
        .and_then(|p| p.split("version = \"").nth(1))
        .and_then(|v| v.split('"').next())
        .unwrap_or("unknown");
    println!("cargo:rustc-env=TOKIO_VERSION={version}");
    println!("cargo:rerun-if-changed=Cargo.lock");
}
