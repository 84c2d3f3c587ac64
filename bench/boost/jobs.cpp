// Boost.Fiber's side of the jobs in-process (bench/README.md says what each does), on one thread with its
// round-robin scheduler. Each line on standard input, "JOB N", is answered by "OPS WALL_NS", or by "none".
// Stacks come from a pool, as ours do.
#include <boost/fiber/all.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

namespace fibers = boost::fibers;

static fibers::pooled_fixedsize_stack &stacks()
{
    static fibers::pooled_fixedsize_stack pool(16 * 1024);
    return pool;
}

template <class F> static fibers::fiber spawn(F f)
{
    return fibers::fiber(fibers::launch::post, std::allocator_arg, stacks(), std::move(f));
}

static void check(long found, long expected)
{
    if (found != expected) {
        std::fprintf(stderr, "boost jobs: %ld where %ld was expected\n", found, expected);
        std::exit(1);
    }
}

static long yield_among(long count, long n)
{
    long each = n / count ? n / count : 1, yields = 0;
    std::vector<fibers::fiber> all;
    all.reserve(static_cast<std::size_t>(count));
    for (long i = 0; i < count; i++)
        all.push_back(spawn([each, &yields] {
            for (long k = 0; k < each; k++)
                boost::this_fiber::yield();
            yields += each;
        }));
    for (auto &f : all)
        f.join();
    check(yields, count * each);
    return yields;
}

static long spawn_join(long n)
{
    long ran = 0;
    for (long i = 0; i < n; i++)
        spawn([&ran] { ran++; }).join();
    check(ran, n);
    return n;
}

static long spawn_many(long n)
{
    long ran = 0;
    std::vector<fibers::fiber> all;
    all.reserve(static_cast<std::size_t>(n));
    for (long i = 0; i < n; i++)
        all.push_back(spawn([&ran] { ran++; }));
    for (auto &f : all)
        f.join();
    check(ran, n);
    return n;
}

// Its channels have room for at least one item: a capacity of 2 stands for one.
static long ping_1(long n)
{
    long rounds = n / 2 ? n / 2 : 1, x;
    fibers::buffered_channel<long> there(2), back(2);
    auto echo = spawn([&] {
        long y;
        while (there.pop(y) == fibers::channel_op_status::success)
            back.push(y);
    });
    for (long i = 0; i < rounds; i++) {
        there.push(i);
        back.pop(x);
        check(x, i);
    }
    there.close();
    echo.join();
    return 2 * rounds;
}

static const struct job { const char *name; long (*run)(long n); } jobs[] = {
    {"yield-2", [](long n) { return yield_among(2, n); }}, {"yield-1000", [](long n) { return yield_among(1000, n); }},
    {"yield-100000", [](long n) { return yield_among(100000, n); }},
    {"spawn", spawn_join}, {"spawn-many", spawn_many}, {"ping-1", ping_1}};

static long run(const char *name, long n)
{
    for (const job &j : jobs)
        if (std::strcmp(j.name, name) == 0)
            return j.run(n);
    return 0;
}

int main()
{
    char line[128], name[64];
    long n;
    std::printf("ready boost %d.%d\n", BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000);
    std::fflush(stdout);
    while (std::fgets(line, sizeof line, stdin)) {
        auto begin = std::chrono::steady_clock::now();
        long ops = std::sscanf(line, "%63s %ld", name, &n) == 2 && n > 0 ? run(name, n) : 0;
        auto took = std::chrono::steady_clock::now() - begin;
        if (ops)
            std::printf("%ld %lld\n", ops, static_cast<long long>(std::chrono::nanoseconds(took).count()));
        else
            std::puts("none");
        std::fflush(stdout);
    }
}
