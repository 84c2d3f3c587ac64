#!/usr/bin/env python3
"""nginx over a folder, one process, as fast as it is for that: serve.py FOLDER. Says "listening on ADDRESS" once it does, and becomes nginx, so that
whoever started this can read nginx's clock. Logging off, files cached, connections kept for ever. Small files are read and written with
their heads, which costs it a third less than sendfile; big ones go by sendfile, without tcp_nopush, which costs more here."""

import os
import pathlib
import socket
import sys
import tempfile
import time

CONFIG = """
daemon off;
master_process off;
worker_processes 1;
pid {where}/pid;
error_log /dev/null crit;
worker_rlimit_nofile 65536;
events {{ worker_connections 16384; use epoll; multi_accept on; }}
http {{
    access_log off;
    client_body_temp_path {where}/body; proxy_temp_path {where}/proxy; fastcgi_temp_path {where}/fastcgi;
    uwsgi_temp_path {where}/uwsgi; scgi_temp_path {where}/scgi;
    keepalive_timeout 3600; keepalive_requests 1000000000;
    sendfile on; tcp_nodelay on; server_tokens off;
    open_file_cache max=1000 inactive=1h; open_file_cache_valid 1h;
    types {{ text/plain txt; application/octet-stream bin; }} charset utf-8;
    server {{
        listen 127.0.0.1:{port} backlog=4096; root {root}; etag on;
        location = /hello.txt {{ sendfile off; }}
        location = /4k.bin {{ sendfile off; }}
    }}
}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def announce(port):
    """A child of ours that waits for it to answer."""
    if os.fork():
        return
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.01)
    else:
        os._exit(1)
    os.write(1, f"listening on 127.0.0.1:{port}\n".encode())
    os._exit(0)


def main():
    port, where = free_port(), tempfile.mkdtemp(prefix="bench-nginx-")
    config = pathlib.Path(where) / "nginx.conf"
    config.write_text(CONFIG.format(where=where, port=port, root=os.path.abspath(sys.argv[1])))
    announce(port)
    os.execvp("nginx", ["nginx", "-p", where, "-c", str(config)])


if __name__ == "__main__":
    main()
