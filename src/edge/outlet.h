/* Writing to a WebSocket: events of our own, and the orderly close. */
#ifndef SLUICE_EDGE_OUTLET_H
#define SLUICE_EDGE_OUTLET_H

#include "session.h"

/* Close codes (RFC 6455, 7.4.1). SDKs connect again on 1001, 1011, 1012 and 1013, and give up on others. */
#define CLOSE_GOING_AWAY 1001
#define CLOSE_POLICY 1008
#define CLOSE_TOO_LARGE 1009
#define CLOSE_INTERNAL 1011
#define CLOSE_RESTART 1012

/* Writes frames that stand in `out` behind LWS_HEADROOM. -1: the connection is lost and on its way down. */
int outlet_write(struct session *session, struct buf *out);
/* An event of our own, framed and written, or kept while the socket is blocked; a client that lets too many of them pile
 * up is closed. */
void outlet_send(struct session *session, struct str json);
/* `tag` marks the lane that the error is about (see stream.h); "" for none. */
void outlet_error(struct session *session, const char *tag, const struct api_error *error);
/* The same; and closes if it says that the client's credential is not valid any more. */
void outlet_refuse(struct session *session, const char *tag, const struct api_error *error);
/* Puts JSON members before the final brace of what stands at the end of `out`. */
void outlet_tag(struct buf *out, const char *tag);
/* Appends what was kept to `out`. */
void outlet_take_kept(struct session *session, struct buf *out);
/* From now on nothing is written but what was kept; then the close frame. `text` is a literal. */
void outlet_close(struct session *session, uint16_t code, const char *text);

#endif
