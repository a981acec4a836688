/* How many descriptors there are, and how many of them clients may have. */
#ifndef SLUICE_EDGE_DESCRIPTORS_H
#define SLUICE_EDGE_DESCRIPTORS_H

#include <stdint.h>

/* Guard 6: those from this number on are refused while there still is one to refuse with. `fd_limit_per_thread` would do, but
 * makes libwebsockets search its descriptors one by one; the listener watches the numbers instead. */
int descriptors_usable(void);
/* One in four is kept from clients, so that the turns of those who are there get their connections to the model. */
uint32_t descriptors_for_clients(void);

#endif
