/* Addresses as text and back. */
#include <errno.h>
#include <net/if.h>
#include <weft/weft.h>

#include "test.h"

static void round_trip(const char *in, const char *out)
{
    weft_addr a;
    char text[WEFT_ADDR_TEXT];
    if (weft_addr_parse(in, &a) != 0)
        TEST_FAIL("%s was not understood", in);
    size_t n = weft_addr_format(&a, text, sizeof text);
    if (n != strlen(out) || strcmp(text, out) != 0)
        TEST_FAIL("%s became %s instead of %s", in, text, out);
}

static void refused(const char *text)
{
    weft_addr a = {.port = 77};
    if (weft_addr_parse(text, &a) != -EINVAL || a.port != 77)
        TEST_FAIL("\"%s\" was taken for an address, or something was written", text);
}

static void what_is_understood(void)
{
    round_trip("127.0.0.1:8080", "127.0.0.1:8080");
    round_trip("0.0.0.0:65535", "0.0.0.0:65535");
    round_trip("[::1]:0", "[::1]:0");
    round_trip("[2001:db8::17]:443", "[2001:db8::17]:443");
    round_trip("[fe80::1%7]:80", "[fe80::1%7]:80");
    round_trip("*:80", "[::]:80");
    round_trip(":80", "[::]:80");
    round_trip("unix:/run/x.sock", "unix:/run/x.sock");
    round_trip("unix:relative", "unix:relative");
    round_trip("unix:@name", "unix:@name");
}

static void what_is_not(void)
{
    static const char *const bad[] = {
        "", ":", "80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1: 80", "127.0.0.1:80 ",
        "127.0.0.1:8a", "127.0.0.1:99999999999999999999", "127.0.0.256:80", "127.1:80", "localhost:80", "::1:80",
        "[::1]80", "[::1:80", "[]:80", "[127.0.0.1]:80", "[::1%]:80", "[::1%no such zone]:80", "[::g]:1", "unix:",
        "unix:@"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(bad[i]);
    CHECK_EQ(weft_addr_parse(NULL, &(weft_addr){0}), -EINVAL);
    CHECK_EQ(weft_addr_parse("127.0.0.1:1", NULL), -EINVAL);
    char text[300] = "unix:";
    memset(text + 5, 'x', 107);
    weft_addr a;
    CHECK_OK(weft_addr_parse(text, &a));
    CHECK_EQ(a.path_len, 107);
    text[5 + 107] = 'x'; /* one byte more than the system has room for */
    refused(text);
}

static void a_zone_has_a_name(void)
{
    char name[IF_NAMESIZE], text[64];
    weft_addr a;
    if (!if_indextoname(1, name))
        return;
    snprintf(text, sizeof text, "[fe80::1%%%s]:80", name);
    CHECK_OK(weft_addr_parse(text, &a));
    CHECK_EQ(a.scope, 1);
}

static void a_short_buffer_is_told_how_much_is_needed(void)
{
    weft_addr a;
    char text[8];
    CHECK_OK(weft_addr_parse("127.0.0.1:8080", &a));
    CHECK_EQ(weft_addr_format(&a, text, sizeof text), strlen("127.0.0.1:8080"));
    CHECK(strcmp(text, "127.0.0") == 0);
    CHECK_EQ(weft_addr_format(&a, NULL, 0), strlen("127.0.0.1:8080"));
}

int main(void)
{
    what_is_understood();
    what_is_not();
    a_zone_has_a_name();
    a_short_buffer_is_told_how_much_is_needed();
    return 0;
}
