package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func yieldAmong(tasks, n int) int {
	each := atLeastOne(n, tasks)
	var all sync.WaitGroup
	var yields atomic.Int64
	all.Add(tasks)
	for i := 0; i < tasks; i++ {
		go func() {
			for i := 0; i < each; i++ {
				runtime.Gosched()
			}
			yields.Add(int64(each))
			all.Done()
		}()
	}
	all.Wait()
	check(int(yields.Load()), tasks*each)
	return tasks * each
}

func spawnJoin(n int) int {
	var ran atomic.Int64
	var one sync.WaitGroup
	for i := 0; i < n; i++ {
		one.Add(1)
		go func() {
			ran.Add(1)
			one.Done()
		}()
		one.Wait()
	}
	check(int(ran.Load()), n)
	return n
}

func spawnMany(n int) int {
	var ran atomic.Int64
	var all sync.WaitGroup
	all.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			ran.Add(1)
			all.Done()
		}()
	}
	all.Wait()
	check(int(ran.Load()), n)
	return n
}

func future(n int) int {
	sum := 0
	for i := 0; i < n; i++ {
		value := make(chan int, 1)
		go func(x int) { value <- x + 1 }(i)
		sum += <-value
	}
	check(sum, n*(n+1)/2)
	return n
}

type node struct{ first, leaves, degree, sum int }

func grow(n *node, done *sync.WaitGroup) {
	if n.leaves == 1 {
		n.sum = n.first
	} else {
		var child [10]node
		var all sync.WaitGroup
		all.Add(n.degree)
		leaves := n.leaves / n.degree
		for i := 0; i < n.degree; i++ {
			child[i] = node{n.first + i*leaves, leaves, n.degree, 0}
			go grow(&child[i], &all)
		}
		all.Wait()
		for i := 0; i < n.degree; i++ {
			n.sum += child[i].sum
		}
	}
	done.Done()
}

func tree(degree, n int) int {
	leaves := 1
	for leaves < n {
		leaves *= degree
	}
	root := node{leaves: leaves, degree: degree}
	var done sync.WaitGroup
	done.Add(1)
	go grow(&root, &done)
	done.Wait()
	check(root.sum, leaves*(leaves-1)/2)
	return leaves
}

func sleep10ms(n int) int {
	var all sync.WaitGroup
	var early atomic.Int64
	all.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			begin := time.Now()
			time.Sleep(10 * time.Millisecond)
			if time.Since(begin) < 10*time.Millisecond {
				early.Add(1)
			}
			all.Done()
		}()
	}
	all.Wait()
	check(int(early.Load()), 0)
	return n
}

// One timer, used again: its storage is there already, as ours is.
func timer(n int) int {
	t := time.AfterFunc(time.Hour, func() {})
	t.Stop()
	stopped := 0
	for i := 0; i < n; i++ {
		t.Reset(30*time.Second + time.Duration(i))
		if t.Stop() {
			stopped++
		}
	}
	check(stopped, n)
	return n
}

var stopped []*time.Timer

// All armed, then all stopped, the last one first; their storage is there from the first time on.
func timers(n int) int {
	for len(stopped) < n {
		t := time.AfterFunc(time.Hour, func() {})
		t.Stop()
		stopped = append(stopped, t)
	}
	for i := 0; i < n; i++ {
		stopped[i].Reset(time.Hour - time.Duration(i)*time.Microsecond)
	}
	found := 0
	for i := n - 1; i >= 0; i-- {
		if stopped[i].Stop() {
			found++
		}
	}
	check(found, n)
	return n
}
