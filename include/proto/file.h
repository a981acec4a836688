/* What stands in an input_file or input_image: data: URLs (RFC 2397) and base64. Pure. */
#ifndef SLUICE_PROTO_FILE_H
#define SLUICE_PROTO_FILE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"
#include "proto/item.h"

/* file_data, taken apart. Views into it. */
struct file_data {
	struct str media_type; /* "text/plain", without parameters; empty: not said */
	struct str base64;
};

/* Reads a data: URL whose data is base64, or bare base64. -1 when it is neither. What is behind is not decoded yet. */
int file_data_split(struct str text, struct file_data *out);
/* Whether the media type says that the content is text: text/…, JSON, XML, YAML, JavaScript. */
bool file_is_text_type(struct str media_type);

/* Appends the text of an input_file that is text: of a media type that says so, or of none when it looks like text (UTF-8
 * without control characters but tab and line ends). -1 when it is not text or does not decode; `out` is untouched then.
 * Memory that is out shows in out->failed. */
int file_text(const struct part *part, struct buf *out);

/* A data: URL of an image/… type, with data; or one with http or https and a host, without spaces and controls. */
bool file_is_image_url(struct str url);
bool file_is_web_url(struct str url);

#endif
