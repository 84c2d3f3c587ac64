/* A test of another layer, unmodified, inside the simulator: it passes under every seed, and the same seed gives the same event log. PROGRAM is
 * its source; SEEDS how many seeds. Each run is a process of its own, for the program may keep things in statics. */
int program_main(void);

#define main program_main
#include PROGRAM
#undef main

#include <sys/wait.h>
#include <weft/sim.h>

static int whole_program(void *arg)
{
    (void)arg;
    return program_main();
}

/* The hash of one run with this seed; a run that fails fails us. */
static uint64_t run_with(uint64_t seed)
{
    int out[2], status;
    uint64_t hash = 0;
    CHECK_EQ(pipe(out), 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        weft_sim_result result;
        int r = weft_sim_run(&(weft_sim_options){.seed = seed}, whole_program, NULL, &result);
        if (r != 0 || write(out[1], &result.hash, sizeof result.hash) != (ssize_t)sizeof result.hash)
            _exit(1);
        _exit(0);
    }
    close(out[1]);
    ssize_t n = read(out[0], &hash, sizeof hash);
    close(out[0]);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    if (n != (ssize_t)sizeof hash || status != 0)
        TEST_FAIL("seed %llu: the program failed in the simulator", (unsigned long long)seed);
    return hash;
}

int main(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint64_t hash = run_with(seed);
        CHECK(run_with(seed) == hash);
    }
    return 0;
}
