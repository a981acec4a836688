/* The home's side of mirrors: cursors that read for other loops. Private to the response layer. */
#ifndef SLUICE_RESPONSE_MIRROR_HOME_H
#define SLUICE_RESPONSE_MIRROR_HOME_H

#include "mirror_link.h"

/* What a registry's `mirror_home` points to. */
extern const struct mirror_home mirror_home_side;
/* This loop's responses are read for others no more, who hear so. */
void mirror_home_close(struct registry *registry);

#endif
