//! A TCP echo server in Tokio, a task a connection: echo WORKERS. Prints "listening on ADDRESS".

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn serve(mut conn: TcpStream) {
    let mut buf = vec![0u8; 2048];
    while let Ok(n) = conn.read(&mut buf).await {
        if n == 0 || conn.write_all(&buf[..n]).await.is_err() {
            return;
        }
        if n == buf.len() && n < 65536 {
            buf = vec![0u8; 65536]; // as `weft echo`: a large buffer for whoever fills a small one
        }
    }
}

fn main() {
    let workers = weftbench::workers();
    weftbench::runtime(workers).block_on(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        println!("listening on {}", listener.local_addr().expect("address"));
        // The accept loop is a task like the others: on the thread of block_on it would cost each connection a hop.
        let accepting = tokio::spawn(async move {
            loop {
                if let Ok((conn, _)) = listener.accept().await {
                    let _ = conn.set_nodelay(true);
                    tokio::spawn(serve(conn));
                }
            }
        });
        let _ = accepting.await;
    });
}
