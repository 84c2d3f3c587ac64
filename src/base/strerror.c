/* Owns the sentences for results. Any thread, signal handlers included: nothing here is written after the program was
 * built, which is why an unknown code is not formatted into its sentence. */
#include <errno.h>
#include <weft/types.h>

struct sentence {
    int error;
    const char *text;
};

/* What a call of weft can answer, told for somebody who has to do something about it. */
static const struct sentence sentences[] = {
    {EPERM, "not permitted: the id belongs to another lane, or the right was not granted"},
    {ENOENT, "no such file or name: check the path"},
    {ESRCH, "the lane or fiber has ended"},
    {EINTR, "interrupted by a signal: call again"},
    {EIO, "input or output error: the device or the connection failed"},
    {ENXIO, "no such device or address"},
    {E2BIG, "too long for the call: split it"},
    {EBADF, "the id is stale, closed or of no object: it may not be used any more"},
    {ECHILD, "no such child"},
    {EAGAIN, "not possible right now: a limit is reached or the call would wait; try again later"},
    {ENOMEM, "out of memory: raise the limit or the size of the block that was given"},
    {EACCES, "access denied: check the permissions"},
    {EFAULT, "a pointer does not point to accessible memory"},
    {EBUSY, "in use: operations are in flight or somebody waits; let them end first"},
    {EEXIST, "it exists already"},
    {EXDEV, "it belongs to another place: another port, device or directory tree"},
    {ENODEV, "no such device"},
    {ENOTDIR, "not a directory"},
    {EISDIR, "is a directory"},
    {EINVAL, "an argument is not valid for this call: check it against the header"},
    {ENFILE, "the system is out of open files: close some or raise its limit"},
    {EMFILE, "the process is out of descriptors: close some or raise its limit (ulimit -n)"},
    {EFBIG, "the file would become too large"},
    {ENOSPC, "no space left on the device"},
    {ESPIPE, "the file has no positions: use a stream call"},
    {EROFS, "the file system is read-only"},
    {EPIPE, "the peer no longer reads: end this side too"},
    {EDOM, "the number is outside the domain of the call"},
    {ERANGE, "the result does not fit"},
    {EDEADLK, "waiting would never end: the caller holds what it waits for"},
    {ENAMETOOLONG, "the name is too long"},
    {ENOSYS, "the kernel has no such call: another port or mode may do without it"},
    {ENOTEMPTY, "the directory is not empty"},
    {ELOOP, "too many symbolic links, or a link where none is allowed"},
    {ENODATA, "there is nothing of that kind"},
    {ETIME, "the timer has run out"},
    {EILSEQ, "not a valid character sequence"},
    {EPROTO, "the peer broke the protocol"},
    {EOVERFLOW, "the value is too large for its type"},
    {ENOTSOCK, "not a socket"},
    {EDESTADDRREQ, "a destination address is needed"},
    {EMSGSIZE, "the message is too long"},
    {EPROTOTYPE, "wrong protocol for this socket"},
    {ENOPROTOOPT, "no such socket option here"},
    {EPROTONOSUPPORT, "the protocol is not supported here"},
    {ENOTSUP, "not supported here: no port or environment in use can do it"},
#if EOPNOTSUPP != ENOTSUP
    {EOPNOTSUPP, "not supported on this kind of socket"},
#endif
    {EAFNOSUPPORT, "the address family is not supported here"},
    {EADDRINUSE, "the address is in use: stop the other program or choose another port"},
    {EADDRNOTAVAIL, "the address is not one of this machine"},
    {ENETDOWN, "the network is down"},
    {ENETUNREACH, "the network cannot be reached"},
    {ECONNABORTED, "the connection was aborted before it was accepted"},
    {ECONNRESET, "the connection was reset by the peer"},
    {ENOBUFS, "no buffer is free: give some back or configure more"},
    {EISCONN, "the socket is connected already"},
    {ENOTCONN, "the socket is not connected"},
    {ESHUTDOWN, "the runtime or the socket has been shut down"},
    {ETIMEDOUT, "the deadline has passed"},
    {ECONNREFUSED, "the connection was refused: nobody listens there"},
    {EHOSTUNREACH, "the host cannot be reached"},
    {EALREADY, "it is under way already"},
    {EINPROGRESS, "it has been started and is under way"},
    {ESTALE, "the object has been replaced"},
    {EDQUOT, "the quota is used up"},
    {ECANCELED, "cancelled: the scope or the operation was told to end"},
    {EOWNERDEAD, "the previous owner died holding it: check what it protected"},
    {ENOTRECOVERABLE, "what it protected was not repaired: it cannot be used any more"},
};

WEFT_API const char *weft_strerror(int result)
{
    if (result >= 0)
        return "success";
    for (size_t i = 0; i < sizeof sentences / sizeof *sentences; i++)
        if (-sentences[i].error == result)
            return sentences[i].text;
    return "an error that weft itself never reports: its number is the system's (see errno(3))";
}
