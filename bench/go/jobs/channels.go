package main

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// apart: each end keeps an operating system's thread for itself.
func pingPong(rounds int, apart bool) {
	there, back := make(chan int, 1), make(chan int, 1)
	if apart {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	go func() {
		if apart {
			runtime.LockOSThread()
		}
		for x := range there {
			back <- x
		}
		close(back)
	}()
	for n := 0; n < rounds; n++ {
		there <- n
		check(<-back, n)
	}
	close(there)
	<-back
}

func ping(pairs, n int, apart bool) int {
	rounds := atLeastOne(n, 2*pairs)
	var all sync.WaitGroup
	all.Add(pairs)
	for i := 0; i < pairs; i++ {
		go func() {
			pingPong(rounds, apart)
			all.Done()
		}()
	}
	all.Wait()
	return 2 * rounds * pairs
}

const wide, wideBuffer = 1000, 128

func fanIn(n int) int {
	each := atLeastOne(n, wide)
	items := make(chan int, wideBuffer)
	for i := 0; i < wide; i++ {
		go func(i int) {
			for k := 0; k < each; k++ {
				items <- i*each + k
			}
		}(i)
	}
	sum := 0
	for i := 0; i < wide*each; i++ {
		sum += <-items
	}
	check(sum, wide*each*(wide*each-1)/2)
	return wide * each
}

func fanOut(n int) int {
	each := atLeastOne(n, wide)
	items := make(chan int, wideBuffer)
	var sum atomic.Int64
	var all sync.WaitGroup
	all.Add(wide)
	for i := 0; i < wide; i++ {
		go func() {
			mine := 0
			for k := 0; k < each; k++ {
				mine += <-items
			}
			sum.Add(int64(mine))
			all.Done()
		}()
	}
	for i := 0; i < wide*each; i++ {
		items <- i
	}
	all.Wait()
	check(int(sum.Load()), wide*each*(wide*each-1)/2)
	return wide * each
}

func select8(n int) int {
	each := atLeastOne(n, 8)
	var c [8]chan int
	for i := range c {
		c[i] = make(chan int, 1)
		go func(c chan int) {
			for k := 0; k < each; k++ {
				c <- k
			}
		}(c[i])
	}
	sum := 0
	for i := 0; i < 8*each; i++ {
		select {
		case x := <-c[0]:
			sum += x
		case x := <-c[1]:
			sum += x
		case x := <-c[2]:
			sum += x
		case x := <-c[3]:
			sum += x
		case x := <-c[4]:
			sum += x
		case x := <-c[5]:
			sum += x
		case x := <-c[6]:
			sum += x
		case x := <-c[7]:
			sum += x
		}
	}
	check(sum, 8*(each*(each-1)/2))
	return 8 * each
}

func mutex8(n int) int {
	const rivals = 8
	each := atLeastOne(n, rivals)
	var lock sync.Mutex
	var all sync.WaitGroup
	guarded := 0
	all.Add(rivals)
	for i := 0; i < rivals; i++ {
		go func() {
			for k := 0; k < each; k++ {
				lock.Lock()
				seen := guarded
				runtime.Gosched()
				guarded = seen + 1
				lock.Unlock()
			}
			all.Done()
		}()
	}
	all.Wait()
	check(guarded, each*rivals)
	return guarded
}
