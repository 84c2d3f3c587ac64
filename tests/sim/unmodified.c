/* A test of another layer, as it is, inside the simulator: PROGRAM is its source. It passes under every seed
 * in every mode, and the same seed gives the same event log. Each run is a process of its own, for the
 * program may keep things in statics.
 *
 *     sim-unmodified-... [--modes M,N] [--seeds COUNT] [--from SEED] [--switch-every N] [--cpus N] [--loopback 1]
 *                         [--limit SECONDS] [arguments of the program]
 *
 * Whatever ends a run that should not have ended so (a check, an assertion, a fault, a time limit), a line tells how to
 * run it again: with WEFT_SIM_SEED set there is that one run, in this process and in the mode that WEFT_MODE names. */
#include "host.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" /* of its main */
#pragma GCC diagnostic ignored "-Wshadow" /* its names are not ours */
#define main program_main
#include PROGRAM
#undef main
#undef _exit
#undef alarm
#undef close
#undef read
#undef write

#include <sys/mman.h>
#include <sys/wait.h>

static int64_t given_seeds = 2, first_seed = 1, given_every, cpus, loopback;
static int64_t limit_s = 100; /* of real time, for one run: an endless loop that never meets the simulator */
static const char *modes = "single-io,shared,per-core";
static int program_argc;
static char **program_argv, **all_argv;
static int *told; /* shared with the runs: the line that replays it has been said */

/* ---- one run ---- */

static int call_without(void (*fn)(void)) { return ((int (*)(void))fn)(); }
static int call_with(void (*fn)(void)) { return ((int (*)(int, char **))fn)(program_argc, program_argv); }

static int whole_program(void *arg)
{
    (void)arg;
    /* The line names it, also if the program fails before it asks. */
    weft_sim_env()->setting(weft_sim_env()->self, "WEFT_MODE");
    CHECK_EQ(weft_sim_file("/dev/null", "", 0), 0); /* a file that every machine has */
    return _Generic(&program_main, int (*)(void) : call_without, int (*)(int, char **) : call_with)((void (*)(void))program_main);
}

/* Few switches find what many would disturb, and the other way round. */
static unsigned switch_every(uint64_t seed)
{
    return given_every ? (unsigned)given_every : seed % 3 == 0 ? 5 : seed % 3 == 1 ? 20 : 100;
}

/* Both kinds, also where there is but one seed: in per-core mode the other than in shared.
 * (With an I/O thread reads and writes are operations whatever its port could do.) */
static enum weft_sim_ports ports_of(uint64_t seed)
{
    const char *mode = getenv("WEFT_MODE");

    return (seed % 2 == 0) == (mode && strcmp(mode, "per-core") == 0) ? WEFT_SIM_READY : WEFT_SIM_COMPLETE;
}

static int simulate(uint64_t seed, weft_sim_result *result)
{
    const weft_sim_options opt = {.seed = seed,
                                  .ports = ports_of(seed),
                                  .switch_every = switch_every(seed),
                                  .cpus = (unsigned)cpus,
                                  .loopback = loopback != 0,
                                  .max_steps = 20000000};

    host_switch_every = opt.switch_every;
    return weft_sim_run(&opt, whole_program, NULL, result);
}

static void child(uint64_t seed, const char *mode, int out)
{
    weft_sim_result result;

    setenv("WEFT_MODE", mode, 1);
    alarm((unsigned)limit_s);
    if (simulate(seed, &result) != 0) {
        *told = 1;
        _exit(1);
    }
    _exit(write(out, &result.hash, sizeof result.hash) == (ssize_t)sizeof result.hash ? 0 : 1);
}

/* ---- all of them ---- */

static void fail(uint64_t seed, const char *mode, const char *why)
{
    if (!*told) {
        fprintf(stderr, "weft: simulation failed (%s): WEFT_MODE=%s WEFT_SIM_SEED=%llu %s", why, mode, (unsigned long long)seed,
                all_argv[0]);
        for (int i = 1; all_argv[i]; i++)
            fprintf(stderr, " %s", all_argv[i]);
        fputc('\n', stderr);
    }
    exit(1);
}

/* The hash of a run with this seed; one that fails fails us, one that is skipped skips us. */
static uint64_t run_with(uint64_t seed, const char *mode)
{
    int out[2], status;
    uint64_t hash = 0;

    CHECK_EQ(pipe(out), 0);
    fflush(NULL);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        child(seed, mode, out[1]);
    close(out[1]);
    const ssize_t n = read(out[0], &hash, sizeof hash);
    close(out[0]);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        exit(77);
    if (WIFSIGNALED(status)) {
        /* Faults and assertions are told in the run. */
        *told |= WTERMSIG(status) != SIGALRM && WTERMSIG(status) != SIGKILL;
        fail(seed, mode, strsignal(WTERMSIG(status)));
    }
    if (status != 0 || n != (ssize_t)sizeof hash)
        fail(seed, mode, "its process ended");
    return hash;
}

static int is_option(const char *arg, const char *name, char **argv, int *at, const char **value)
{
    if (strcmp(arg, name) != 0 || !argv[*at + 1])
        return 0;
    *value = argv[++*at];
    return 1;
}

/* Ours are taken out, the program's stay. */
static void read_arguments(int argc, char **argv)
{
    const char *value;

    program_argv = calloc((size_t)argc + 1, sizeof *program_argv);
    CHECK(program_argv != NULL);
    for (int i = 0; i < argc; i++)
        if (is_option(argv[i], "--modes", argv, &i, &value))
            modes = value;
        else if (is_option(argv[i], "--seeds", argv, &i, &value))
            given_seeds = strtoll(value, NULL, 0);
        else if (is_option(argv[i], "--from", argv, &i, &value))
            first_seed = strtoll(value, NULL, 0);
        else if (is_option(argv[i], "--switch-every", argv, &i, &value))
            given_every = strtoll(value, NULL, 0);
        else if (is_option(argv[i], "--limit", argv, &i, &value))
            limit_s = strtoll(value, NULL, 0);
        else if (is_option(argv[i], "--cpus", argv, &i, &value))
            cpus = strtoll(value, NULL, 0);
        else if (is_option(argv[i], "--loopback", argv, &i, &value))
            loopback = strtoll(value, NULL, 0);
        else
            program_argv[program_argc++] = argv[i];
}

/* Twice in each mode. */
static void run_seed(uint64_t seed)
{
    char mode[32];

    for (const char *m = modes; *m; m += m[strlen(mode)] == ',' ? strlen(mode) + 1 : strlen(mode)) {
        snprintf(mode, sizeof mode, "%.*s", (int)strcspn(m, ","), m);
        const uint64_t hash = run_with(seed, mode);

        if (run_with(seed, mode) != hash)
            fail(seed, mode, "not the same run twice");
    }
}

int main(int argc, char **argv)
{
    const char *soak = getenv("WEFT_SOAK_SECONDS");
    const time_t end = soak ? time(NULL) + atoll(soak) : 0;

    all_argv = argv;
    read_arguments(argc, argv);
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(told != MAP_FAILED);
    host_told = told;
    if (getenv("WEFT_SIM_SEED"))
        return simulate(strtoull(getenv("WEFT_SIM_SEED"), NULL, 0), NULL) != 0;
    unsetenv("WEFT_SOAK_SECONDS"); /* the time is for seeds: each run does what it does in a test */
    for (int64_t n = 0; soak ? n == 0 || time(NULL) < end : n < given_seeds; n++)
        run_seed((uint64_t)(first_seed + n));
    return 0;
}
