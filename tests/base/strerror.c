/* Every result that the public headers promise has a sentence of its own. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>

#include <weft/types.h>

#include "test.h"

static const char *unknown;

static void check_name(const char *name, const char *file)
{
    for (int code = 1; code < 200; code++) {
        const char *known = code == ENOTSUP && strcmp(name, "ENOTSUP") == 0 ? name : strerrorname_np(code);

        if (!known || strcmp(known, name) != 0)
            continue;
        if (strcmp(weft_strerror(-code), unknown) == 0)
            TEST_FAIL("%s promises -%s, which has no sentence", file, name);
        return;
    }
    TEST_FAIL("%s promises -%s, which is no error", file, name);
}

/* Looks for -E followed by capitals. */
static unsigned check_header(const char *path)
{
    FILE *f = fopen(path, "re");
    unsigned found = 0;
    char line[512], name[32];

    CHECK(f);
    while (fgets(line, sizeof line, f))
        for (const char *p = line; (p = strstr(p, "-E")) != NULL; p++) {
            size_t n = 0;

            while (n + 1 < sizeof name && (isupper((unsigned char)p[1 + n]) || isdigit((unsigned char)p[1 + n]))) {
                name[n] = p[1 + n];
                n++;
            }
            name[n] = 0;
            if (n < 3 || (p > line && isalnum((unsigned char)p[-1])))
                continue;
            check_name(name, path);
            found++;
        }
    fclose(f);
    return found;
}

int main(int argc, char **argv)
{
    unsigned found = 0;
    DIR *d;

    CHECK_EQ(argc, 2);
    unknown = weft_strerror(-4000);
    CHECK(unknown && unknown[0]);
    CHECK(strcmp(weft_strerror(0), "success") == 0);
    CHECK(strcmp(weft_strerror(17), "success") == 0);
    CHECK(strcmp(weft_strerror(INT32_MIN), unknown) == 0);
    CHECK(strcmp(weft_strerror(-ECANCELED), weft_strerror(-EAGAIN)) != 0);

    d = opendir(argv[1]);
    CHECK(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[1024];
        const size_t n = strlen(e->d_name);

        if (n < 3 || strcmp(e->d_name + n - 2, ".h") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        found += check_header(path);
    }
    closedir(d);
    CHECK(found > 50);
    return 0;
}
