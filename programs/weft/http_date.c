/*
 * HTTP dates. Pure functions of their arguments; any thread may call them.
 *
 * Days are counted from civil dates in the proleptic Gregorian calendar, with years that start in March so that the
 * leap day is the last day of its year.
 */
#include "http_date.h"

#include <errno.h>
#include <string.h>

#define DAY_S ((int64_t)86400)
#define LAST_SECOND ((int64_t)253402300799) /* 31 December 9999, 23:59:59 */

static const char day_names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char long_day_names[7][10] = {
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char month_names[12][4] = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static int64_t days_from_civil(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t days, int *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted_month = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * shifted_month + 2) / 5 + 1);
    *month = (int)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
    *year = (int)(year_of_era + era * 400 + (*month <= 2 ? 1 : 0));
}

static void put_digits(char *to, int digits, int value)
{
    for (int i = digits - 1; i >= 0; i--) {
        to[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

void http_date_format(char *to, int64_t unix_seconds)
{
    if (unix_seconds < 0)
        unix_seconds = 0;
    if (unix_seconds > LAST_SECOND)
        unix_seconds = LAST_SECOND;

    int64_t days = unix_seconds / DAY_S;
    int second = (int)(unix_seconds % DAY_S);
    int year, month, day;
    civil_from_days(days, &year, &month, &day);

    memcpy(to, day_names[(days + 4) % 7], 3); /* 1 January 1970 was a Thursday */
    memcpy(to + 3, ", ", 2);
    put_digits(to + 5, 2, day);
    to[7] = ' ';
    memcpy(to + 8, month_names[month - 1], 3);
    to[11] = ' ';
    put_digits(to + 12, 4, year);
    to[16] = ' ';
    put_digits(to + 17, 2, second / 3600);
    to[19] = ':';
    put_digits(to + 20, 2, second / 60 % 60);
    to[22] = ':';
    put_digits(to + 23, 2, second % 60);
    memcpy(to + 25, " GMT", 4);
}

/* A cursor over the text of a date; every reader below moves it or fails without moving past the end. */
struct cursor {
    const char *at, *end;
};

static int take(struct cursor *c, const char *literal)
{
    size_t n = strlen(literal);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, literal, n) != 0)
        return -EINVAL;
    c->at += n;
    return 0;
}

static int take_number(struct cursor *c, int digits, int *value)
{
    if (c->end - c->at < digits)
        return -EINVAL;
    int sum = 0;
    for (int i = 0; i < digits; i++) {
        if (c->at[i] < '0' || c->at[i] > '9')
            return -EINVAL;
        sum = sum * 10 + (c->at[i] - '0');
    }
    c->at += digits;
    *value = sum;
    return 0;
}

static int take_month(struct cursor *c, int *month)
{
    for (int i = 0; i < 12; i++)
        if (take(c, month_names[i]) == 0) {
            *month = i + 1;
            return 0;
        }
    return -EINVAL;
}

static int take_time(struct cursor *c, int *hour, int *minute, int *second)
{
    if (take_number(c, 2, hour) < 0 || take(c, ":") < 0 || take_number(c, 2, minute) < 0 || take(c, ":") < 0 ||
        take_number(c, 2, second) < 0)
        return -EINVAL;
    return 0;
}

/* "06 Nov 1994 08:49:37 GMT", after the name of the day and a comma. */
static int take_fixdate(struct cursor *c, int *year, int *month, int *day, int *hms)
{
    if (take_number(c, 2, day) < 0 || take(c, " ") < 0 || take_month(c, month) < 0 || take(c, " ") < 0 ||
        take_number(c, 4, year) < 0 || take(c, " ") < 0 || take_time(c, &hms[0], &hms[1], &hms[2]) < 0)
        return -EINVAL;
    return take(c, " GMT");
}

/* "06-Nov-94 08:49:37 GMT": two digits of a year mean the one nearest to now, at most 50 years ahead (RFC 9110). */
static int take_rfc850(struct cursor *c, int64_t now, int *year, int *month, int *day, int *hms)
{
    if (take_number(c, 2, day) < 0 || take(c, "-") < 0 || take_month(c, month) < 0 || take(c, "-") < 0 ||
        take_number(c, 2, year) < 0 || take(c, " ") < 0 || take_time(c, &hms[0], &hms[1], &hms[2]) < 0)
        return -EINVAL;
    int this_year, this_month, today;
    civil_from_days(now / DAY_S, &this_year, &this_month, &today);
    *year += this_year - this_year % 100;
    if (*year > this_year + 50)
        *year -= 100;
    else if (*year <= this_year - 50)
        *year += 100;
    return take(c, " GMT");
}

/* "Nov  6 08:49:37 1994", after the name of the day and a space. */
static int take_asctime(struct cursor *c, int *year, int *month, int *day, int *hms)
{
    if (take_month(c, month) < 0 || take(c, " ") < 0)
        return -EINVAL;
    int r = take(c, " ") == 0 ? take_number(c, 1, day) : take_number(c, 2, day);
    if (r < 0 || take(c, " ") < 0 || take_time(c, &hms[0], &hms[1], &hms[2]) < 0 || take(c, " ") < 0)
        return -EINVAL;
    return take_number(c, 4, year);
}

static int take_any_form(struct cursor *c, int64_t now, int *year, int *month, int *day, int *hms)
{
    /* The long names first: each short name is the beginning of one. */
    for (int i = 0; i < 7; i++)
        if (take(c, long_day_names[i]) == 0 && take(c, ", ") == 0)
            return take_rfc850(c, now, year, month, day, hms);
    for (int i = 0; i < 7; i++)
        if (take(c, day_names[i]) == 0) {
            if (take(c, ", ") == 0)
                return take_fixdate(c, year, month, day, hms);
            return take(c, " ") == 0 ? take_asctime(c, year, month, day, hms) : -EINVAL;
        }
    return -EINVAL;
}

static int days_in_month(int year, int month)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

int http_date_parse(const char *text, size_t n, int64_t now, int64_t *unix_seconds)
{
    struct cursor c = {text, text + n};
    int year, month, day, hms[3];
    if (take_any_form(&c, now, &year, &month, &day, hms) < 0 || c.at != c.end)
        return -EINVAL;
    if (day < 1 || day > days_in_month(year, month) || hms[0] > 23 || hms[1] > 59 || hms[2] > 60)
        return -EINVAL;
    *unix_seconds = days_from_civil(year, month, day) * DAY_S + hms[0] * 3600 + hms[1] * 60 + hms[2];
    return 0;
}
