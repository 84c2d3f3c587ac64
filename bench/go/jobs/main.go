// Go's side of the jobs in-process (bench/README.md says what each does): jobs WORKERS. Each line on standard input,
// "JOB N", is answered with "OPS WALL_NS", or with "none" where there is no such job.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
)

var workers int

var jobs = map[string]func(n int) int{
	"yield-2":         func(n int) int { return yieldAmong(2, n) },
	"yield-1000":      func(n int) int { return yieldAmong(1000, n) },
	"yield-100000":    func(n int) int { return yieldAmong(100000, n) },
	"spawn":           spawnJoin,
	"spawn-many":      spawnMany,
	"future":          future,
	"skynet":          func(n int) int { return tree(10, n) },
	"tree":            func(n int) int { return tree(2, n) },
	"sleep":           sleep10ms,
	"timer":           timer,
	"timers":          timers,
	"ping-1":          func(n int) int { return ping(1, n, false) },
	"ping-1-across":   func(n int) int { return ping(1, n, true) },
	"ping-100":        func(n int) int { return ping(100, n, false) },
	"ping-100-across": func(n int) int { return ping(100, n, false) },
	"fan-in":          fanIn,
	"fan-out":         fanOut,
	"select-8":        select8,
	"mutex-8":         mutex8,
}

func check(found, expected int) {
	if found != expected {
		fmt.Fprintf(os.Stderr, "go jobs: %d where %d was expected\n", found, expected)
		os.Exit(1)
	}
}

// atLeastOne is how often each of several parties does something that is to be done n times together.
func atLeastOne(n, parties int) int {
	if n < parties {
		return 1
	}
	return n / parties
}

func main() {
	workers, _ = strconv.Atoi(os.Args[1])
	runtime.GOMAXPROCS(workers)
	fmt.Println("ready go", runtime.Version()[2:])
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var name string
		var n int
		fmt.Sscanf(in.Text(), "%s %d", &name, &n)
		job, known := jobs[name]
		if !known || n <= 0 {
			fmt.Println("none")
			continue
		}
		begin := time.Now()
		ops := job(n)
		fmt.Println(ops, time.Since(begin).Nanoseconds())
	}
}
