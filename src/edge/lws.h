/* The one place that includes libwebsockets, so that what 4.1.6 (Debian 12) and 4.3.5 (Debian 13) have in common is used
 * and nothing else. What the source of 4.1.6 taught and the code relies on:
 *
 * - lws_write is legal outside the writable callback; what the socket does not take is kept in order (lws_partial_buffered)
 *   and flushed before the writable callback comes. lws_send_pipe_choked costs a poll(2) each time: not used.
 * - LWS_WRITE_HTTP writes bytes as they are in every role, on a WebSocket too: one write carries several frames.
 * - A PONG without payload is swallowed: pings carry one.
 * - An upgraded-away or completed request leaves its header table detached; lws_hdr_* then finds nothing.
 * - lws_http_headers_detach may come while a request is answered. The next request gets a table of its own. Should anything be
 * read before, libwebsockets makes one and takes the request under way for one whose headers are not there yet, to which
 * nothing can be written any more: that connection has to be closed (http_body_complete).
 * - While a request without a body is answered, nothing is read, and input that waits would spin the loop: see
 *   connection_pause. While one with a body is answered, a close by the client is noticed.
 * - Timers of libwebsockets are only looked at after socket events: see connection_kill.
 * - 4.3.5 of Debian asks before it strikes a socket off its table (LWS_CALLBACK_LOCK_POLL). Refused, the entry stays for
 *   ever: the table fills up, and the teardown spins over what is left in it.
 * - fd_limit_per_thread below the process's limit turns the descriptor table into a linear search: not set below. */
#ifndef SLUICE_EDGE_LWS_H
#define SLUICE_EDGE_LWS_H

#include <libwebsockets.h>

/* What stands before bytes given to lws_write, and room for a frame header before that. */
#define LWS_HEADROOM (LWS_PRE + 16)

#endif
