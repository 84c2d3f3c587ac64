// A TCP echo server in Go, a goroutine a connection: echo WORKERS. Prints "listening on ADDRESS".
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
)

func serve(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, 2048)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
		if n == len(buf) && n < 65536 { // as `weft echo`: a large buffer for whoever fills a small one
			buf = make([]byte, 65536)
		}
	}
}

func main() {
	workers, _ := strconv.Atoi(os.Args[1])
	runtime.GOMAXPROCS(workers)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("listening on", l.Addr())
	for {
		conn, err := l.Accept()
		if err != nil {
			continue
		}
		go serve(conn)
	}
}
