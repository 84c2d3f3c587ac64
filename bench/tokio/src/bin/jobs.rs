//! Tokio's side of the jobs in-process (bench/README.md says what each does): jobs WORKERS. Each line on standard input, "JOB N", is answered
//! with "OPS WALL_NS", or with "none" where there is no such job. Jobs run in a spawned task: the thread of block_on is no worker.

use std::future::Future;
use std::io::BufRead;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, Mutex};
use tokio::task::{spawn, yield_now, JoinHandle};

const WIDE: u64 = 1000;
const WIDE_BUFFER: usize = 128;

fn check(found: u64, expected: u64) {
    if found != expected {
        eprintln!("tokio jobs: {found} where {expected} was expected");
        std::process::exit(1);
    }
}

fn sum_below(n: u64) -> u64 {
    n * n.saturating_sub(1) / 2
}

/// How often each of several parties does something that is to be done n times together.
fn at_least_one(n: u64, parties: u64) -> u64 {
    (n / parties).max(1)
}

async fn all<T>(tasks: Vec<JoinHandle<T>>) {
    for t in tasks {
        t.await.expect("task");
    }
}

async fn yield_among(tasks: u64, n: u64) -> u64 {
    let each = at_least_one(n, tasks);
    let yields = Arc::new(AtomicU64::new(0));
    let mut handles = Vec::with_capacity(tasks as usize);
    for _ in 0..tasks {
        let yields = yields.clone();
        handles.push(spawn(async move {
            for _ in 0..each {
                yield_now().await;
            }
            yields.fetch_add(each, Relaxed);
        }));
    }
    all(handles).await;
    check(yields.load(Relaxed), tasks * each);
    tasks * each
}

async fn spawn_join(n: u64) -> u64 {
    let mut ran = 0;
    for _ in 0..n {
        ran += spawn(async { 1 }).await.expect("task");
    }
    check(ran, n);
    n
}

async fn spawn_many(n: u64) -> u64 {
    let handles: Vec<JoinHandle<u64>> = (0..n).map(|_| spawn(async { 1 })).collect();
    let mut ran = 0;
    for h in handles {
        ran += h.await.expect("task");
    }
    check(ran, n);
    n
}

async fn future(n: u64) -> u64 {
    let mut sum = 0;
    for i in 0..n {
        let (keep, value) = oneshot::channel();
        spawn(async move { keep.send(i + 1) });
        sum += value.await.expect("value");
    }
    check(sum, sum_below(n + 1));
    n
}

fn grow(first: u64, leaves: u64, degree: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if leaves == 1 {
            return first;
        }
        let each = leaves / degree;
        let mut children = Vec::with_capacity(degree as usize);
        for i in 0..degree {
            children.push(spawn(grow(first + i * each, each, degree)));
        }
        let mut sum = 0;
        for c in children {
            sum += c.await.expect("child");
        }
        sum
    })
}

async fn tree(degree: u64, n: u64) -> u64 {
    let mut leaves = 1;
    while leaves < n {
        leaves *= degree;
    }
    check(spawn(grow(0, leaves, degree)).await.expect("root"), sum_below(leaves));
    leaves
}

async fn sleep_10ms(n: u64) -> u64 {
    let handles: Vec<JoinHandle<()>> = (0..n)
        .map(|_| {
            spawn(async {
                let begin = Instant::now();
                tokio::time::sleep(Duration::from_millis(10)).await;
                check((begin.elapsed() < Duration::from_millis(10)) as u64, 0);
            })
        })
        .collect();
    all(handles).await;
    n
}

/// Armed by its first poll, cancelled by its drop; its storage is on the task, as ours is on the stack.
async fn timer(n: u64) -> u64 {
    let far = tokio::time::Instant::now() + Duration::from_secs(30);
    for i in 0..n {
        let sleep = tokio::time::sleep_until(far + Duration::from_nanos(i));
        tokio::pin!(sleep);
        // Without this the runtime would begin to put off arming them after the 128th.
        tokio::task::unconstrained(std::future::poll_fn(|context| {
            check(sleep.as_mut().poll(context).is_ready() as u64, 0);
            std::task::Poll::Ready(())
        }))
        .await;
    }
    n
}

/// All armed by their first poll, then all cancelled by their drop, the last one first. A sleep cannot be disarmed and used again, so each is made here;
/// their storage is one vector.
async fn timers(n: u64) -> u64 {
    let far = tokio::time::Instant::now() + Duration::from_secs(3600);
    let mut all: Vec<tokio::time::Sleep> = (0..n).map(|i| tokio::time::sleep_until(far - Duration::from_micros(i))).collect();
    tokio::task::unconstrained(std::future::poll_fn(|context| {
        for sleep in all.iter_mut() {
            // The vector neither grows nor moves while any of them is armed.
            let sleep = unsafe { Pin::new_unchecked(sleep) };
            check(sleep.poll(context).is_ready() as u64, 0);
        }
        std::task::Poll::Ready(())
    }))
    .await;
    while let Some(sleep) = all.last_mut() {
        let last: *mut tokio::time::Sleep = sleep;
        unsafe {
            all.set_len(all.len() - 1);
            std::ptr::drop_in_place(last);
        }
    }
    n
}

// On a thread of its own, with a runtime of its own.
fn spawn_elsewhere(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    static ELSEWHERE: std::sync::OnceLock<tokio::runtime::Handle> = std::sync::OnceLock::new();
    let handle = ELSEWHERE.get_or_init(|| {
        let runtime = weftbench::runtime(1);
        let handle = runtime.handle().clone();
        std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        handle
    });
    handle.spawn(task)
}

async fn ping_pong(rounds: u64, apart: bool) {
    let (to_there, mut there) = mpsc::channel::<u64>(1);
    let (to_back, mut back) = mpsc::channel::<u64>(1);
    let answer = async move {
        while let Some(x) = there.recv().await {
            to_back.send(x).await.expect("back");
        }
    };
    let echo = if apart { spawn_elsewhere(answer) } else { spawn(answer) };
    for n in 0..rounds {
        to_there.send(n).await.expect("there");
        check(back.recv().await.expect("back"), n);
    }
    drop(to_there);
    echo.await.expect("echo");
}

async fn ping(pairs: u64, n: u64, apart: bool) -> u64 {
    let rounds = at_least_one(n, 2 * pairs);
    all((0..pairs).map(|_| spawn(ping_pong(rounds, apart))).collect()).await;
    2 * rounds * pairs
}

async fn fan_in(n: u64) -> u64 {
    let each = at_least_one(n, WIDE);
    let (send, mut receive) = mpsc::channel::<u64>(WIDE_BUFFER);
    for i in 0..WIDE {
        let send = send.clone();
        spawn(async move {
            for k in 0..each {
                send.send(i * each + k).await.expect("item");
            }
        });
    }
    drop(send);
    let mut sum = 0;
    while let Some(x) = receive.recv().await {
        sum += x;
    }
    check(sum, sum_below(WIDE * each));
    WIDE * each
}

/// Tokio has no channel of many receivers, so they share one behind a lock, the usual way.
async fn fan_out(n: u64) -> u64 {
    let each = at_least_one(n, WIDE);
    let (send, receive) = mpsc::channel::<u64>(WIDE_BUFFER);
    let receive = Arc::new(Mutex::new(receive));
    let mut handles = Vec::with_capacity(WIDE as usize);
    for _ in 0..WIDE {
        let receive = receive.clone();
        handles.push(spawn(async move {
            let mut sum = 0;
            for _ in 0..each {
                sum += receive.lock().await.recv().await.expect("item");
            }
            sum
        }));
    }
    for i in 0..WIDE * each {
        send.send(i).await.expect("item");
    }
    let mut sum = 0;
    for h in handles {
        sum += h.await.expect("receiver");
    }
    check(sum, sum_below(WIDE * each));
    WIDE * each
}

async fn select_8(n: u64) -> u64 {
    let each = at_least_one(n, 8);
    let mut c = Vec::new();
    for _ in 0..8 {
        let (send, receive) = mpsc::channel::<u64>(1);
        c.push(receive);
        spawn(async move {
            for k in 0..each {
                send.send(k).await.expect("item");
            }
        });
    }
    let [mut a, mut b, mut d, mut e, mut f, mut g, mut h, mut i]: [mpsc::Receiver<u64>; 8] = c.try_into().expect("eight");
    let mut sum = 0;
    for _ in 0..8 * each {
        sum += tokio::select! {
            Some(x) = a.recv() => x,
            Some(x) = b.recv() => x,
            Some(x) = d.recv() => x,
            Some(x) = e.recv() => x,
            Some(x) = f.recv() => x,
            Some(x) = g.recv() => x,
            Some(x) = h.recv() => x,
            Some(x) = i.recv() => x,
        };
    }
    check(sum, 8 * sum_below(each));
    8 * each
}

async fn mutex_8(n: u64) -> u64 {
    const RIVALS: u64 = 8;
    let each = at_least_one(n, RIVALS);
    let guarded = Arc::new(Mutex::new(0u64));
    let rivals = (0..RIVALS)
        .map(|_| {
            let guarded = guarded.clone();
            spawn(async move {
                for _ in 0..each {
                    let mut value = guarded.lock().await;
                    let seen = *value;
                    yield_now().await;
                    *value = seen + 1;
                }
            })
        })
        .collect();
    all::<()>(rivals).await;
    let found = *guarded.lock().await;
    check(found, each * RIVALS);
    found
}

async fn run(name: &str, n: u64) -> Option<u64> {
    Some(match name {
        "yield-2" => yield_among(2, n).await,
        "yield-1000" => yield_among(1000, n).await,
        "yield-100000" => yield_among(100000, n).await,
        "spawn" => spawn_join(n).await,
        "spawn-many" => spawn_many(n).await,
        "future" => future(n).await,
        "skynet" => tree(10, n).await,
        "tree" => tree(2, n).await,
        "sleep" => sleep_10ms(n).await,
        "timer" => timer(n).await,
        "timers" => timers(n).await,
        "ping-1" => ping(1, n, false).await,
        "ping-1-across" => ping(1, n, true).await,
        "ping-100" | "ping-100-across" => ping(100, n, false).await,
        "fan-in" => fan_in(n).await,
        "fan-out" => fan_out(n).await,
        "select-8" => select_8(n).await,
        "mutex-8" => mutex_8(n).await,
        _ => return None,
    })
}

fn main() {
    let runtime = weftbench::runtime(weftbench::workers());
    println!("ready tokio {}", env!("TOKIO_VERSION"));
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or("").to_string();
        let n = words.next().and_then(|w| w.parse().ok()).unwrap_or(0);
        let begin = Instant::now();
        let ops = match n {
            0 => None,
            _ => runtime.block_on(async move { spawn(async move { run(&name, n).await }).await.expect("job") }),
        };
        match ops {
            Some(ops) => println!("{} {}", ops, begin.elapsed().as_nanos()),
            None => println!("none"),
        }
    }
}
