/* WebSocket frames as a server sends them (RFC 6455, 5.2): final, text, not masked. Several go into one write. Pure. */
#ifndef SLUICE_EDGE_FRAME_H
#define SLUICE_EDGE_FRAME_H

#include "base/buf.h"

/* Leaves room for a header; the payload is appended behind it. The position goes to frame_end. */
size_t frame_begin(struct buf *out);
/* Writes the header for what was appended since. */
void frame_end(struct buf *out, size_t start);
/* A close frame (5.5.1). `reason` is cut at 123 bytes. */
void frame_close(struct buf *out, uint16_t code, const char *reason);
/* Takes the room back: there is no frame. */
void frame_drop(struct buf *out, size_t start);

#endif
