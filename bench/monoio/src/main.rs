//! A TCP echo server in monoio, a task a connection, one thread, io_uring. Prints "listening on ADDRESS".

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};

async fn serve(mut conn: TcpStream) {
    let mut buf: Vec<u8> = Vec::with_capacity(2048);
    loop {
        let (read, filled) = conn.read(buf).await;
        match read {
            Ok(n) if n > 0 => {
                let full = n == filled.capacity() && n < 65536;
                let (written, done) = conn.write_all(filled).await;
                if written.is_err() {
                    return;
                }
                // As `weft echo`: a large buffer for whoever fills a small one.
                buf = if full { Vec::with_capacity(65536) } else { done };
            }
            _ => return,
        }
    }
}

fn main() {
    let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().with_entries(4096).build().expect("runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        println!("listening on {}", listener.local_addr().expect("address"));
        loop {
            if let Ok((conn, _)) = listener.accept().await {
                let _ = conn.set_nodelay(true);
                monoio::spawn(serve(conn));
            }
        }
    });
}
